"""A client for what no load generator does. It writes what it saw as JSON.

client.py MODE HOST:PORT OUT [--connections N] [--seconds S] [--times N] [--patience S] [--pauses S,S] [--bytes N]
          [--wait S] [--path PATH]

get         requests on kept connections, with these pauses between them (one list, in turn)
fresh       each request on a connection of its own
half        ends its own direction right after the request, and reads on
over        the same after a complete answer, and waits for the far end to end the connection
abort       every second request: closes everything after --wait seconds
slow-head   half of the head, --wait seconds, the rest
upload      a body of --bytes
trickle     half of the body, --wait seconds, the rest
expect      Expect: 100-continue, the body only after the 100
header      a header of --bytes
pipelined   four requests in one segment
garbage     ten requests, then bytes that are not HTTP
connect     CONNECT, then requests through what was opened
line        lines that are echoed
ws          WebSocket frames that are echoed
"""
import argparse
import collections
import json
import os
import socket
import threading
import time

parse = argparse.ArgumentParser()
for name in ("mode", "to", "out"):
    parse.add_argument(name)
for name, default in (("connections", 4), ("times", 1000000), ("bytes", 1000000)):
    parse.add_argument("--" + name, type=int, default=default)
for name, default in (("seconds", 4.0), ("patience", 10.0), ("wait", 0.05)):
    parse.add_argument("--" + name, type=float, default=default)
parse.add_argument("--pauses", default="0.02")
parse.add_argument("--path", default="/products")
args = parse.parse_args()

authority = args.to.removeprefix("http://").rstrip("/")
host, _, port = authority.rpartition(":")
pauses = [float(pause) for pause in args.pauses.split(",")]
deadline = time.monotonic() + args.seconds
lock = threading.Lock()
seen = {"requests": 0, "failed": 0, "errors": collections.Counter(), "bytes": 0}
times = []


class Failed(Exception):
    """What the user of this client would read."""


def connect():
    try:
        connection = socket.create_connection((host.strip("[]"), int(port)), timeout=args.patience)
    except TimeoutError as error:
        raise Failed("connect timed out") from error
    except OSError as error:
        raise Failed(f"connect: {error.strerror}") from error
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection, bytearray()


def head(method="GET", more=b""):
    return (f"{method} {args.path} HTTP/1.1\r\nhost: {authority}\r\n").encode() + more + b"\r\n"


def receive(connection, buffer, began):
    left = began + args.patience - time.monotonic()
    if left <= 0:
        raise Failed("timed out")
    connection.settimeout(left)
    part = connection.recv(65536)
    with lock:
        seen["bytes"] += len(part)
    buffer += part
    return bool(part)


def answer(connection, buffer, began):
    """Reads one answer; its status."""
    while b"\r\n\r\n" not in buffer:
        if not receive(connection, buffer, began):
            raise Failed("ended in the head" if buffer else "ended without a byte")
    first, _, rest = bytes(buffer).partition(b"\r\n\r\n")
    lines = first.split(b"\r\n")
    if not lines[0].startswith(b"HTTP/1."):
        raise Failed("not HTTP")
    status = int(lines[0].split(b" ")[1])
    buffer[:] = rest
    if status < 200:
        return status if status == 101 else answer(connection, buffer, began)
    fields = {line.partition(b":")[0].lower(): line.partition(b":")[2].strip() for line in lines[1:]}
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        while b"0\r\n\r\n" not in buffer:
            if not receive(connection, buffer, began):
                raise Failed("cut off")
        buffer.clear()
    elif b"content-length" in fields:
        length = int(fields[b"content-length"])
        while len(buffer) < length:
            if not receive(connection, buffer, began):
                raise Failed("cut off")
        del buffer[:length]
    else:
        while receive(connection, buffer, began):
            pass
        buffer.clear()
    if fields.get(b"connection", b"").lower() == b"close":
        raise Closed(status)
    return status


class Closed(Exception):
    """A whole answer, after which the server closes as it said."""


def send(connection, data):
    connection.settimeout(args.patience)
    connection.sendall(data)


def upload(connection, buffer, began, method=b"POST", wait=0.0, expect=False):
    more = b"content-length: %d\r\n" % args.bytes + (b"expect: 100-continue\r\n" if expect else b"")
    send(connection, head(method.decode(), more))
    if expect:
        while b"100 " not in buffer:
            if not receive(connection, buffer, began):
                raise Failed("ended before 100")
        buffer.clear()
    half = b"x" * (args.bytes // 2)
    send(connection, half)
    time.sleep(wait)
    send(connection, b"x" * (args.bytes - len(half)))
    return answer(connection, buffer, began)


def one(connection, buffer, began):
    """One request on this connection; its status."""
    mode = args.mode
    if mode == "half":
        send(connection, head())
        connection.shutdown(socket.SHUT_WR)
    elif mode == "abort":
        send(connection, head())
        if seen["requests"] % 2:
            time.sleep(args.wait)
            raise Failed("left")
    elif mode == "slow-head":
        whole = head()
        send(connection, whole[:20])
        time.sleep(args.wait)
        send(connection, whole[20:])
    elif mode == "upload":
        return upload(connection, buffer, began)
    elif mode == "trickle":
        return upload(connection, buffer, began, wait=args.wait)
    elif mode == "expect":
        return upload(connection, buffer, began, expect=True)
    elif mode == "header":
        send(connection, head(more=b"x-long: " + b"y" * args.bytes + b"\r\n"))
    elif mode == "line":
        line = b"PING %d\r\n" % seen["requests"]
        send(connection, line)
        while b"\n" not in buffer:
            if not receive(connection, buffer, began):
                raise Failed("ended without a byte")
        buffer.clear()
        return 200
    else:
        send(connection, head())
    return answer(connection, buffer, began)


def websocket(connection, buffer, began):
    send(connection, head(more=b"upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n"
                               b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"))
    if answer(connection, buffer, began) != 101:
        raise Failed("no upgrade")
    args.mode = "frames"


def prepared(connection, buffer):
    began = time.monotonic()
    if args.mode in ("ws", "frames"):
        websocket(connection, buffer, began)
    if args.mode == "connect":
        send(connection, b"CONNECT app:80 HTTP/1.1\r\nhost: app:80\r\n\r\n")
        while b"\r\n\r\n" not in buffer:
            if not receive(connection, buffer, began):
                raise Failed("no CONNECT")
        buffer.clear()


def frame(connection, buffer, began):
    mask = os.urandom(4)
    payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(b"hello"))
    sent = b"\x81\x85" + mask + payload
    send(connection, sent)
    while len(buffer) < len(sent):
        if not receive(connection, buffer, began):
            raise Failed("ended without a byte")
    buffer.clear()
    return 200


def count(failed, word=None, took=None):
    with lock:
        seen["requests"] += 1
        if failed:
            seen["failed"] += 1
            seen["errors"][word] += 1
        else:
            times.append(took)


def attempt(held, nth):
    began = time.monotonic()
    try:
        if held[0] is None or args.mode in ("fresh", "half", "over", "abort", "slow-head", "upload", "trickle",
                                            "expect", "header"):
            if held[0] is not None:
                held[0].close()
            held[0] = None
            held[0], held[1] = connect()
            prepared(held[0], held[1])
        connection, buffer = held
        try:
            act = frame if args.mode == "frames" else one
            status = act(connection, buffer, began)
        except Closed as closed:
            status = closed.args[0]
            connection.close()
            held[0] = None
        if args.mode == "over" and held[0] is not None:
            connection.shutdown(socket.SHUT_WR)
            try:
                while connection.recv(65536):
                    pass
            except OSError:
                pass
        count(status >= 400, f"status {status}", time.monotonic() - began)
    except Failed as error:
        word = str(error)
    except TimeoutError:
        word = "timed out"
    except OSError as error:
        word = error.strerror or "broken"
    else:
        return
    if held[0] is not None:
        held[0].close()
        held[0] = None
    count(True, word)


def pipelined(held):
    began = time.monotonic()
    done = 0
    try:
        held[0], held[1] = connect()
        send(held[0], head() * 4)
        while done < 4:
            status = answer(held[0], held[1], began)
            done += 1
            count(status >= 400, f"status {status}", time.monotonic() - began)
        held[0].close()
    except (Failed, Closed, OSError) as error:
        done += isinstance(error, Closed)
        if isinstance(error, Closed):
            count(False, None, time.monotonic() - began)
        for _ in range(4 - done):
            count(True, "cut off")
        if held[0] is not None:
            held[0].close()


def garbage(held):
    for _ in range(10):
        attempt(held, 0)
    try:
        if held[0] is not None:
            send(held[0], b"\x16\x03\x01\x02\x00\x01\x00 this is not HTTP\r\n\r\n")
            held[0].settimeout(1)
            while held[0].recv(65536):
                pass
    except OSError:
        pass
    if held[0] is not None:
        held[0].close()
        held[0] = None


def work(number):
    held = [None, bytearray()]
    nth = 0
    while time.monotonic() < deadline and nth < args.times:
        if args.mode == "pipelined":
            pipelined(held)
        elif args.mode == "garbage":
            garbage(held)
        else:
            attempt(held, nth)
        time.sleep(pauses[(nth + number) % len(pauses)])
        nth += 1
    if held[0] is not None:
        held[0].close()


began = time.monotonic()
threads = [threading.Thread(target=work, args=(number,)) for number in range(args.connections)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
times.sort()
if times:
    seen["p50_ms"] = times[len(times) // 2] * 1000
    seen["p99_ms"] = times[min(len(times) - 1, len(times) * 99 // 100)] * 1000
seen["seconds"] = time.monotonic() - began
with open(args.out, "w", encoding="utf-8") as out:
    json.dump(seen, out)
