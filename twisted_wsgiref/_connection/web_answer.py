"""The head of an answer on its way to `twisted.web`: coded by nobody before, and written into its request.

A body goes there as it is: `twisted.web` frames it.
"""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeAlias, TypeGuard, cast

from twisted.web.http import NO_BODY_CODES

from twisted_wsgiref._gateway.file_span import FileSpan
from twisted_wsgiref._http.head import RequestHead
from twisted_wsgiref._http.request_id import id_line, is_identified
from twisted_wsgiref._http.response import (
    Fields,
    Framing,
    Piece,
    UncodedHead,
    decide_framing,
    error_body,
    forbids_length,
)
from twisted_wsgiref._twisted.web_private import writes_plainly

from .answer_queue import BLOCK_COST, AnswerQueue
from .blocks import END

if TYPE_CHECKING:
    from twisted.internet import tcp
    from twisted.web.http import HTTPChannel
    from twisted.web.server import Request

#: What is given to a request: bytes, or a head for it to write. Files are read before.
Given: TypeAlias = bytes | memoryview | UncodedHead
# Fields that an answer has once, whoever has set one before: twisted.web sets some of them itself.
_ONCE: Final = frozenset((b"server", b"date", b"content-length", b"content-type", b"connection"))


class WebQueue(AnswerQueue):
    """The queue of one answer at a time on its way to a request of `twisted.web`. Called in the reactor's thread."""

    __slots__ = ()

    def take_whole(self, most: int) -> list[Given] | None:
        """Return all blocks, and take the end with them, if the answer is all there, without a file, in `most` bytes.

        Most answers are: taken piece by piece they would cost four times as much.
        """
        with self.lock:
            blocks = [block for block in self._blocks if not isinstance(block, FileSpan)]
            if not self._ended or self._pending > most or len(blocks) < len(self._blocks):
                return None
            self._blocks.clear()
            self._pending = 0
            self._scheduled = False
            self.under_way = True
            calls = self._open_room()
        for call in calls:
            call()
        return blocks

    def drop(self) -> bool:
        """Forget what waits, and close its files; return whether nothing more will come."""
        while (block := self.take()) is not None:
            if block is END:
                return True
            if isinstance(block, FileSpan):
                block.close()
        return False

    def give_back(self, block: bytes | memoryview) -> None:
        """Have `block`, of which nothing was given, taken again next."""
        with self.lock:
            if not self.gone:
                self._blocks.appendleft(block)
                self._pending += len(block) + BLOCK_COST


def split_whole(blocks: list[Given]) -> tuple[UncodedHead, bytes] | None:
    """Return the head and the body of an answer that is all there; None if there is another head, of an interim one."""
    head = blocks[0] if blocks else b""
    body = b"" if len(blocks) < 2 else blocks[1] if len(blocks) == 2 else None
    if not isinstance(head, UncodedHead) or body is None or isinstance(body, UncodedHead):
        return None
    return head, bytes(body)


def refusal(status: int, request_id: str = "") -> tuple[UncodedHead, bytes]:
    """Return the head and the body of an answer of our own."""
    body = error_body(status)
    extra = "Retry-After: 1\r\n" if status == 503 else ""  # there was no room
    extra += id_line(request_id)
    lines = f"{extra}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
    return UncodedHead(f"{status} {HTTPStatus(status).phrase}", lines), body


class WebCoder:
    """Leaves heads as they are, for `twisted.web` to write, and bodies as they are, for it to frame."""

    __slots__ = ()

    #: There is none: `twisted.web` ends the body.
    last_block = b""

    def whole(
        self, request: RequestHead, status: str, fields: Fields, body: bytes, keep: bool, now: float
    ) -> tuple[Piece | tuple[Piece, bytes], Framing]:
        """Return the answer to `request` in two parts, and how the end of its body is told."""
        head, framing = self.head(request, status, fields, len(body), keep, now)
        return head if framing.bodyless or not body else (head, body), framing

    def head(
        self, request: RequestHead, status: str, fields: Fields, known: int | None, keep: bool, now: float
    ) -> tuple[Piece, Framing]:
        """Return the head of the answer, and how the end of its body is told. Raises `ValueError` as HTTP/1's does."""
        head, framing = _code_head(status, fields.lines, request.method == "HEAD", fields.length, known, keep)
        if request.request_id and not is_identified(fields.lines):
            head = UncodedHead(status, head.lines + id_line(request.request_id))
        return head, framing

    def join(self, head: Piece, block: bytes) -> tuple[Piece, bytes]:
        """Return both."""
        return head, block

    def block(self, data: bytes) -> bytes:
        """Return `data`."""
        return data

    def interim(self, status: int, lines: str = "") -> Piece:
        """Return an interim answer."""
        return UncodedHead(str(status), lines)

    def error(self, status: int, now: float, extra: str = "", *, head: bool = False, body: bytes = b"") -> bytes:
        """Return nothing: `twisted.web` answers what it refuses."""
        return b""


@lru_cache(maxsize=256)
def _code_head(
    status: str, lines: str, head: bool, given: int | None, known: int | None, keep: bool
) -> tuple[UncodedHead, Framing]:
    framing = decide_framing(status, head, 1, given, known, True)
    own = "" if framing.chunked else framing.lines
    return UncodedHead(status, lines + own), Framing(framing.code, own, False, framing.bodyless, framing.length, keep)


@lru_cache(maxsize=256)
def _pairs(lines: str, without_length: bool) -> tuple[tuple[bytes, bytes], ...]:
    """Return the names and values of field `lines`."""
    pairs = []
    for line in lines.encode("latin-1").split(b"\r\n")[:-1]:
        name, _, value = line.partition(b": ")
        if not (without_length and name.lower() == b"content-length"):
            pairs.append((name, value))
    return tuple(pairs)


def is_http1(channel: object) -> TypeGuard[HTTPChannel]:
    """Return whether `channel` has a connection that is one request's alone; in HTTP/2 it has no transport."""
    return getattr(channel, "transport", None) is not None


def write_head(request: Request, channel: object, head: UncodedHead, server: bytes, close: bool, alone: bool) -> None:
    """Set `head` in `request`, for it to write with the first block, or `alone`, now; or write an interim answer.

    `server` is our Server field, empty for none. With `close` the connection ends after the answer. Called in the
    reactor's thread.
    """
    code, _, phrase = head.status.partition(" ")
    if code[0] == "1":
        # In HTTP/2 Twisted has no way to send one.
        if is_http1(channel) and request.clientproto == b"HTTP/1.1":
            line = f"HTTP/1.1 {code} {HTTPStatus(int(code)).phrase}\r\n"
            channel.write(f"{line}{head.lines}\r\n".encode("latin-1"))
        return
    request.setResponseCode(int(code), phrase.encode("latin-1"))
    headers = request.responseHeaders
    if server:
        headers.setRawHeaders(b"server", [server])
    else:
        headers.removeHeader(b"server")
    for name, value in _pairs(head.lines, forbids_length(head.status)):
        if name.lower() in _ONCE:
            headers.setRawHeaders(name, [value])
        else:
            headers.addRawHeader(name, value)
    if close and is_http1(channel):
        headers.setRawHeaders(b"connection", [b"close"])
        channel.persistent = False
    if alone:  # the next block may be long in coming, as of an event stream
        request.write(b"")


def write_straight(request: Request, channel: object, body: bytes) -> bool:
    """Send the head that was set in `request`, and `body`, as one and at once; return whether that could be done.

    Twisted's way has each part of the head checked, and waits for the reactor to say that the socket can be written:
    a fifth of the time of a small answer. Called in the reactor's thread, and never within a call of the transport.
    """
    headers = request.responseHeaders
    bodyless = request.method == b"HEAD" or request.code in NO_BODY_CODES
    if not (bodyless or headers.hasHeader(b"content-length")):
        return False  # to be chunked
    if not (is_http1(channel) and writes_plainly(request, channel)):
        return False
    parts = [b"HTTP/1.1 %d %b\r\n" % (request.code, request.code_message)]
    for name, values in headers.getAllRawHeaders():
        for value in values:
            parts.append(b"%b: %b\r\n" % (name, value))
    parts.append(b"\r\n")
    if not bodyless:
        parts.append(body)
        request.sentLength += len(body)
    request.startedWriting = 1
    data = b"".join(parts)
    transport = cast("tcp.Connection", channel.transport)
    sent = transport.writeSomeData(data)
    if not isinstance(sent, int):  # the connection is lost, which the transport will find, too
        sent = 0
    if sent < len(data):
        transport.write(data[sent:])
    return True
