"""An application on raw sockets, for what no framework does on request.

--listen HOST:PORT      where; --backlog N its accept queue; --accept N how many it accepts (then no more)
--accept-rate N         so many connections a second
--do KIND=SHARE         reset | close | truncate | silence | late:MS | status:CODE, for a share of the requests
--latency MIN:MAX       milliseconds before an answer
--each close|said       closes after each answer, without or with `Connection: close`
--idle KIND:SECONDS     408 | fin | deaf: what happens to a connection that nobody used for so long
--body unread:CODE      answers without reading the body, and closes
--body never            reads the head and nothing more
--half end|rst:SECONDS  what it does when the client has ended its direction
--expect ignore|MS      never answers a request with `Expect`, or answers after so many milliseconds
--hang SECONDS          from then on (after its first request) it reads and never answers
--speak line|banner|ws|connect  lines are echoed; a banner and nothing else; WebSocket echo; CONNECT, then HTTP
--pipeline close        answers the first request of those that came together, and closes
"""
import argparse
import base64
import hashlib
import random
import select
import socket
import struct
import threading
import time

parse = argparse.ArgumentParser()
for name in ("listen", "latency", "each", "idle", "body", "half", "expect", "speak", "pipeline"):
    parse.add_argument("--" + name, default="")
for name in ("backlog", "accept"):
    parse.add_argument("--" + name, type=int, default=0)
for name in ("accept-rate", "hang"):
    parse.add_argument("--" + name, type=float, default=0)
parse.add_argument("--do", action="append", default=[])
args = parse.parse_args()

least, most = (float(word) / 1000 for word in (args.latency or "2:6").split(":"))
deeds = [(kind.partition(":"), float(share)) for kind, _, share in (deed.partition("=") for deed in args.do)]
idle_kind, _, idle_seconds = args.idle.partition(":")
begun = []
kept = []  # what is never answered must stay open


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def answer(connection, status=200, body=b"ok" * 100, head=b"", whole=True):
    length = len(body) if whole else len(body) * 2
    words = {200: b"OK", 408: b"Request Timeout", 413: b"Content Too Large"}.get(status, b"Status")
    connection.sendall(b"HTTP/1.1 %d %s\r\ncontent-type: text/plain\r\n%scontent-length: %d\r\n\r\n%s"
                       % (status, words, head, length, body))


class Reader:
    """Heads and bodies of one connection."""

    def __init__(self, connection):
        self.connection, self.buffer = connection, b""

    def more(self):
        part = self.connection.recv(65536)
        self.buffer += part
        return bool(part)

    def head(self):
        while b"\r\n\r\n" not in self.buffer:
            if not self.more():
                return None
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head.lower()

    def body(self, head):
        length = 0
        for line in head.split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(self.buffer) < length:
            if not self.more():
                return False
        self.buffer = self.buffer[length:]
        return True


def stay(connection):
    kept.append(connection)


def half_closed(connection, seconds):
    """Whether the client ends its direction within so many seconds."""
    ready, _, _ = select.select([connection], [], [], seconds)
    return bool(ready) and connection.recv(1, socket.MSG_PEEK) == b""


def one(connection, reader):
    """One request; whether the connection goes on."""
    if idle_kind and not reader.buffer:
        ready, _, _ = select.select([connection], [], [], float(idle_seconds))
        if not ready:
            if idle_kind == "408":
                answer(connection, 408, head=b"connection: close\r\n")
            if idle_kind == "deaf":
                stay(connection)
            else:
                connection.close()
            return False
    head = reader.head()
    if head is None:
        return False
    begun.append(time.monotonic()) if not begun else None
    if b"expect: 100-continue" in head and args.expect:
        if args.expect == "ignore":
            stay(connection)
            return False
        time.sleep(int(args.expect) / 1000)
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if args.body == "never":
        stay(connection)
        return False
    if args.body.startswith("unread"):
        answer(connection, int(args.body.partition(":")[2]), head=b"connection: close\r\n")
        time.sleep(0.02)
        return False
    if not reader.body(head):
        return False
    if args.hang and time.monotonic() - begun[0] > args.hang:
        stay(connection)
        return False
    time.sleep(random.uniform(least, most))
    if args.half == "end" and half_closed(connection, 0.1):
        return False
    draw = random.random()
    for (kind, _, number), share in deeds:
        draw -= share
        if draw >= 0:
            continue
        if kind == "reset":
            reset(connection)
            return False
        if kind == "close":
            return False
        if kind == "truncate":
            answer(connection, whole=False)
            return False
        if kind == "silence":
            stay(connection)
            return False
        if kind == "late":
            time.sleep(int(number) / 1000)
        if kind == "status":
            answer(connection, int(number))
            return True
        break
    answer(connection, head=b"connection: close\r\n" if args.each == "said" else b"")
    if args.half.startswith("rst"):
        if half_closed(connection, 10):
            time.sleep(float(args.half.partition(":")[2]))
            reset(connection)
            return False
    if args.pipeline == "close" and reader.buffer:
        return False
    return not args.each


def websocket(connection, reader):
    head = reader.head()
    if head is None:
        return
    key = [line.split(b":")[1].strip() for line in head.split(b"\r\n") if line.startswith(b"sec-websocket-key:")]
    accept = base64.b64encode(hashlib.sha1(key[0] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
                       b"sec-websocket-accept: %s\r\n\r\n" % accept)
    echo(connection)


def echo(connection):
    while True:
        part = connection.recv(65536)
        if not part:
            return
        connection.sendall(part)


def serve(connection):
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = Reader(connection)
        if args.speak == "banner":
            connection.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n")
            time.sleep(0.5)
        elif args.speak == "line":
            echo(connection)
        elif args.speak == "ws":
            websocket(connection, reader)
        else:
            if args.speak == "connect" and reader.head() is not None:
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            while one(connection, reader):
                pass
        if connection not in kept:
            connection.close()
    except OSError:
        connection.close()


host, _, port = args.listen.rpartition(":")
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((host, int(port)))
listener.listen(args.backlog or 512)
taken = 0
while args.accept == 0 or taken < args.accept:
    connection, _ = listener.accept()
    taken += 1
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
    if args.accept_rate:
        time.sleep(1 / args.accept_rate)
threading.Event().wait()
