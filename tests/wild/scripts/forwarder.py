"""A forwarder of bytes that is not kubectl, with its own ways to fail.

--listen HOST:PORT --to HOST:PORT
--fault cut:SHARE      resets a share of its connections after their first bytes of an answer are due
--fault each           ends a connection after its first answer
--fault idle:SECONDS   ends a connection on which nothing moved for so long
--fault deaf:SECONDS   after so many seconds: accepts, reads nothing, connects to nothing
--fault loop:SECONDS   after so many seconds: accepts no more
--fault hung:SECONDS   after so many seconds: reads and passes nothing on
"""
import argparse
import random
import select
import socket
import struct
import threading
import time

parse = argparse.ArgumentParser()
for name in ("listen", "to", "fault"):
    parse.add_argument("--" + name, default="")
args = parse.parse_args()
kind, _, number = args.fault.partition(":")
began = time.monotonic()
kept = []


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def over():
    return kind in ("deaf", "loop", "hung") and time.monotonic() - began > float(number)


def end(near, far, hard=False):
    for side in (near, far):
        if hard:
            side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        side.close()


def carry(near):
    if kind == "deaf" and over():
        kept.append(near)
        return
    try:
        far = socket.create_connection(address(args.to))
    except OSError:
        near.close()
        return
    doomed = kind == "cut" and random.random() < float(number)
    open_ends = {near, far}
    while open_ends:
        wait = float(number) if kind == "idle" else 60
        ready, _, _ = select.select(list(open_ends), [], [], wait)
        if not ready:
            return end(near, far)
        if kind == "hung" and over():
            kept.extend((near, far))
            return
        for side in ready:
            other = far if side is near else near
            try:
                part = side.recv(65536)
                if side is far and doomed and part:
                    return end(near, far, hard=True)
                if part:
                    other.sendall(part)
                    if kind == "each" and side is far:
                        return end(near, far)
                else:
                    open_ends.discard(side)
                    other.shutdown(socket.SHUT_WR)
            except ConnectionResetError:
                return end(near, far, hard=True)
            except OSError:
                return end(near, far)
    end(near, far)


listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(address(args.listen))
listener.listen(512)
while not (kind == "loop" and over()):
    if kind == "loop":
        ready, _, _ = select.select([listener], [], [], 0.1)
        if not ready:
            continue
    connection, _ = listener.accept()
    threading.Thread(target=carry, args=(connection,), daemon=True).start()
threading.Event().wait()
