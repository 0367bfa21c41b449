"""Where a head ends: the octets of one connection, kept until they are a whole head, and what came after it.

A head is parsed once, when its last octet is there: that every split of the same octets gives the same message is
true by construction. Of an incomplete head only its limits are watched, and mistakes that no further octet could
mend, so that a client that will never finish is not waited for.
"""

from __future__ import annotations

import re
from typing import Final

from .errors import ProtocolError
from .head import RequestHead, check_lines, is_request_line, parse_head, refuse_request_line
from .limits import Limits

# RFC 9112, section 2.2: CR LF only. A bare LF would be a line end to some and a character to others. The other
# control characters are nowhere allowed; the first of a TLS handshake sent to a plain port is one of them.
_NEVER: Final = re.compile(rb"(?<!\r)\n|\r[^\n]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class HeadReader:
    """The octets of a connection that are not understood yet, and the next head in them."""

    __slots__ = ("_buffer", "_forgiven", "_limits", "_line_start", "_searched")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer: bytes | bytearray = b""
        self._start_head()

    def _start_head(self) -> None:
        self._searched = 0  # before this there is no end of a head, and nothing forbidden
        self._line_start = 0  # where the line that is still incomplete starts; 0: the request line
        self._forgiven = False  # whether the empty line that may come first has come

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, octets: bytes) -> None:
        """Keep `octets` behind what is there."""
        if not self._buffer:
            self._buffer = octets
        else:
            if type(self._buffer) is bytes:
                # Appended to in place: one octet at a time costs no more than all at once.
                self._buffer = bytearray(self._buffer)
            self._buffer += octets

    def take_head(self) -> RequestHead | None:
        """Return the next head, once it is complete. Raises `ProtocolError`; nothing may be asked after that."""
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n", self._searched)
        if end < 0 or end + 2 > self._limits.head or buffer.startswith(b"\r\n"):
            return self._take_slowly(end)
        head = parse_head(bytes(buffer[: end + 2]), self._limits)
        self._buffer = bytes(buffer[end + 4 :])
        self._start_head()
        return head

    def take_rest(self) -> bytes:
        """Return and forget all octets that are there: they follow a head, and belong to its body."""
        rest, self._buffer = bytes(self._buffer), b""
        return rest

    def put_back(self, octets: bytes) -> None:
        """Put back what of `take_rest`'s octets turned out to follow the body."""
        self._buffer = octets

    def _take_slowly(self, end: int) -> RequestHead | None:
        buffer, limits = self._buffer, self._limits
        if buffer.startswith(b"\r\n") and not self._forgiven:
            # RFC 9112, section 2.2: one empty line before a request is forgiven.
            self._buffer = bytes(buffer[2:])
            self._searched = 0
            self._forgiven = True
            return self.take_head()
        if _NEVER.search(buffer, max(0, self._searched - 1)) is not None:
            raise ProtocolError(400, "a character that no head may hold")
        if self._line_start == 0:
            self._check_request_line()
        self._line_start = max(self._line_start, buffer.rfind(b"\r\n", self._searched) + 2)
        if len(buffer) - self._line_start > limits.field:
            check_lines(buffer, limits)
        if end + 2 > limits.head or len(buffer) > limits.head:
            check_lines(buffer, limits)
            raise ProtocolError(431, "the header fields are too long")
        self._searched = max(0, len(buffer) - 3)
        return None

    def _check_request_line(self) -> None:
        # A client of HTTP/0.9 sends one line and waits: it is told at once, not at the deadline.
        end = self._buffer.find(b"\r\n", self._searched)
        if (len(self._buffer) if end < 0 else end) > self._limits.request_line:
            raise ProtocolError(414, "the request line is too long")
        if end >= 0:
            line = bytes(self._buffer[: end + 2])
            if not is_request_line(line):
                refuse_request_line(line.decode("latin-1"))
