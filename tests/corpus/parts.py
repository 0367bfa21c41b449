"""What an entry of the corpus is, and the few shapes that most of them are cut from. The entries live elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field

HOST = b"Host: example.com\r\n"

#: A request of its own, put after many hostile ones: whoever answers it has been smuggled to.
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n"

BAD: tuple[int, ...] = (400,)
#: RFC 9112, section 6.1: 501 for a coding that is not understood; 400 where it is no coding at all.
CODING: tuple[int, ...] = (400, 501)
#: RFC 9110, section 2.5 and 15.6.6: what is no version of HTTP is malformed, what is another version is 505.
VERSION: tuple[int, ...] = (400, 505)


@dataclass(frozen=True, slots=True)
class Hostile:
    """Octets that a server refuses, with one of `statuses`, before it has answered anything else.

    `clause` names the RFC's section, or the advisory in which somebody's server was caught.
    """

    name: str
    octets: bytes
    clause: str
    statuses: tuple[int, ...] = BAD


@dataclass(frozen=True, slots=True)
class Valid:
    """Octets of exactly one request that a server serves, and what its application then sees.

    `fields` has the environ's names, `body` is what the body decodes to.
    """

    name: str
    octets: bytes
    clause: str
    method: str = "GET"
    path: str = "/"
    query: str = ""
    fields: dict[str, str] = field(default_factory=lambda: {"HTTP_HOST": "example.com"})
    body: bytes = b""
    persistent: bool = True


@dataclass(frozen=True, slots=True)
class Truncated:
    """The start of a request whose sender stops in the middle; nobody may take it for a whole one."""

    name: str
    octets: bytes
    clause: str


def get(fields: bytes = b"", line: bytes = b"GET / HTTP/1.1") -> bytes:
    """Return a request with a right Host, and `fields`, which have their line ends."""
    return line + b"\r\n" + HOST + fields + b"\r\n"


def post(fields: bytes, body: bytes = b"") -> bytes:
    return get(fields, b"POST / HTTP/1.1") + body


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked\r\n", body)


def coded(field_line: bytes) -> bytes:
    """Return a request whose end depends on whether `field_line` is taken for Transfer-Encoding: chunked."""
    return post(field_line + b"\r\n", b"0\r\n\r\n" + NEXT)


def counted(value: bytes, body: bytes = b"0123456789") -> bytes:
    """Return a request whose end depends on how `value` is read as Content-Length."""
    return post(b"Content-Length:" + value + b"\r\n", body + NEXT)


def hosted(fields: bytes) -> bytes:
    """Return a request with `fields` where Host should be."""
    return b"GET / HTTP/1.1\r\n" + fields + b"\r\n"
