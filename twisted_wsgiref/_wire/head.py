"""A request's head: octets to one checked value.

The grammar is RFC 9112's and RFC 9110's, written as two regular expressions over a complete head. What follows from
the fields for this connection (framing, persistence, expectation) is decided in `framing`, the target in `target`.
No body lives here, and no buffering: `reader` finds the end of a head.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

from .errors import ProtocolError
from .framing import decide_length, expects_continue, is_persistent
from .limits import Limits
from .target import check_host, split_target

# RFC 9110, section 5.6.2.
TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# RFC 9112, section 3: single spaces, no white space at either end. Octets over 0x7F have no place in a target.
_REQUEST_LINE: Final = re.compile(rf"({TOKEN}) ([\x21-\x7e]+) HTTP/1\.([01])\r\n")
_ANY_VERSION: Final = re.compile(rf"{TOKEN} [\x21-\x7e]+ HTTP/[0-9]\.[0-9]\r\n")
# RFC 9112, section 5: no space before the colon, no folding, HTAB the only control character. Each match starts at a
# line's start and takes exactly one LF, so there are as many matches as LFs if, and only if, every line is a field.
# The white space before a value is taken whole (the lookahead), or a long run of it would be tried at every length.
_FIELD: Final = re.compile(rf"^({TOKEN}):[ \t]*(?![ \t])([\t -~\x80-\xff]*)\r\n", re.MULTILINE)

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

_IGNORED: Final = ""


class _CGINames(dict[str, str]):
    """Field names as they come, mapped to the names of RFC 3875; learnt once, since clients use few."""

    # Names are chosen by clients: past this many, or this long, they are worked out each time.
    _most = 2048
    _longest = 64

    def __missing__(self, name: str) -> str:
        key = _cgi_name(name)
        if len(self) < self._most and len(name) <= self._longest:
            self[name] = key
        return key


def _cgi_name(name: str) -> str:
    """Return the environ key of the field `name`, or "" if no application may see it.

    ``X_Forwarded_For`` would shadow ``X-Forwarded-For`` (both become HTTP_X_FORWARDED_FOR), and ``Proxy`` would be
    read as the variable HTTP_PROXY (CVE-2016-5385): neither reaches the environ.
    """
    if "_" in name:
        return _IGNORED
    key = name.upper().replace("-", "_")
    if key == "PROXY":
        return _IGNORED
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key


_CGI_NAMES: Final = _CGINames()


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
    start = line.end()
    pairs = _FIELD.findall(text, start)
    if len(pairs) != text.count("\n", start):
        raise ProtocolError(400, "a header field is malformed")
    if len(pairs) > limits.fields:
        raise ProtocolError(431, "too many header fields")
    names = _CGI_NAMES
    if " \r\n" in text or "\t\r\n" in text:
        pairs = [(name, value.rstrip(" \t")) for name, value in pairs]
    fields = {names[name]: value for name, value in pairs}
    if len(fields) != len(pairs):
        fields = _join(pairs)
    fields.pop(_IGNORED, None)
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


def _join(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Return the fields by their CGI names, those of one name joined.

    RFC 9110, section 5.3: repeated fields are one list. RFC 6265, section 5.4: cookies are joined by a semicolon, for
    HTTP/2 front ends split them (RFC 9113, section 8.2.3). Raises `ProtocolError`.
    """
    fields: dict[str, str] = {}
    for name, value in pairs:
        key = _CGI_NAMES[name]
        if key not in fields or key == _IGNORED:
            fields[key] = value
        elif key in _SINGLE:
            raise ProtocolError(400, "a field that may come once came twice")
        else:
            fields[key] += ("; " if key == "HTTP_COOKIE" else ", ") + value
    return fields
