"""A request's head: bytes to one checked value.

The grammar is RFC 9112's and RFC 9110's, written as two regular expressions: one for the request line
(`request_line`), and one for each of the field lines (`field_line`). `request_framing` decides on the effects of the
fields on this connection (framing, persistence, expectation), `target` on the target. No body lives here, and no
buffering: `reader` finds the end of a head.
"""

from __future__ import annotations

from typing import Final

from .errors import ProtocolError
from .field_section import FieldSection, read_field_section
from .limits import Limits
from .request_line import RequestLine, read_request_line

_NO_NOTE: Final = (None,)
_END: Final = b"\r\n\r\n"
_LINE_END: Final = b"\r\n"


class RequestHead:
    """One request's line and fields, checked, and their effects. Immutable.

    ``request_line`` is the line as it was sent. ``method``, ``target``, ``path``, ``query`` and ``minor`` are those of
    the `RequestLine`, ``fields``, ``length``, ``persistent`` and ``expects_continue`` those of the `FieldSection`. But
    if the target has an authority, HTTP_HOST is that authority (RFC 9112, section 3.2.2). ``recurs`` says that the
    connection sent the same fields before: then ``fields`` is the same object. ``request_id`` is "" until whoever
    identifies requests sets it, once. ``note`` is for whoever observes requests: the first value in it says whose it
    is. A connection that sends a head again gets the same object, and so the note.
    """

    __slots__ = (
        "expects_continue",
        "fields",
        "length",
        "method",
        "minor",
        "note",
        "path",
        "persistent",
        "query",
        "recurs",
        "request_id",
        "request_line",
        "target",
    )

    def __init__(self, line: RequestLine, section: FieldSection, recurs: bool = False) -> None:
        fields = section.fields
        if line.authority is not None:
            fields = {**fields, "HTTP_HOST": line.authority}
            recurs = False
        self.request_line = line.text
        self.method = line.method
        self.target = line.target
        self.path = line.path
        self.query = line.query
        self.minor = line.minor
        self.fields = fields
        self.length = section.length
        self.persistent = section.persistent
        self.expects_continue = section.expects_continue
        self.recurs = recurs
        self.request_id = ""
        self.note: tuple[object, ...] = _NO_NOTE

    def __repr__(self) -> str:
        return f"<RequestHead {self.request_line}>"


#: An idle connection may keep so many bytes of its last fields, and of its last head: browsers send about 500, some
#: thousand with large cookies.
MOST_REMEMBERED: Final = 2048


class HeadParser:
    """Parses the heads of one connection, one after the other.

    A client that keeps its connection often sends the same fields with the next request. Bytes that are the same are
    not judged again. They stay in this object, and with them perhaps a secret of the client.
    """

    __slots__ = ("_limits", "_lines", "_section", "_short")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._short = min(limits.field, limits.request_line)  # a head that is no longer has no line that is too long
        self._lines = b""  # the bytes that `_section` was made of
        self._section: FieldSection | None = None

    def parse(self, data: bytes) -> RequestHead:
        """Return the head in `data`: a request line and field lines, without the last one's CR LF.

        Raises `ProtocolError`: 400, 414, 417, 431, 501 or 505. Source: RFC 9112, sections 2 to 7.
        """
        if len(data) > self._short:
            check_lines(data + b"\r\n", self._limits)
        sent, _, lines = data.partition(b"\r\n")
        line = read_request_line(sent)
        section = self._section
        if section is None or lines != self._lines or section.minor != line.minor:
            section = read_field_section(lines, line.minor, self._limits)
            if len(lines) <= MOST_REMEMBERED:
                self._lines, self._section = lines, section
            return RequestHead(line, section)
        return RequestHead(line, section, recurs=True)


def read_last_head(data: bytes, limits: Limits) -> RequestHead | None:
    """Return the head in `data` if it is the whole request, and its client's last; None: it is not, or is too long.

    So nothing follows: no body, no other request, and no other protocol. Raises as `HeadParser.parse`.
    """
    size = len(data) - len(_END)
    if data.find(_END) != size or size > limits.head - len(_LINE_END) or size > limits.field:
        return None
    sent, _, lines = data.partition(_LINE_END)
    line = read_request_line(sent)
    section = read_field_section(lines[: -len(_END)], line.minor, limits)
    if section.persistent or section.length or "HTTP_UPGRADE" in section.fields:
        return None
    return RequestHead(line, section)


def check_lines(data: bytes | bytearray, limits: Limits, start: int = 0) -> None:
    """Refuse the head at the start of `data` if a complete line of it, from `start` on, is longer than its limit."""
    while (end := data.find(b"\r\n", start)) >= 0:
        check_line(end - start, start, limits)
        start = end + 2


def check_line(size: int, start: int, limits: Limits) -> None:
    """Refuse a line that starts at `start` of its head if `size`, its bytes so far without a line end, is too much."""
    if start == 0:
        if size > limits.request_line:
            raise ProtocolError(414, "the request line is too long")
    elif size > limits.field:
        raise ProtocolError(431, "a header field is too long")
