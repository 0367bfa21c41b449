"""The bytes of an answer that says which request it answers: HTTP/1's, and X-Request-ID.

Apart from `coder`, so that a service which identifies no requests does not ask each of them.
"""

from __future__ import annotations

from .coder import MOST_JOINED, HTTP1Coder
from .head import RequestHead
from .request_id import FIELD, is_identified
from .response import Fields, Framing, make_head


class IdentifyingCoder(HTTP1Coder):
    """As `HTTP1Coder`. Behind the application's fields each answer has the request's id, unless it has one already."""

    __slots__ = ()

    def whole(
        self, request: RequestHead, status: str, fields: Fields, body: bytes, keep: bool, now: float
    ) -> tuple[bytes | tuple[bytes, bytes], Framing]:
        """Return the answer to `request`, in two parts if the body is large."""
        head, framing = make_head(
            status, fields.lines, request.method == "HEAD", request.minor, fields.length, len(body), keep
        )
        head += self._end_of(request, fields, now)
        if framing.bodyless:
            return head, framing
        return head + body if len(body) <= MOST_JOINED else (head, body), framing

    def head(
        self, request: RequestHead, status: str, fields: Fields, known: int | None, keep: bool, now: float
    ) -> tuple[bytes, Framing]:
        """Return the head of the answer to `request`, and its framing."""
        head, framing = make_head(
            status, fields.lines, request.method == "HEAD", request.minor, fields.length, known, keep
        )
        return head + self._end_of(request, fields, now), framing

    def _end_of(self, request: RequestHead, fields: Fields, now: float) -> bytes:
        """Return the server's own lines and the empty line: the id's is not among those that are remembered."""
        end = self._end_head(fields, now)
        ident = request.request_id
        return f"{FIELD}: {ident}\r\n".encode() + end if ident and not is_identified(fields.lines) else end
