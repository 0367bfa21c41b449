"""Damage to messages, and messages written down again. Chance is handed in, so every run can be repeated."""

from __future__ import annotations

import random
from collections.abc import Sequence

from .drive import Message

#: What parsers disagree about, to be put where it does not belong.
PIECES = (
    *(bytes([code]) for code in (0, 9, 10, 11, 12, 13, 32, 34, 35, 37, 43, 44, 45, 58, 59, 92, 95, 127, 133, 160, 255)),
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n ",
    b"\r\r\n",
    b"0\r\n\r\n",
    b"0x",
    b"chunked",
    b", ",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 5\r\n",
    b"Host: b\r\n",
    b"GET / HTTP/1.1\r\n",
    b" HTTP/1.1",
    b"%00",
    b"%",
    b"http://example.com",
    b"9" * 20,
    b"f" * 16,
    b" " * 300,
    b"a" * 300,
    b";a=b" * 80,
)


def mutate(octets: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """Return `octets` with one to five kinds of damage, some with parts of `others`."""
    data = bytearray(octets)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
        at = chance.randrange(len(data) + 1)
        span = min(chance.choice((1, 1, 2, 5, 20, 100)), len(data) - at)
        kind = chance.randrange(7)
        if kind == 0:
            data[at : at + span] = b""
        elif kind == 1:
            data[at:at] = chance.choice(PIECES)
        elif kind == 2 and span:
            data[at] = chance.randrange(256)
        elif kind == 3:
            data[at:at] = bytes(data[at : at + span]) * chance.choice((1, 2, 50))
        elif kind == 4:
            other = chance.choice(others)
            start = chance.randrange(len(other) + 1)
            data[at:at] = other[start : start + chance.choice((5, 50, 500))]
        elif kind == 5 and span:
            data[at] ^= 1 << chance.randrange(8)
        else:
            data += chance.choice(others)
    return bytes(data)


def rewrite(message: Message) -> bytes:
    """Return octets that say what `message` says, with the framing that it had."""
    lines = [f"{message.method} {message.target} HTTP/1.{message.minor}"]
    for key, value in message.fields.items():
        lines.append(f"{key.removeprefix('HTTP_').replace('_', '-')}: {value}")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    if "HTTP_TRANSFER_ENCODING" not in message.fields:
        return head + message.body
    if not message.body:
        return head + b"0\r\n\r\n"
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(message.body), message.body)


def settle(message: Message) -> Message:
    """Return `message` as it is when read again: the space at the end of joined empty values is padding then."""
    return message._replace(fields={key: value.rstrip(" \t") for key, value in message.fields.items()})
