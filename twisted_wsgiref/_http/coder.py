"""The bytes of an answer on a connection of HTTP/1: its head, its blocks and its end. RFC 9112.

Each other version of HTTP has a coder of its own, with the methods of `_gateway.interfaces.Coder`. So neither an answer
nor the handler that makes it knows the form of an answer on the wire.
"""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from .head import RequestHead
from .response import Fields, Framing, Piece, error_answer, make_head

# A body of at most so many bytes is joined to its head: from 32 KiB on the copy costs more than the kernel's work to
# gather two parts.
MOST_JOINED: Final = 16 * 1024
_NO_FRAMING: Final = Framing(0, "", False, False, None, False)


class HTTP1Coder:
    """Writes the answers of a service, and adds the fields that the server adds: Date, and Server with `server`.

    Without `server`, a `str`, answers carry no Server field. Every `now` is in seconds since the epoch. Called in any
    thread: if two come at once, both write the same.
    """

    __slots__ = ("_date", "_end", "_last", "_second", "_server", "_until")

    #: The chunk that ends a chunked body, and the empty trailer section. RFC 9112, section 7.1.
    last_block: Final = b"0\r\n\r\n"

    def __init__(self, server: str) -> None:
        self._server = f"Server: {server}\r\n".encode("latin-1") if server else b""
        self._second = self._until = -1.0  # the stamp is good from the one to before the other
        self._date = self._end = b""
        # What the last whole answer was made from, and its head: most answers of a second have the head of the one
        # before. One value, since other threads read it.
        self._last: tuple[Fields | None, tuple[object, ...], bytes, Framing] = (None, (), b"", _NO_FRAMING)

    # ---- An answer ---------------------------------------------------------------------------------------------

    def whole(
        self, request: RequestHead, status: str, fields: Fields, body: bytes, keep: bool, now: float
    ) -> tuple[bytes | tuple[bytes, bytes], Framing]:
        """Return the answer to `request`, in two parts if the body is large. The arguments are those of `head`."""
        size = len(body)
        if now >= self._until or now < self._second:
            self._stamp(now)
        made_of = (self._end, status, size, request.method, request.minor, keep)
        known = self._last
        if known[0] is fields and known[1] == made_of:
            head, framing = known[2], known[3]
        else:
            head, framing = make_head(
                status, fields.lines, request.method == "HEAD", request.minor, fields.length, size, keep
            )
            head += self._end_head(fields, now)
            self._last = fields, made_of, head, framing
        if framing.bodyless:
            return head, framing
        return head + body if size <= MOST_JOINED else (head, body), framing

    def head(
        self, request: RequestHead, status: str, fields: Fields, known: int | None, keep: bool, now: float
    ) -> tuple[bytes, Framing]:
        """Return the head of the answer to `request`, and its framing.

        `known` is the size of the body in bytes, None if nobody knows it yet. `keep` says that the connection may live
        on. Raises `ValueError` if `known` and the Content-Length in `fields` differ.
        """
        head, framing = make_head(
            status, fields.lines, request.method == "HEAD", request.minor, fields.length, known, keep
        )
        return head + self._end_head(fields, now), framing

    def join(self, head: Piece, block: bytes) -> Piece | tuple[Piece, bytes]:
        """Return `head` with the first `block` of the body, which the method `block` has framed if it had to."""
        return head + block if isinstance(head, bytes) and len(block) <= MOST_JOINED else (head, block)

    def block(self, data: bytes) -> bytes:
        """Return `data`, which must not be empty, as a part of a chunked body. RFC 9112, section 7.1."""
        return b"%x\r\n%b\r\n" % (len(data), data)

    def interim(self, status: int, lines: str = "") -> bytes:
        """Return an interim answer with field `lines`. Only for clients of HTTP/1.1. RFC 9110, section 15.2."""
        return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}\r\n".encode("latin-1")

    def error(self, status: int, now: float, extra: str = "", *, head: bool = False, body: bytes = b"") -> bytes:
        """Return the whole answer to a request that reaches no target; as `error_answer`."""
        self._stamp(now)
        return error_answer(status, self._end, extra, head=head, body=body)

    # ---- The server's own fields -------------------------------------------------------------------------------

    def _end_head(self, fields: Fields, now: float) -> bytes:
        """Return the lines of Date and Server that `fields` lack, and the empty line. RFC 9110, 6.6.1 and 10.2.4."""
        self._stamp(now)
        if not fields.has_date and not fields.has_server:
            return self._end
        return (b"" if fields.has_date else self._date) + (b"" if fields.has_server else self._server) + b"\r\n"

    def _stamp(self, now: float) -> None:
        if now >= self._until or now < self._second:
            second = int(now)
            self._date = f"Date: {formatdate(second, usegmt=True)}\r\n".encode("latin-1")
            self._end = self._date + self._server + b"\r\n"
            # Last: a thread that finds both finds the others, too.
            self._until = second + 1.0
            self._second = float(second)
