"""Reads the case files of this folder; README.md says what is in them."""

import dataclasses
import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
HEAD = re.compile(r"(request) ([a-z0-9.-]+)|(response) ([a-z0-9.-]+) to ([A-Z]+(?:\+upgrade)?|nothing)")
ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\", "s": b" "}
ENDS = ("idle", "closed", "waits", "tunnel", "refused")


@dataclasses.dataclass
class Message:
    start: str  # "METHOD TARGET" or "STATUS"
    body: bytes = b""
    trailers: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Case:
    file: str
    line: int
    role: str
    name: str
    method: str = ""  # of the request that a response answers
    source: str = ""
    send: bytes = b""
    messages: list = dataclasses.field(default_factory=list)
    end: str = ""
    detail: str = ""  # the rule of a refusal, the bytes of a tunnel


def all_cases():
    return [case for path in sorted(FOLDER.glob("*.txt")) for case in read(path)]


def read(path):
    case = None
    for number, line in enumerate(path.read_text("ascii").splitlines(), 1):
        if line.startswith("#"):
            continue
        if not line:
            if case:
                yield case
            case = None
        elif case is None:
            case = begin(path, number, line)
        else:
            add(case, line, f"{path.name}:{number}")
    if case:
        yield case


def begin(path, number, line):
    head = HEAD.fullmatch(line)
    if not head:
        raise ValueError(f"{path.name}:{number}: neither a request nor a response: {line}")
    role, name = head[1] or head[3], head[2] or head[4]
    return Case(path.name, number, role, name, head[5] or "")


def add(case, line, place):
    word, _, rest = line.partition(" ")
    if word == "from":
        case.source = rest
    elif word == "send":
        case.send += unescaped(rest)
    elif word == "message":
        start, _, times = rest.partition(" times ")
        case.messages += [Message(start) for _ in range(int(times or 1))]
    elif word == "body":
        case.messages[-1].body = unescaped(rest)
    elif word == "trailer":
        case.messages[-1].trailers.append(rest)
    elif word in ENDS:
        case.end, case.detail = word, rest
    elif word not in ("authority", "keeps", "drops"):
        raise ValueError(f"{place}: no such line: {word}")


def unescaped(text):
    out, rest = escaped_run(text, 0)
    if rest != len(text):
        raise ValueError(f"an unopened brace in {text}")
    return out


def escaped_run(text, at):
    """The bytes up to the end or to the brace that closes a repetition, and where that is."""
    out = bytearray()
    while at < len(text) and text[at] != "}":
        if text[at] != "\\":
            out += text[at].encode("ascii")
            at += 1
        elif text[at + 1] == "x":
            out.append(int(text[at + 2 : at + 4], 16))
            at += 4
        elif text[at + 1] == "{":
            star = text.index("*", at)
            inner, end = escaped_run(text, star + 1)
            out += inner * int(text[at + 2 : star])
            at = end + 1
        else:
            out += ESCAPES[text[at + 1]]
            at += 2
    return bytes(out), at
