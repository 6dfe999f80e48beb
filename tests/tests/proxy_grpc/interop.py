"""gRPC's interop cases (grpc/doc/interop-test-descriptions.md) by C-core: `interop.py client HOST:PORT CASE...` runs
cases and fails with the first that fails; `interop.py server HOST:PORT` serves grpc.testing.TestService."""

import concurrent.futures
import queue
import sys
import time

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FIELD = descriptor_pb2.FieldDescriptorProto
INT, STRING, BYTES = FIELD.TYPE_INT32, FIELD.TYPE_STRING, FIELD.TYPE_BYTES
# What the cases need of grpc/testing/messages.proto; enumerations are numbers on the wire.
MESSAGES = {
    "Empty": {},
    "Payload": {"type": (1, INT), "body": (2, BYTES)},
    "EchoStatus": {"code": (1, INT), "message": (2, STRING)},
    "SimpleRequest": {"response_size": (2, INT), "payload": (3, "Payload"), "response_status": (7, "EchoStatus")},
    "SimpleResponse": {"payload": (1, "Payload")},
    "StreamingInputCallRequest": {"payload": (1, "Payload")},
    "StreamingInputCallResponse": {"aggregated_payload_size": (1, INT)},
    "ResponseParameters": {"size": (1, INT), "interval_us": (2, INT)},
    "StreamingOutputCallRequest": {
        "response_parameters": (2, "ResponseParameters", True),
        "payload": (3, "Payload"),
        "response_status": (7, "EchoStatus"),
    },
    "StreamingOutputCallResponse": {"payload": (1, "Payload")},
}


def messages():
    file = descriptor_pb2.FileDescriptorProto(name="interop.proto", package="grpc.testing", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, *repeated) in fields.items():
            label = FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                added.type, added.type_name = FIELD.TYPE_MESSAGE, f".grpc.testing.{kind}"
            else:
                added.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"grpc.testing.{name}")) for name in MESSAGES
    }


M = messages()
METHODS = {
    "EmptyCall": ("unary_unary", "Empty", "Empty"),
    "UnaryCall": ("unary_unary", "SimpleRequest", "SimpleResponse"),
    "StreamingOutputCall": ("unary_stream", "StreamingOutputCallRequest", "StreamingOutputCallResponse"),
    "StreamingInputCall": ("stream_unary", "StreamingInputCallRequest", "StreamingInputCallResponse"),
    "FullDuplexCall": ("stream_stream", "StreamingOutputCallRequest", "StreamingOutputCallResponse"),
    "UnimplementedCall": ("unary_unary", "Empty", "Empty"),
}
SERVICE = "grpc.testing.TestService"
INITIAL, TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
LIMIT = 20


def payload(size):
    return M["Payload"](body=bytes(size))


class Client:
    def __init__(self, target):
        self.channel = grpc.insecure_channel(target)

    def call(self, method, service=SERVICE):
        shape, request, response = METHODS[method]
        of = M[request].SerializeToString, M[response].FromString
        return getattr(self.channel, shape)(f"/{service}/{method}", *of)

    def fails(self, code, call):
        try:
            call()
        except grpc.RpcError as error:
            expect(error.code(), code)
            return error
        raise AssertionError(f"no {code}")

    def empty_unary(self):
        expect(self.call("EmptyCall")(M["Empty"](), timeout=LIMIT), M["Empty"]())

    def large_unary(self):
        request = M["SimpleRequest"](response_size=314159, payload=payload(271828))
        expect(self.call("UnaryCall")(request, timeout=LIMIT).payload.body, bytes(314159))

    def client_streaming(self):
        sizes = (27182, 8, 1828, 45904)
        requests = (M["StreamingInputCallRequest"](payload=payload(size)) for size in sizes)
        expect(self.call("StreamingInputCall")(requests, timeout=LIMIT).aggregated_payload_size, 74922)

    def server_streaming(self):
        sizes = (31415, 9, 2653, 58979)
        responses = self.call("StreamingOutputCall")(wanted(*sizes), timeout=LIMIT)
        expect([len(response.payload.body) for response in responses], list(sizes))

    def ping_pong(self):
        pipe = Pipe()
        responses = self.call("FullDuplexCall")(pipe, timeout=LIMIT)
        for asked, sent in ((31415, 27182), (9, 8), (2653, 1828), (58979, 45904)):
            pipe.put(wanted(asked, sent=sent))
            expect(len(next(responses).payload.body), asked)
        pipe.put(None)
        expect(list(responses), [])

    def empty_stream(self):
        expect(list(self.call("FullDuplexCall")(iter(()), timeout=LIMIT)), [])

    def custom_metadata(self):
        given = ((INITIAL, "test_initial_metadata_value"), (TRAILING, b"\x0a\x0b\x0a\x0b\x0a\x0b"))
        request = M["SimpleRequest"](response_size=314159, payload=payload(271828))
        _, call = self.call("UnaryCall").with_call(request, metadata=given, timeout=LIMIT)
        stream = self.call("FullDuplexCall")(iter((wanted(314159),)), metadata=given, timeout=LIMIT)
        list(stream)
        for one in (call, stream):
            expect(dict(one.initial_metadata()).get(INITIAL), given[0][1])
            expect(dict(one.trailing_metadata()).get(TRAILING), given[1][1])

    def status(self, message):
        echo = M["EchoStatus"](code=2, message=message)
        unary = lambda: self.call("UnaryCall")(M["SimpleRequest"](response_status=echo), timeout=LIMIT)
        duplex = lambda: list(
            self.call("FullDuplexCall")(iter((M["StreamingOutputCallRequest"](response_status=echo),)), timeout=LIMIT)
        )
        for call in (unary, duplex):
            expect(self.fails(grpc.StatusCode.UNKNOWN, call).details(), message)

    def status_code_and_message(self):
        self.status("test status message")

    def special_status_message(self):
        self.status("\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n")

    def unimplemented_method(self):
        call = self.call("UnimplementedCall")
        self.fails(grpc.StatusCode.UNIMPLEMENTED, lambda: call(M["Empty"](), timeout=LIMIT))

    def unimplemented_service(self):
        call = self.call("UnimplementedCall", "grpc.testing.UnimplementedService")
        self.fails(grpc.StatusCode.UNIMPLEMENTED, lambda: call(M["Empty"](), timeout=LIMIT))

    def cancel_after_begin(self):
        call = self.call("StreamingInputCall").future(Pipe())
        call.cancel()
        expect(call.code(), grpc.StatusCode.CANCELLED)

    def cancel_after_first_response(self):
        pipe = Pipe()
        call = self.call("FullDuplexCall")(pipe)
        pipe.put(wanted(31415, sent=27182))
        expect(len(next(call).payload.body), 31415)
        call.cancel()
        self.fails(grpc.StatusCode.CANCELLED, lambda: next(call))

    def timeout_on_sleeping_server(self):
        # Many at once, since everyone on the way has a clock of its own, and each may be the first.
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: self.times_out(), range(16)))

    def times_out(self):
        pipe = Pipe()
        pipe.put(M["StreamingOutputCallRequest"](payload=payload(27182)))
        self.fails(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: next(self.call("FullDuplexCall")(pipe, timeout=0.1)))


class Pipe:
    """Requests as they are put; None is the last."""

    def __init__(self):
        self.ready = queue.SimpleQueue()

    def put(self, request):
        self.ready.put(request)

    def __iter__(self):
        return self

    def __next__(self):
        request = self.ready.get()
        if request is None:
            raise StopIteration
        return request


def wanted(*sizes, sent=0):
    parameters = [M["ResponseParameters"](size=size) for size in sizes]
    return M["StreamingOutputCallRequest"](response_parameters=parameters, payload=payload(sent))


def expect(found, should):
    if found != should:
        raise AssertionError(f"{str(found)[:200]!r} instead of {str(should)[:200]!r}")


class Server:
    def EmptyCall(self, request, context):
        return M["Empty"]()

    def UnaryCall(self, request, context):
        judge(request, context)
        return M["SimpleResponse"](payload=payload(request.response_size))

    def StreamingOutputCall(self, request, context):
        judge(request, context)
        for parameters in request.response_parameters:
            time.sleep(parameters.interval_us / 1e6)
            yield M["StreamingOutputCallResponse"](payload=payload(parameters.size))

    def StreamingInputCall(self, requests, context):
        size = sum(len(request.payload.body) for request in requests)
        return M["StreamingInputCallResponse"](aggregated_payload_size=size)

    def FullDuplexCall(self, requests, context):
        echo(context)
        for request in requests:
            yield from self.StreamingOutputCall(request, context)


def echo(context):
    given = dict(context.invocation_metadata())
    context.set_trailing_metadata([(TRAILING, given[TRAILING])] if TRAILING in given else [])
    if INITIAL in given:
        context.send_initial_metadata([(INITIAL, given.pop(INITIAL))])


def judge(request, context):
    if isinstance(request, M["SimpleRequest"]):
        echo(context)
    if request.HasField("response_status") and request.response_status.code:
        status = next(code for code in grpc.StatusCode if code.value[0] == request.response_status.code)
        context.abort(status, request.response_status.message)


def serve(address):
    handlers = {}
    for method, (shape, request, response) in METHODS.items():
        if hasattr(Server, method):
            of = {"request_deserializer": M[request].FromString, "response_serializer": M[response].SerializeToString}
            handlers[method] = getattr(grpc, f"{shape}_rpc_method_handler")(getattr(Server(), method), **of)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    if server.add_insecure_port(address) == 0:
        sys.exit(f"{address} is taken")
    server.start()
    server.wait_for_termination()


def main(role, address, *cases):
    if role == "server":
        return serve(address)
    client = Client(address)
    for case in cases:
        try:
            getattr(client, case)()
        except (AssertionError, grpc.RpcError) as error:
            sys.exit(f"{case}: {error}")
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
