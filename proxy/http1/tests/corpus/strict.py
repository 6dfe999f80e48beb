"""A second, independent reading of HTTP/1 by the rules of this corpus: what a strict recipient makes of bytes.

    python3 strict.py    check every case of this folder against it

peers.py reads with it what a proxy sent on. It takes all bytes at once and is in no hurry.
"""

import dataclasses
import re
import sys

import cases

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
TARGET = re.compile(rb'[!"$-~]+')  # 0x21 to 0x7e without "#"
VERSION = re.compile(rb"HTTP/\d\.\d")
HOST = rb"(?:[-._~!$&'()*+,;=0-9A-Za-z]|%[0-9A-Fa-f]{2})"
AUTHORITY = re.compile(rb"(?:%b+|\[[0-9A-Fa-f:.]+\])(?::(\d{0,5}))?" % HOST)
ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?]*)(?:[/?].*)?", re.DOTALL)
VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
NUMBER = re.compile(rb"\d{1,18}")
SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})((?:;.*)?)", re.DOTALL)
QUOTED = rb'"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
EXTENSIONS = re.compile(rb"(?:;%b(?:=(?:%b|%b))?)*" % (TOKEN.pattern, TOKEN.pattern, QUOTED))
HEAD, FIELDS, NAME, FIELD, LONGEST_TARGET, EMPTY_LINES = 65536, 100, 256, 32768, 16384, 2
EXTENSION_BYTES, TRAILER_BYTES, TRAILERS, OPTIONS, INTERIM = 4096, 8192, 32, 32, 16
NOT_IN_TRAILERS = {
    b"content-length", b"transfer-encoding", b"host", b"connection", b"upgrade", b"te", b"keep-alive", b"trailer",
    b"proxy-connection", b"authorization", b"set-cookie", b"content-type",
}  # fmt: skip


class Refused(Exception):
    """A rule was broken; the text says which."""


class Incomplete(Exception):
    """More bytes are needed."""


@dataclasses.dataclass
class Reading:
    """What became of the bytes: the messages that are whole, and the end in the words of README.md."""

    messages: list
    end: str
    detail: str = ""


@dataclasses.dataclass
class Head:
    start: bytes
    fields: list

    def all(self, name):
        return [value for key, value in self.fields if key == name]

    def options(self):
        values = b",".join(self.all(b"connection")).split(b",")
        return [option.strip(b" \t").lower() for option in values if option.strip(b" \t")]


class Reader:
    def __init__(self, data, fields=FIELDS):
        self.data, self.at, self.fields = data, 0, fields

    def empty(self):
        return self.at == len(self.data)

    def rest(self):
        return self.data[self.at :]

    def take(self, count):
        if len(self.data) - self.at < count:
            raise Incomplete
        self.at += count
        return self.data[self.at - count : self.at]

    def line(self, limit):
        end = self.data.find(b"\n", self.at)
        text = self.data[self.at : end if end >= 0 else len(self.data)]
        if len(text) > limit:
            raise Refused("a line over the limit")
        if end < 0:
            if b"\r" in text[:-1]:
                raise Refused("bare CR")
            raise Incomplete
        if not text.endswith(b"\r"):
            raise Refused("bare LF")
        if b"\r" in text[:-1]:
            raise Refused("bare CR")
        self.at = end + 1
        return text[:-1]


def requests(data, switches=False, fields=FIELDS):
    """Requests as a server reads them that takes so many `fields`; with `switches` it accepts CONNECT and Upgrade."""
    reader, messages = Reader(data, fields), []
    try:
        while skip_empty_lines(reader):
            message, head = request(reader)
            messages.append(message)
            if switches and (head.start.startswith(b"CONNECT ") or upgrades(head)):
                return Reading(messages, "tunnel", reader.rest())
            if not persists(head, head.start[-8:]):
                return Reading(messages, "closed")
    except Refused as refusal:
        return Reading(messages, "refused", str(refusal))
    except Incomplete:
        return Reading(messages, "waits")
    return Reading(messages, "idle")


def skip_empty_lines(reader):
    """Whether something comes behind them."""
    empty_lines = 0
    while reader.rest().startswith(b"\r\n"):
        reader.take(2)
        empty_lines += 1
    if empty_lines > EMPTY_LINES:
        raise Refused("empty lines")
    return not reader.empty()


def request(reader):
    head = read_head(reader)
    method, target, version = request_line(head.start)
    message = cases.Message(f"{method.decode()} {target.decode()}")
    check_authority(method, target, version, head)
    length = body_length(head, version)
    if method == b"CONNECT" and length is not None:
        raise Refused("CONNECT with a body")
    read_body(reader, message, length or 0)
    return message, head


def request_line(line):
    words = line.split(b" ")
    if len(words) != 3 or not TOKEN.fullmatch(words[0]):
        raise Refused("request line")
    if not TARGET.fullmatch(words[1]) or len(words[1]) > LONGEST_TARGET:
        raise Refused("target")
    check_version(words[2])
    return words


def check_version(version):
    if not VERSION.fullmatch(version) or version not in (b"HTTP/1.0", b"HTTP/1.1"):
        raise Refused("version")


def check_authority(method, target, version, head):
    hosts = head.all(b"host")
    if len(hosts) > 1 or (version == b"HTTP/1.1" and not hosts):
        raise Refused("Host")
    if any(host and not is_authority(host) for host in hosts):
        raise Refused("Host")
    absolute = ABSOLUTE.fullmatch(target)
    if method == b"CONNECT":
        good = is_authority(target) and re.search(rb":\d+$", target)
    elif absolute:
        good = is_authority(absolute[1])
    else:
        good = target.startswith(b"/") or (target == b"*" and method == b"OPTIONS")
    if not good:
        raise Refused("target")


def is_authority(text):
    match = AUTHORITY.fullmatch(text)
    return bool(match) and int(match[1] or 0) <= 65535


def read_head(reader):
    begin = reader.at
    start = reader.line(HEAD)
    fields = read_fields(reader, HEAD - (reader.at - begin), reader.fields)
    return Head(start, fields)


def read_fields(reader, limit, most):
    fields, begin = [], reader.at
    while line := reader.line(HEAD):
        fields.append(field(line))
        if len(fields) > most or reader.at - begin > limit:
            raise Refused("fields over the limit")
    return fields


def field(line):
    if line[:1] in (b" ", b"\t"):
        raise Refused("a folded or indented field")
    name, colon, value = line.partition(b":")
    value = value.strip(b" \t")
    if not colon or not TOKEN.fullmatch(name) or not VALUE.fullmatch(value):
        raise Refused("field line")
    if len(name) > NAME or len(value) > FIELD:
        raise Refused("a field over the limit")
    return name.lower(), value


def body_length(head, version):
    """A number, "chunked" or None."""
    lengths, codings = head.all(b"content-length"), head.all(b"transfer-encoding")
    if codings and (lengths or version == b"HTTP/1.0" or [c.lower() for c in codings] != [b"chunked"]):
        raise Refused("Transfer-Encoding")
    if len(lengths) > 1 or any(not NUMBER.fullmatch(length) for length in lengths):
        raise Refused("Content-Length")
    if len(head.options()) > OPTIONS:
        raise Refused("Connection")
    return "chunked" if codings else int(lengths[0]) if lengths else None


def persists(head, version):
    options = head.options()
    return b"close" not in options and (version == b"HTTP/1.1" or b"keep-alive" in options)


def upgrades(head):
    return bool(head.all(b"upgrade")) and b"upgrade" in head.options() and not head.start.endswith(b"HTTP/1.0")


def read_body(reader, message, length):
    if length != "chunked":
        message.body = reader.take(length)
        return
    extension_bytes = 0
    while True:
        line = SIZE.fullmatch(reader.line(EXTENSION_BYTES + 17))
        if not line or not EXTENSIONS.fullmatch(line[2]):
            raise Refused("chunk size")
        extension_bytes += len(line[2])
        if extension_bytes > EXTENSION_BYTES:
            raise Refused("chunk extensions over the limit")
        size = int(line[1], 16)
        if size == 0:
            break
        message.body += reader.take(size)
        end = reader.take(min(2, max(1, len(reader.rest()))))
        if not b"\r\n".startswith(end):
            raise Refused("chunk data end")
        if end == b"\r":
            raise Incomplete
    read_trailers(reader, message)


def read_trailers(reader, message):
    for name, value in read_fields(reader, TRAILER_BYTES, TRAILERS):
        if name in NOT_IN_TRAILERS:
            raise Refused("trailer")
        message.trailers.append(f"{name.decode()}: {value.decode('latin-1')}")


def responses(data, methods, ended=True):
    """Responses as a client reads them that sent requests with `methods`; `ended`: the server closed behind them."""
    reader, messages, methods = Reader(data), [], list(methods)
    try:
        while methods:
            method, interim = methods.pop(0), 0
            while True:
                head, status = response_head(reader, method)
                message = cases.Message(str(status))
                end = read_response_body(reader, message, head, status, method, ended)
                messages.append(message)
                if end:
                    return Reading(messages, end, reader.rest())
                if status >= 200:
                    break
                interim += 1
                if interim > INTERIM:
                    messages.pop()
                    raise Refused("interim responses")
    except Refused as refusal:
        return Reading(messages, "refused", str(refusal))
    except Incomplete:
        return Reading(messages, "waits")
    return Reading(messages, "idle") if reader.empty() else Reading(messages, "refused", "surplus")


def response_head(reader, method):
    head = read_head(reader)
    version, _, rest = head.start.partition(b" ")
    check_version(version)
    status = re.fullmatch(rb"([1-9]\d\d)( [\t\x20-\x7e\x80-\xff]*)?", rest)
    if not status:
        raise Refused("status line")
    if status[1] == b"101" and "+upgrade" not in method:
        raise Refused("101 unasked")
    return head, int(status[1])


def read_response_body(reader, message, head, status, method, ended):
    """Reads the body; an end in the words of README.md if none but this message can be read."""
    version = head.start[:8]
    length = body_length(head, version)
    if length == "chunked" and (status < 200 or status == 204):
        raise Refused("Transfer-Encoding")
    if status == 101 or (method == "CONNECT" and 200 <= status < 300):
        return "tunnel"
    if status < 200 and status != 101:
        return None
    if method != "HEAD" and status not in (204, 304):
        if length is None:
            if not ended:
                raise Incomplete
            message.body = reader.take(len(reader.rest()))
            return "closed"
        read_body(reader, message, length)
    return None if persists(head, version) else "closed"


def main():
    wrong = [line for case in cases.all_cases() if (line := disagreement(case))]
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"strict: {len(wrong)} of {len(cases.all_cases())} cases read differently")
    return int(bool(wrong))


def disagreement(case):
    if case.role == "request":
        found = requests(case.send, switches=case.end == "tunnel")
    else:
        methods = [] if case.method == "nothing" else [case.method]
        found = responses(case.send, methods)
    same = found.end == case.end and found.messages == case.messages
    if found.end == "tunnel":
        same &= found.detail == cases.unescaped(case.detail)
    return "" if same else f"{case.file}:{case.line}: {case.name}: {found}"


if __name__ == "__main__":
    sys.exit(main())
