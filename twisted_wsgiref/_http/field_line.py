"""One field line of a head: checked, and split into the name that an application knows and the value.

Clients send most of their lines again and again: each is judged once, and then remembered for a while, as HTTP/2 does
with its table of fields. A line that may be a secret is never remembered (RFC 7541, section 7.1.3, has the same
exception), nor is a Referer with a query, which may have one in it (RFC 9110, section 17.9).
"""

from __future__ import annotations

import re
from typing import Final

from .errors import ProtocolError
from .remembered import Remembered

# RFC 9110, section 5.6.2.
TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# RFC 9112, section 5: no space before the colon, no folding, HTAB the only control character. White space around the
# value does not belong to it, and is stripped afterwards: a pattern for it would try a long run of it at every length.
_FIELD: Final = re.compile(rf"({TOKEN}):([\t -~\x80-\xff]*)")

#: The name of a field that no application may see.
IGNORED: Final = ""

_SECRET: Final = frozenset({"HTTP_AUTHORIZATION", "HTTP_COOKIE", "HTTP_PROXY_AUTHORIZATION"})


def _may_keep(line: str, field: tuple[str, str]) -> bool:
    name, value = field
    return name not in _SECRET and not (name == "HTTP_REFERER" and "?" in value)


def _read(line: str) -> tuple[str, str]:
    found = _FIELD.fullmatch(line)
    if found is None:
        raise ProtocolError(400, "a header field is malformed")
    name, value = found.groups()
    return cgi_name(name), value.strip(" \t")


def cgi_name(name: str) -> str:
    """Return the environ key of the field `name`, or `IGNORED` if no application may see it. RFC 3875, section 4.1.18.

    ``X_Forwarded_For`` would shadow ``X-Forwarded-For`` (both become HTTP_X_FORWARDED_FOR), and ``Proxy`` would be
    read as the variable HTTP_PROXY (CVE-2016-5385): neither reaches the environ.
    """
    if "_" in name:
        return IGNORED
    key = name.upper().replace("-", "_")
    if key == "PROXY":
        return IGNORED
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key


def make_lines() -> Remembered[str, tuple[str, str]]:
    """Return a mapping of field lines, without their line ends, to CGI names and values.

    A lookup raises `ProtocolError` (400).
    """
    # A browser sends ten lines that stay the same, and browsers differ, so this is enough for a few hundred kinds of
    # clients. A longer line is seldom sent twice.
    return Remembered(_read, _may_keep, most=2048, longest=200)


#: Return the CGI name and the value of a field line. Raises `ProtocolError`. Called in the reactor's thread alone.
read_field_line: Final = make_lines().__getitem__
