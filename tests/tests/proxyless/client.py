"""Calls /shop.Cart/Get of a gRPC target once for each line that it reads; prints what it is answered, a line each."""

import sys

import grpc

with grpc.insecure_channel(sys.argv[1]) as channel:
    get = channel.unary_unary("/shop.Cart/Get")
    for _ in sys.stdin:
        try:
            print(get(b"", timeout=10, wait_for_ready=True).decode(), flush=True)
        except grpc.RpcError as error:
            print(f"{error.code().name}: {error.details()}", flush=True)
