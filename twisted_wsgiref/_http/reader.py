"""The bytes of one connection, kept until they are a whole head, and the bytes after it.

A head is parsed once, when its last byte is there. So every split of the same bytes gives the same message, by
construction; if a message is wrong in two ways, either mistake may be the one that is refused. In an incomplete head
only the limits are checked, and mistakes that no further byte could mend, so that the server does not wait for a client
that will never finish.
"""

from __future__ import annotations

import re
from typing import Final

from .body import ChunkedBody, LengthBody
from .errors import ProtocolError
from .head import MOST_REMEMBERED, HeadParser, RequestHead, check_line, check_lines
from .limits import Limits
from .request_line import is_request_line, refuse_request_line

# RFC 9112, section 2.2: CR LF only. A bare LF would be a line end to some and a character to others. No other control
# character is allowed anywhere; the first byte of a TLS handshake that comes to a plain port is one of them.
_NEVER: Final = re.compile(rb"(?<!\r)\n|\r[^\n]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

# From so many bytes on, another read costs less than a copy of a body that came with its head.
_LARGE: Final = 16 * 1024

_END: Final = b"\r\n\r\n"
_CR: Final = 0x0D


class HeadReader:
    """The bytes of a connection that are not understood yet, and the next head in them."""

    __slots__ = (
        "_data",
        "_forgiven",
        "_limits",
        "_line_start",
        "_longest",
        "_parse",
        "_searched",
        "again",
        "again_size",
        "again_start",
        "buffer",
        "head",
        "next_read",
        "usual_read",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._longest = limits.head - len("\r\n")
        self._parse = HeadParser(limits).parse
        self._data = b""  # the bytes of `head`, which are not empty once there is one
        #: What was sent before, and may be sent again.
        self.head: RequestHead
        #: If just this comes, and no bytes wait before it, it is `head` once more, without a body. Empty: nothing is.
        self.again = b""
        #: If so many bytes come and begin with `again_start`, and no bytes wait before them, they are `head` once more,
        #: and its whole body, or no byte of it. 0: nothing is.
        self.again_size = 0
        #: See `again_size`.
        self.again_start = b""
        #: How many bytes whoever reads asks for; 0: nobody can be told.
        self.usual_read = 0
        #: How many bytes to ask for now, if none wait: those of `again_start`, if a large body is likely behind them.
        self.next_read = 0
        #: The bytes that are not understood yet.
        self.buffer: bytes | bytearray = b""
        self._searched = 0  # before this there is no end of a head, and no forbidden character
        self._line_start = 0  # the start of the line that is still incomplete; 0: the request line
        self._forgiven = False  # whether the empty line that may come first has come

    def __len__(self) -> int:
        return len(self.buffer)

    def feed(self, data: bytes) -> None:
        """Keep `data` behind the bytes that are there."""
        if not self.buffer:
            self.buffer = data
        else:
            if type(self.buffer) is bytes:
                # It grows in place: one byte at a time costs no more than all at once.
                self.buffer = bytearray(self.buffer)
            self.buffer += data

    def take_rest(self) -> bytes:
        """Return all that is not understood yet: it is no HTTP any more."""
        rest, self.buffer = bytes(self.buffer), b""
        return rest

    def take_head(self) -> RequestHead | None:
        """Return the next head, once it is complete. Raises `ProtocolError`; nothing may be asked after that."""
        self.again_size = 0
        self.next_read = self.usual_read
        buffer = self.buffer
        rest = b""
        if type(buffer) is bytes:
            data, end, rest = buffer.partition(_END)
            if not end:
                return self._take_slowly(-1)
        else:
            at = buffer.find(_END, self._searched)
            if at < 0:
                return self._take_slowly(-1)
            data = bytes(buffer[:at])
        size = len(data)
        if size > self._longest or not data or data[0] == _CR:
            return self._take_slowly(size)
        if data == self._data:
            head = self.head  # a client that polls sends all of it again
            self.again = b"" if rest or head.length or type(buffer) is not bytes else buffer
        else:
            head = self._parse(data)
            self.again = b""
            if head.recurs and size <= MOST_REMEMBERED:
                self._data, self.head = data, head
        if type(buffer) is not bytes:
            self._drop(size + 4)
        elif rest and not head.length:
            self.buffer = bytearray(rest)  # the next ones are dropped one by one
        else:
            self.buffer = rest
        self._searched = self._line_start = 0
        self._forgiven = False
        return head

    def take_whole(self, head: RequestHead) -> bytes:
        """Return the body of `head`, which was taken last. To be called if all of its length is in the buffer."""
        buffer, size = self.buffer, head.length
        if len(buffer) > size:
            content = bytes(buffer[:size])
            self._drop(size)
            return content
        self.buffer = b""
        if self._data and head is self.head:
            self.again_start = start = self._data + _END
            self.again_size = len(start) + size
            if size >= _LARGE and self.again_size <= self.usual_read:
                self.again_size = self.next_read = len(start)
        return bytes(buffer)

    def take_content(self, body: LengthBody | ChunkedBody) -> bytes:
        """Return the content of `body` in the buffer; the bytes after it stay. Raises `ProtocolError`."""
        content, taken = body.feed(self.buffer)
        self._drop(taken)
        return content

    def _drop(self, count: int) -> None:
        buffer = self.buffer
        if len(buffer) == count:
            self.buffer = b""
            return
        # A bytearray drops its start without moving the rest: many requests at once cost no more than apart.
        if isinstance(buffer, bytes):
            self.buffer = bytearray(memoryview(buffer)[count:])
        else:
            del buffer[:count]

    def _take_slowly(self, end: int) -> RequestHead | None:
        buffer, limits = self.buffer, self._limits
        if buffer.startswith(b"\r\n"):
            # RFC 9112, section 2.2: one empty line before a request is forgiven.
            if self._forgiven:
                raise ProtocolError(400, "empty lines instead of a request")
            self._drop(2)
            self._searched = 0
            self._forgiven = True
            self.again = b""
            return self.take_head()
        if buffer.startswith(b"\r") and len(buffer) > 1:
            raise ProtocolError(400, "a CR without its LF")
        if end >= 0:
            check_lines(buffer[: end + 2], limits)
            raise ProtocolError(431, "the header fields are too long")
        last = buffer.rfind(b"\r\n", self._searched)
        if last >= 0:
            check_lines(buffer, limits, self._line_start)
            if self._line_start == 0:
                self._check_request_line()
            self._line_start = last + 2
        # A CR at the end is the start of a line end, which counts in no line; after a line, it ends the head.
        size = len(buffer) - buffer.endswith(b"\r")
        check_line(size - self._line_start, self._line_start, limits)
        if size > limits.head:
            raise ProtocolError(431, "the header fields are too long")
        if _NEVER.search(buffer, max(0, self._searched - 1)) is not None:
            raise ProtocolError(400, "a character that no head may hold")
        self._searched = max(0, len(buffer) - 3)
        return None

    def _check_request_line(self) -> None:
        # A client of HTTP/0.9 sends one line and waits: it learns it at once, not at the deadline.
        line = bytes(self.buffer[: self.buffer.find(b"\r\n")])
        if not is_request_line(line):
            refuse_request_line(line)
