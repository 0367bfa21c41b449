"""What goes out before an answer's body: the head, and how the body's end will be told.

The fields arrive here checked (`_gateway.fields` does it, in the application's own thread); this module knows which
of them the server adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final

#: Sent before a body that the client holds back until asked. RFC 9110, section 15.2.1.
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
#: What a client hears that does not speak TLS where TLS is expected.
NOT_TLS: Final = b"This port speaks TLS: use https:// to reach it.\n"
#: The chunk that ends a chunked body, and the empty trailer section. RFC 9112, section 7.1.
LAST_CHUNK: Final = b"0\r\n\r\n"

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


def interim_answer(status: int, lines: str = "") -> bytes:
    """Return an interim answer with field `lines`. RFC 9110, section 15.2. Only for clients of HTTP/1.1."""
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}\r\n".encode("latin-1")


@dataclass(frozen=True, slots=True)
class Framing:
    """How the end of an answer's body is told.

    ``code`` is the status as a number, ``lines`` are the field lines that tell the end. ``bodyless`` answers end with
    their head. ``length`` is what a Content-Length promises in bytes, None where none does. If the answer is neither
    chunked nor of a known length, the connection's end ends it, and ``persistent`` is false.
    """

    code: int
    lines: str
    chunked: bool
    bodyless: bool
    length: int | None
    persistent: bool


# Most answers have a head that another had before, but for its date.
@lru_cache(maxsize=256)
def make_head(
    status: str, lines: str, head: bool, minor: int, given: int | None, known: int | None, keep: bool
) -> tuple[bytes, Framing]:
    """Return the head of an answer with field `lines`, without what `ServerFields` ends it with, and its framing.

    The rest is as for `decide_framing`.
    """
    framing = decide_framing(status, head, minor, given, known, keep)
    if given is not None and framing.bodyless and forbids_length(status):
        lines = _without(lines, "content-length")
    return f"HTTP/1.1 {status}\r\n{lines}{framing.lines}".encode("latin-1"), framing


def _without(lines: str, name: str) -> str:
    # Not splitlines(): a value may hold U+0085, which is a line's end to that.
    return "".join(f"{line}\r\n" for line in lines.split("\r\n")[:-1] if line.partition(":")[0].lower() != name)


def decide_framing(status: str, head: bool, minor: int, given: int | None, known: int | None, keep: bool) -> Framing:
    """Return the framing of an answer of `status` to a request (HEAD if `head`) of HTTP/1.`minor`.

    `given` is the application's Content-Length, `known` the body's length where it is known; `keep` says that the
    connection may live on. RFC 9112, section 6.3; RFC 9110, section 8.6. Raises `ValueError` where `known` is not what
    `given` says.
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


def chunk(data: bytes) -> bytes:
    """Return `data`, of which there must be some, as one chunk. RFC 9112, section 7.1."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def error_answer(status: int, end: bytes, extra: str = "", *, head: bool = False, body: bytes = b"") -> bytes:
    """Return the whole answer to a request that never reaches an application; the connection closes after it.

    `end` is what `ServerFields` ends a head with, `extra` are field lines with their line ends; the answer to a HEAD is
    its `head` alone. The body is fixed text, `body` or that of the `status`: nothing of the request comes back to where
    a browser might execute it.
    """
    body = body or _ERROR_BODIES[status]
    phrase = HTTPStatus(status).phrase
    text = (
        f"HTTP/1.1 {status} {phrase}\r\n{extra}Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n"
    )
    return text.encode("latin-1") + end + (b"" if head else body)


def error_size(status: int, method: str = "") -> int:
    """Return how many bytes of content the `error_answer` to a request of `method` has."""
    return 0 if method == "HEAD" else len(_ERROR_BODIES[status])


class ServerFields:
    """What the server ends the head of an answer with; Date is formatted once a second."""

    __slots__ = ("_date", "_end", "_second", "_server")

    def __init__(self, server: str) -> None:
        self._server = f"Server: {server}\r\n".encode("latin-1") if server else b""
        self._second = -1
        self._date = self._end = b""

    def end(self, now: float, date: bool = True, server: bool = True) -> bytes:
        """Return the Date and Server lines at `now`, in seconds since the epoch, and the empty line after all fields.

        Without what the application gave itself. RFC 9110, sections 6.6.1 and 10.2.4. Called in any thread: who comes
        second writes the same.
        """
        second = int(now)
        if second != self._second:
            self._date = f"Date: {formatdate(second, usegmt=True)}\r\n".encode("latin-1")
            self._end = self._date + self._server + b"\r\n"
            self._second = second
        if date and server:
            return self._end
        return (self._date if date else b"") + (self._server if server else b"") + b"\r\n"
