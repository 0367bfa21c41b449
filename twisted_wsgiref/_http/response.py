"""The bytes before an answer's body: the head, and the framing, which tells the body's end.

The fields arrive here checked (`_gateway.fields` does it, in the application's own thread).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Final

#: The answer to a client that does not speak TLS on a port that does.
NOT_TLS: Final = b"This port speaks TLS: use https:// to reach it.\n"

_ERROR_BODIES: Final[dict[int, bytes]] = {
    400: b"The request is malformed.\n",
    408: b"The request took too long to arrive.\n",
    413: b"The request's body is too large.\n",
    414: b"The request's target is too long.\n",
    417: b"The request's expectation can not be met.\n",
    431: b"The request's header fields are too large.\n",
    500: b"The application failed.\n",
    501: b"The request asks for something that this server does not do.\n",
    503: b"The server is busy. Try again later.\n",
    504: b"The application took too long.\n",
    505: b"This server speaks HTTP/1.0 and HTTP/1.1.\n",
}


# No named tuple: each answer reads the parts, and unpacking a named tuple costs five times as much.
@dataclass(frozen=True, slots=True)
class Fields:
    """Header fields that can be sent: their ``lines``, each with its line end, and the facts that the server needs.

    ``length`` is their Content-Length in bytes, None if there is none.
    """

    lines: str
    length: int | None
    has_date: bool
    has_server: bool


@dataclass(frozen=True, slots=True)
class UncodedHead:
    """The head of an answer, before it is written: for a wire whose heads depend on earlier ones (HPACK).

    ``status`` is three digits and a phrase, ``lines`` are field lines, each with its line end.
    """

    status: str
    lines: str

    def __len__(self) -> int:
        return len(self.status) + len(self.lines)


#: A part of an answer as its coder gives it away.
Piece = bytes | UncodedHead


@dataclass(frozen=True, slots=True)
class Framing:
    """The way in which an answer tells the end of its body.

    ``code`` is the status as a number, ``lines`` are the field lines that tell the end. ``bodyless`` answers end with
    their head. ``length`` is the number of bytes that a Content-Length promises, None if there is none. If the answer
    is neither chunked nor of a known length, the connection's end ends it, and ``persistent`` is false.
    """

    code: int
    lines: str
    chunked: bool
    bodyless: bool
    length: int | None
    persistent: bool


# Most answers have a head that another answer had before, but for its date.
@lru_cache(maxsize=256)
def make_head(
    status: str, lines: str, head: bool, minor: int, given: int | None, known: int | None, keep: bool
) -> tuple[bytes, Framing]:
    """Return the head of an answer with field `lines`, without the fields that the server adds, and its framing.

    The other arguments are those of `decide_framing`.
    """
    framing = decide_framing(status, head, minor, given, known, keep)
    if given is not None and framing.bodyless and forbids_length(status):
        lines = _without(lines, "content-length")
    return f"HTTP/1.1 {status}\r\n{lines}{framing.lines}".encode("latin-1"), framing


def _without(lines: str, name: str) -> str:
    # Not splitlines(): a value may hold U+0085, which splitlines() takes for the end of a line.
    return "".join(f"{line}\r\n" for line in lines.split("\r\n")[:-1] if line.partition(":")[0].lower() != name)


def decide_framing(status: str, head: bool, minor: int, given: int | None, known: int | None, keep: bool) -> Framing:
    """Return the framing of an answer of `status` to a request (HEAD if `head`) of HTTP/1.`minor`.

    `given` is the application's Content-Length, `known` the body's length if it is known; `keep` says that the
    connection may live on. RFC 9112, section 6.3; RFC 9110, section 8.6. Raises `ValueError` if `known` and `given`
    differ.
    """
    code = status[:3]
    without_length = forbids_length(status)
    chunked = False
    length: int | None = None
    lines = ""
    bodyless = head or without_length or code == "304"
    if bodyless:
        if head and known and given is None and not without_length and code != "304":
            lines = f"Content-Length: {known}\r\n"
    elif given is not None:
        length = given
        if known is not None and known != given:
            raise ValueError(f"the body has {known} bytes, its Content-Length says {given}")
    elif known is not None:
        length = known
        lines = f"Content-Length: {known}\r\n"
    elif minor:
        chunked = True
        lines = "Transfer-Encoding: chunked\r\n"
    else:
        keep = False
    if not keep:
        lines += "Connection: close\r\n"
    elif not minor:
        lines += "Connection: keep-alive\r\n"
    return Framing(int(code), lines, chunked, bodyless, length, keep)


def forbids_length(status: str) -> bool:
    """Return whether an answer must not carry Content-Length. RFC 9110, section 8.6."""
    return status[0] == "1" or status[:3] == "204"


def error_answer(status: int, end: bytes, extra: str = "", *, head: bool = False, body: bytes = b"") -> bytes:
    """Return the whole answer to a request that never reaches an application; the connection closes after it.

    `end` are the fields that the server adds, and the empty line. `extra` are field lines with their line ends. The
    answer to a HEAD is its `head` alone. The body is fixed text, `body` or that of the `status`: no part of the request
    comes back, so a browser can not execute any.
    """
    body = body or _ERROR_BODIES[status]
    phrase = HTTPStatus(status).phrase
    text = (
        f"HTTP/1.1 {status} {phrase}\r\n{extra}Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n"
    )
    return text.encode("latin-1") + end + (b"" if head else body)


def error_size(status: int, method: str = "") -> int:
    """Return the number of bytes of content in the `error_answer` to a request of `method`."""
    return 0 if method == "HEAD" else len(_ERROR_BODIES[status])


def error_body(status: int) -> bytes:
    """Return the fixed text that answers a request with an error `status` of the server's own."""
    return _ERROR_BODIES[status]
