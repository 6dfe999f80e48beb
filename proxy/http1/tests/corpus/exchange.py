"""One case through one proxy: a client that sends it, a back end that records what arrives, and what came of it.

peers.py runs these, each with a port of the proxy and a listening socket of its own, so that no case sees what
another one left behind.
"""

import re
import selectors
import socket
import time

import strict

QUIET = 1.0  # seconds without a byte in either direction until nothing more is expected
LONGEST = 8.0  # seconds
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: example/1\r\n\r\n"
NEXT_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"
NEXT_REQUEST = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
STATUS = re.compile(rb"HTTP/1\.[01] (\d\d\d)")
UNREADABLE = "bytes that a strict recipient refuses"
OWN_STATUSES = {"500", "502", "503", "504"}  # of a proxy whose back end failed; no case has them


class Connection:
    def __init__(self, socket_):
        self.socket, self.received, self.answered, self.closed = socket_, b"", 0, False

    def read(self):
        try:
            data = self.socket.recv(1 << 16)
        except OSError:
            data = b""
        self.received += data
        self.closed |= not data

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            self.closed = True


class Exchange:
    """A client's connection to a proxy and those that the proxy opens to the back end, moved on by `run`."""

    def __init__(self, port, listener):
        self.listener, self.backend = listener, []
        self.selector = selectors.DefaultSelector()
        self.client = Connection(socket.create_connection(("127.0.0.1", port), timeout=LONGEST))
        self.selector.register(listener, selectors.EVENT_READ, None)
        self.selector.register(self.client.socket, selectors.EVENT_READ, self.client)
        self.until = time.monotonic() + LONGEST

    def run(self, answer, done=lambda: False):
        """Moves bytes until `done` or nothing has moved for a while; `answer` sees each connection of the back end."""
        while not done() and time.monotonic() < self.until:
            ready = self.selector.select(0.1 if self.client.closed else QUIET)
            if not ready:
                return
            for key, _ in ready:
                self.serve(key.data, answer)

    def serve(self, connection, answer):
        if connection is None:
            connection = Connection(self.listener.accept()[0])
            self.backend.append(connection)
            self.selector.register(connection.socket, selectors.EVENT_READ, connection)
            return
        connection.read()
        if connection.closed:
            self.selector.unregister(connection.socket)
        elif connection is not self.client:
            answer(connection)

    def close_backend(self):
        for connection in self.backend:
            if not connection.closed:
                connection.socket.shutdown(socket.SHUT_WR)

    def close(self):
        for connection in (self.client, *self.backend):
            connection.socket.close()
        self.selector.close()


def run_case(case, port, listener):
    """What a proxy makes of a case, in a few words, and whether it passed on what should be refused."""
    exchange = Exchange(port, listener)
    try:
        return run_request(case, exchange) if case.role == "request" else run_response(case, exchange)
    finally:
        exchange.close()


def run_request(case, exchange):
    tunnels = case.end == "tunnel"
    exchange.client.send(case.send)
    exchange.run(lambda connection: answer_each(connection, tunnels))
    readings = [recorded(connection, tunnels) for connection in exchange.backend]
    forwarded = [shown(message) for reading in readings for message in reading.messages]
    forwarded += ["a tunnel" for reading in readings if reading.end == "tunnel"]
    bad = [f"{UNREADABLE} ({reading.detail})" for reading in readings if reading.end == "refused"]
    refusal = refused(exchange.client, len(forwarded))
    text = f"forwarded as: {', '.join(forwarded + bad)}" if forwarded or bad else ""
    laxer = case.end == "refused" and len(forwarded) > len(case.messages)
    return "; ".join(filter(None, (text, refusal))) or "waits", laxer or bool(bad)


def recorded(connection, tunnels=False):
    """What a strict server reads that has room for the fields that a proxy adds."""
    return strict.requests(connection.received, tunnels, strict.FIELDS + 20)


def answer_each(connection, tunnels):
    reading = recorded(connection, tunnels)
    for message in reading.messages[connection.answered :]:
        upgraded = reading.end == "tunnel" and not message.start.startswith("CONNECT ")
        connection.send(SWITCH if upgraded else ANSWER)
    connection.answered = len(reading.messages)


def refused(client, answers):
    """Whether the client got another status than the `answers` of the back end, or none and a closed connection."""
    final = [status.decode() for status in STATUS.findall(client.received) if not status.startswith(b"1")]
    if len(final) > answers:
        return f"refused {final[answers]}"
    if client.received and not STATUS.search(client.received):
        return "answered in another protocol"
    return "refused (closed)" if client.closed and not final else ""


def run_response(case, exchange):
    first = sent_request(case.method)
    unasked = case.method == "nothing"
    methods = ["GET" if unasked else case.method]
    exchange.client.send(first)
    exchange.run(lambda connection: answer_case(connection, NEXT_ANSWER if unasked else case.send),
                 lambda: not unasked and answered(exchange, methods))  # fmt: skip
    if unasked:
        for connection in exchange.backend:
            connection.send(case.send)
        exchange.run(lambda connection: None)
    elif not answered(exchange, methods):
        exchange.close_backend()
        exchange.run(answer_next)
    got = strict.responses(exchange.client.received, methods, exchange.client.closed)
    return judged(case, exchange, methods, got)


def sent_request(method):
    if method == "CONNECT":
        return b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"
    if method == "GET+upgrade":
        return b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: example/1\r\n\r\n"
    length = b"Content-Length: 0\r\n" if method == "POST" else b""
    method = b"GET" if method == "nothing" else method.encode()
    return b"%b /x HTTP/1.1\r\nHost: a\r\n%b\r\n" % (method, length)


def answer_case(connection, response):
    if not connection.answered and recorded(connection).messages:
        connection.answered = 1
        connection.send(response)


def answered(exchange, methods):
    got = strict.responses(exchange.client.received, methods, ended=False)
    return got.end != "waits"


def judged(case, exchange, methods, got):
    """The client's view of the case, and of one more request on its connection."""
    statuses = STATUS.findall(exchange.client.received)
    own = [status.decode() for status in statuses if status.decode() in OWN_STATUSES]
    if own or not any(connection.answered for connection in exchange.backend):
        return f"refused {own[0] if own else statuses[-1].decode()}", False
    if got.end == "refused":
        return f"forwarded as: {UNREADABLE} ({got.detail})", True
    if got.end == "waits":
        return ("refused (cut off)" if exchange.client.received else "refused (closed)"), False
    messages = [] if case.method == "nothing" else got.messages
    after, poisoned = ("", False) if got.end == "tunnel" else next_request(exchange, methods)
    parts = [shown(message) for message in messages] + (["a tunnel"] if got.end == "tunnel" else [])
    text = f"forwarded as: {', '.join(parts)}" if parts else ""
    return "; ".join(filter(None, (text, after))) or "passed over", poisoned or passed_on(case, messages)


def passed_on(case, messages):
    """Whether these have a final response that the case has not."""
    return case.end == "refused" and any(message not in case.messages for message in final(messages))


def final(messages):
    return [message for message in messages if message.start == "101" or not message.start.startswith("1")]


def next_request(exchange, methods):
    """One more request on the same connection: whether its answer is its own."""
    if exchange.client.closed:
        return "", False
    exchange.client.send(NEXT_REQUEST)
    both = [*methods, "GET"]
    exchange.run(answer_next, lambda: answered(exchange, both))
    got = strict.responses(exchange.client.received, both, exchange.client.closed)
    before = len(strict.responses(exchange.client.received, methods, ended=False).messages)
    following = got.messages[before:]
    if not following:
        return "", False
    last = following[-1]
    if (last.start, last.body) == ("200", b"next"):
        return "", False
    if last.start in OWN_STATUSES:
        return f"the next request gets {last.start}", False
    return f"the next request gets {shown(last)}", True


def answer_next(connection):
    if connection.received.endswith(b"\r\n\r\n") and b"/next " in connection.received:
        connection.send(NEXT_ANSWER)


def shown(message):
    body = message.body
    if not body:
        text = message.start
    elif len(body) <= 12 and re.fullmatch(rb"[ -~]+", body):
        text = f'{message.start} "{body.decode()}"'
    else:
        text = f"{message.start} {len(body)} bytes"
    trailers = "".join(f" +{trailer.partition(':')[0]}" for trailer in message.trailers)
    return (text if len(text) < 60 else f"{text[:40]}... {len(text)} characters") + trailers
