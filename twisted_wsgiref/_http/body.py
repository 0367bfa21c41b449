"""A request's body on the wire: its end, and the content in it. Other modules decide where content is kept.

Both kinds share one interface: ``feed`` takes bytes and returns the content in them, and how many of them belong to
the body. ``complete`` becomes true with the body's last byte.
"""

from __future__ import annotations

import re
from typing import Final

from .errors import ProtocolError
from .limits import Limits
from .request_framing import CHUNKED


class LengthBody:
    """A body of a known number of bytes. RFC 9112, section 6.2."""

    __slots__ = ("_remaining", "complete")

    def __init__(self, length: int) -> None:
        self._remaining = length
        self.complete = length == 0

    def feed(self, data: bytes | bytearray) -> tuple[bytes, int]:
        """Return the content in `data`, and how many bytes of `data` belong to the body."""
        taken = min(len(data), self._remaining)
        self._remaining -= taken
        self.complete = self._remaining == 0
        return bytes(data if taken == len(data) else data[:taken]), taken


# RFC 9112, section 7.1: the size, then extensions, each of which is a name and perhaps a token or a quoted string.
# "Bad" white space around semicolon and equals sign is dropped with them, as RFC 9110, section 5.6.3, demands of a
# recipient. Elsewhere, such as between the size and the line's end, the grammar has none. No line matches in two ways.
# Sixteen hexadecimal digits would overflow a signed 64 bit number in some other program.
_CHUNK_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,15})"
    rb"(?:[\t ]*;[\t ]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
    rb'(?:[\t ]*=[\t ]*(?:[!#$%&\'*+\-.^_`|~0-9A-Za-z]+|"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"))?)*\r\n'
)
_TRAILER_LINE: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n")
_LINE_BREAK: Final = b"\r\n"


class ChunkedBody:
    """A body in chunks, strictly by the grammar. It checks and bounds extensions and trailers, and drops them.

    RFC 9112, section 7.1. Trailers never reach an application: a field that comes after the checks could undo them.
    """

    __slots__ = ("_held", "_limits", "_remaining", "_state", "_trailer_room", "complete")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = bytearray()  # the start of a line whose end has not come
        self._remaining = 0
        self._trailer_room = limits.trailers
        self._state = _SIZE
        self.complete = False

    def feed(self, data: bytes | bytearray) -> tuple[bytes, int]:
        """Return the content in `data`, and how many bytes of `data` belong to the body.

        Raises `ProtocolError` (400 or 431).
        """
        before = len(self._held)  # so many of the bytes that are looked at now were fed before
        if before:
            size = len(data)
            self._held += data
            if not self._may_go_on(before):
                return b"", size
            data, self._held = self._held, bytearray()
        content: list[bytes | bytearray] = []
        position = 0
        end = len(data)
        while not self.complete:
            if self._state is _DATA:
                if position == end:
                    return b"".join(content), end - before
                piece = data[position : position + self._remaining]
                content.append(piece)
                position += len(piece)
                self._remaining -= len(piece)
                if not self._remaining:
                    self._state = _DATA_END
                continue
            taken = self._take_line(data, position)
            if taken < 0:
                self._held += data[position:]
                return b"".join(content), end - before
            position = taken
        return b"".join(content), position - before

    def _may_go_on(self, searched: int) -> bool:
        """Return whether the held bytes are worth a look; those before `searched` have been looked at.

        With this question, bytes that come one at a time cost no more than all at once.
        """
        held = self._held
        if self._state is _SIZE:
            return len(held) >= self._limits.chunk_line or b"\n" in held[searched:]
        if self._state is _TRAILER:
            return len(held) >= self._trailer_room or b"\n" in held[searched:]
        return True

    def _take_line(self, data: bytes | bytearray, start: int) -> int:
        """Take a part that is not content. Return where it ends, or -1 if its end has not come."""
        if self._state is _SIZE:
            return self._take_size(data, start)
        if self._state is _DATA_END:
            have = data[start : start + 2]
            if have == _LINE_BREAK:
                self._state = _SIZE
                return start + 2
            if _LINE_BREAK.startswith(have):
                return -1
            raise ProtocolError(400, "a chunk is longer than its size")
        return self._take_trailer(data, start)

    def _take_size(self, data: bytes | bytearray, start: int) -> int:
        end = data.find(b"\n", start, start + self._limits.chunk_line)
        if end < 0:
            if len(data) - start >= self._limits.chunk_line:
                raise ProtocolError(400, "the line of a chunk's size is too long")
            return -1
        line = _CHUNK_LINE.fullmatch(data, start, end + 1)
        if line is None:
            raise ProtocolError(400, "the line of a chunk's size is malformed")
        self._remaining = int(line[1], 16)
        self._state = _DATA if self._remaining else _TRAILER
        return end + 1

    def _take_trailer(self, data: bytes | bytearray, start: int) -> int:
        have = data[start : start + 2]
        if have == _LINE_BREAK:
            self.complete = True
            return start + 2
        if _LINE_BREAK.startswith(have):
            return -1
        end = data.find(b"\n", start, start + self._trailer_room)
        if end < 0:
            if len(data) - start >= self._trailer_room:
                raise ProtocolError(431, "the trailers are too long")
            return -1
        if _TRAILER_LINE.fullmatch(data, start, end + 1) is None:
            raise ProtocolError(400, "a trailer field is malformed")
        self._trailer_room -= end + 1 - start
        return end + 1


class _State:
    """The part that a `ChunkedBody` waits for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


_SIZE: Final = _State("the line of a chunk's size")
_DATA: Final = _State("a chunk's content")
_DATA_END: Final = _State("the line end after a chunk")
_TRAILER: Final = _State("a trailer, or the empty line")


def body_of(length: int, limits: Limits) -> LengthBody | ChunkedBody:
    """Return the reader of a request's body, whose head told `length`, in bytes or `CHUNKED`."""
    return ChunkedBody(limits) if length == CHUNKED else LengthBody(length)
