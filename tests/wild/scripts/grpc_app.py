"""A gRPC server, and its client: `serve HOST:PORT SHARE` answers a share of the calls with UNAVAILABLE;
`call HOST:PORT OUT` calls for three seconds and writes what it saw. No generated code: bytes in, bytes out."""
import collections
import json
import random
import sys
import time
from concurrent import futures

import grpc


def serve(address, share):
    def handle(request, context):
        if random.random() < share:
            context.abort(grpc.StatusCode.UNAVAILABLE, "no replica is ready")
        return request

    method = grpc.unary_unary_rpc_method_handler(handle)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("shop.Shop", {"Get": method})])
    server.add_insecure_port(address)
    server.start()
    server.wait_for_termination()


def call(address, out):
    channel = grpc.insecure_channel(address)
    get = channel.unary_unary("/shop.Shop/Get")
    seen = {"requests": 0, "failed": 0, "errors": collections.Counter(), "bytes": 0}
    times, began = [], time.monotonic()
    while time.monotonic() - began < 3:
        sent = time.monotonic()
        seen["requests"] += 1
        try:
            seen["bytes"] += len(get(b"x" * 100, timeout=3))
            times.append(time.monotonic() - sent)
        except grpc.RpcError as error:
            seen["failed"] += 1
            seen["errors"][error.code().name] += 1
        time.sleep(0.01)
    times.sort()
    if times:
        seen["p50_ms"] = times[len(times) // 2] * 1000
        seen["p99_ms"] = times[len(times) * 99 // 100] * 1000
    seen["seconds"] = time.monotonic() - began
    with open(out, "w", encoding="utf-8") as file:
        json.dump(seen, file)


if sys.argv[1] == "serve":
    serve(sys.argv[2], float(sys.argv[3]))
else:
    call(sys.argv[2], sys.argv[3])
