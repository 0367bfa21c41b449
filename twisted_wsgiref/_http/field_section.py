"""A head's fields: all their lines, checked and joined by name, and their effects on the connection."""

from __future__ import annotations

from typing import Final

from .errors import ProtocolError
from .field_line import IGNORED, read_field_line
from .limits import Limits
from .request_framing import decide_length, expects_continue, is_persistent
from .target import check_host

# Fields that may come only once: a second one changes the meaning of the message, or can not be obeyed.
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


class FieldSection:
    """The fields of one head, or of several that are alike. Immutable.

    ``fields`` maps RFC 3875 names (HTTP_ACCEPT, CONTENT_TYPE) to values, repeated fields joined. ``length`` is the
    body's length in bytes, or `CHUNKED` if only its end will tell. ``persistent`` says that the client would use the
    connection again, ``expects_continue`` that it waits for 100 before the body. All of this is for HTTP/1.``minor``.
    """

    __slots__ = ("expects_continue", "fields", "length", "minor", "persistent")

    def __init__(self, fields: dict[str, str], minor: int) -> None:
        self.fields = fields
        self.minor = minor
        framed = "CONTENT_LENGTH" in fields or "HTTP_TRANSFER_ENCODING" in fields
        self.length = decide_length(minor, fields) if framed else 0
        self.persistent = is_persistent(minor, fields.get("HTTP_CONNECTION"))
        self.expects_continue = "HTTP_EXPECT" in fields and expects_continue(minor, fields)


def read_field_section(data: bytes, minor: int, limits: Limits) -> FieldSection:
    """Return the fields that `data` holds: field lines, without the last one's CR LF.

    Raises `ProtocolError`: 400, 417, 431 or 501. Source: RFC 9112, sections 5 to 7.
    """
    lines = data.decode("latin-1").split("\r\n") if data else []
    if len(lines) > limits.fields:
        raise ProtocolError(431, "too many header fields")
    fields = dict(map(read_field_line, lines))
    if len(fields) != len(lines):
        fields = _join(lines)
    fields.pop(IGNORED, None)
    host = fields.get("HTTP_HOST")
    if host is not None:
        check_host(host)
    elif minor:
        raise ProtocolError(400, "an HTTP/1.1 request without Host")
    return FieldSection(fields, minor)


def _join(lines: list[str]) -> dict[str, str]:
    """Return the fields by their CGI names, those of one name joined.

    RFC 9110, section 5.3: repeated fields are one list. RFC 6265, section 5.4: cookies are joined by a semicolon, since
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
