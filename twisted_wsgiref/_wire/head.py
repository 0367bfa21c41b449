"""A request's head: octets to one checked value.

The grammar is RFC 9112's and RFC 9110's, written as two regular expressions: one for the request line of a complete
head, and one for each of its field lines (`field_line`). What follows from the fields for this connection (framing,
persistence, expectation) is decided in `framing`, the target in `target`. No body lives here, and no buffering:
`reader` finds the end of a head.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

from .errors import ProtocolError
from .field_line import IGNORED, TOKEN, read_field_line
from .framing import decide_length, expects_continue, is_persistent
from .limits import Limits
from .target import check_host, split_target

# RFC 9112, section 3: single spaces, no white space at either end. Octets over 0x7F have no place in a target.
_REQUEST_LINE: Final = re.compile(rf"({TOKEN}) ([\x21-\x7e]+) HTTP/1\.([01])\r\n")
_ANY_VERSION: Final = re.compile(rf"{TOKEN} [\x21-\x7e]+ HTTP/[0-9]\.[0-9]\r\n")
# Fields of which one more changes the meaning of the message, or of which only one can be obeyed.
_SINGLE: Final = frozenset(
    {
        "HTTP_HOST",
        "CONTENT_LENGTH",
        "CONTENT_TYPE",
        "HTTP_TRANSFER_ENCODING",
        "HTTP_AUTHORIZATION",
        "HTTP_EXPECT",
    }
)


class RequestHead:
    """One request's line and fields, checked, and what follows from them.

    ``method``, ``target`` and ``query`` are as sent, ``path`` is decoded by PEP 3333's latin-1 rule, ``minor`` is the
    minor version (0 or 1). ``fields`` maps RFC 3875 names (HTTP_ACCEPT, CONTENT_TYPE) to values, repeated fields
    joined. ``length`` is the body's length in octets, `CHUNKED` where only its end will tell. ``persistent`` says
    that the client would use the connection again, ``expects_continue`` that it waits for 100 before the body.
    """

    __slots__ = (
        "expects_continue",
        "fields",
        "length",
        "method",
        "minor",
        "path",
        "persistent",
        "query",
        "target",
    )

    def __init__(self, method: str, target: str, minor: int, fields: dict[str, str]) -> None:
        self.method = method
        self.target = target
        self.minor = minor
        self.fields = fields
        self.path, self.query = split_target(method, target, fields)
        framed = "CONTENT_LENGTH" in fields or "HTTP_TRANSFER_ENCODING" in fields
        self.length = decide_length(minor, fields) if framed else 0
        self.persistent = is_persistent(minor, fields.get("HTTP_CONNECTION"))
        self.expects_continue = "HTTP_EXPECT" in fields and expects_continue(minor, fields)

    @property
    def request_line(self) -> str:
        """The request line as it was sent, without its line end; printable ASCII by grammar."""
        return f"{self.method} {self.target} HTTP/1.{self.minor}"

    def __repr__(self) -> str:
        return f"<RequestHead {self.request_line}>"


def parse_head(octets: bytes, limits: Limits) -> RequestHead:
    """Return the head that `octets` hold: a request line and its field lines, each with its CR LF, no empty line.

    Raises `ProtocolError`: 400, 414, 417, 431, 501 or 505. Source: RFC 9112, sections 2 to 7.
    """
    if len(octets) > limits.field or len(octets) > limits.request_line:
        check_lines(octets, limits)
    text = octets.decode("latin-1")
    line = _REQUEST_LINE.match(text)
    if line is None:
        refuse_request_line(text)
    method, target, minor = line.groups()
    lines = text[line.end() :].split("\r\n")
    if lines.pop():
        raise ProtocolError(400, "a header field without its line end")
    if len(lines) > limits.fields:
        raise ProtocolError(431, "too many header fields")
    fields = dict(map(read_field_line, lines))
    if len(fields) != len(lines):
        fields = _join(lines)
    fields.pop(IGNORED, None)
    host = fields.get("HTTP_HOST")
    if host is not None:
        check_host(host)
    elif minor == "1":
        raise ProtocolError(400, "an HTTP/1.1 request without Host")
    return RequestHead(method, target, 1 if minor == "1" else 0, fields)


def check_lines(octets: bytes | bytearray, limits: Limits, start: int = 0) -> None:
    """Refuse the head that starts `octets` if a complete line of it, from `start` on, is longer than its limit."""
    while (end := octets.find(b"\r\n", start)) >= 0:
        check_line(end - start, start, limits)
        start = end + 2


def check_line(size: int, start: int, limits: Limits) -> None:
    """Refuse a line of a head that starts at `start` and has, or has so far, `size` octets without its line end."""
    if start == 0:
        if size > limits.request_line:
            raise ProtocolError(414, "the request line is too long")
    elif size > limits.field:
        raise ProtocolError(431, "a header field is too long")


def refuse_request_line(text: str) -> NoReturn:
    """Say why `text` does not start with a request line that this server serves. RFC 9112, section 3; RFC 9110, 2.5."""
    if _ANY_VERSION.match(text):
        raise ProtocolError(505, "neither HTTP/1.0 nor HTTP/1.1")
    raise ProtocolError(400, "the request line is malformed")


def is_request_line(line: bytes) -> bool:
    """Return whether `line`, with its CR LF, starts a request that could be served."""
    return _REQUEST_LINE.match(line.decode("latin-1")) is not None


def _join(lines: list[str]) -> dict[str, str]:
    """Return the fields by their CGI names, those of one name joined.

    RFC 9110, section 5.3: repeated fields are one list. RFC 6265, section 5.4: cookies are joined by a semicolon, for
    HTTP/2 front ends split them (RFC 9113, section 8.2.3). Raises `ProtocolError`.
    """
    values: dict[str, list[str]] = {}
    for line in lines:
        key, value = read_field_line(line)
        if key in values:
            if key in _SINGLE:
                raise ProtocolError(400, "a field that may come once came twice")
            values[key].append(value)
        else:
            values[key] = [value]
    return {key: ("; " if key == "HTTP_COOKIE" else ", ").join(those) for key, those in values.items()}
