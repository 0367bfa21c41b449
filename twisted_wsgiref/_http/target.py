"""A request's target and host: the forms that are served, and their PATH_INFO and QUERY_STRING.

Decided here, since RFC 9112 leaves it open or clients disagree:

* ``%2F`` is decoded to a slash like every other byte (RFC 3875 knows no other way). The target as sent is in
  ``REQUEST_URI``, for applications that must tell them apart.
* ``%00`` and a ``%`` without two hexadecimal digits are refused in the path, as nginx does. The query is passed as
  sent.
* A fragment, a space, a control character, and a byte over 0x7F are refused: they can not be in a URI.
* The scheme of an absolute target is not believed, since it is the client's word (RFC 9112, section 3.3, would take
  it): an application must not think a connection secure because a client says so. Its authority counts as much as
  Host, since both are the client's word.
* ``//`` stays as it is: the application or the proxy decides whether to merge slashes.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from .errors import ProtocolError

# RFC 3986, section 3.2: IP-literal, or a registered name, and a port. The comma, though a sub-delimiter, is left out:
# if somebody on the way has joined two Host fields, nobody can say which was meant.
_HOST: Final = re.compile(
    r"(?:\[[0-9A-Fa-f:.]{2,45}\]|\[[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+;=:]+\]"
    r"|(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})+)(?::[0-9]{0,5})?"
)
_ABSOLUTE: Final = re.compile(r"https?://([^/?]*)(/[^?]*)?(?:\?(.*))?", re.IGNORECASE)
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")


@lru_cache(maxsize=256)
def check_host(host: str) -> None:
    """Refuse `host` if it is not a host and perhaps a port. RFC 9110, section 7.2; RFC 9112, section 3.2."""
    if _HOST.fullmatch(host) is None:
        raise ProtocolError(400, "Host is not a host and port")


def split_target(method: str, target: str) -> tuple[str | None, str, str]:
    """Return the authority of `target` or None, PATH_INFO, decoded, and QUERY_STRING, as sent.

    ``*`` gives an empty path. Raises `ProtocolError`. RFC 9112, section 3.2.
    """
    if method == "CONNECT":
        raise ProtocolError(501, "CONNECT: this server is no tunnel")
    if "#" in target:
        raise ProtocolError(400, "a fragment in the request target")
    authority = None
    if target[0] == "/":
        path, _, query = target.partition("?")
    elif target == "*" and method == "OPTIONS":
        return None, "", ""
    else:
        authority, path, query = _split_absolute(target)
    if "%" in path:
        if _BAD_ESCAPE.search(path) is not None:
            raise ProtocolError(400, "a malformed escape in the path")
        path = unquote(path, "latin-1")
    return authority, path, query


def _split_absolute(target: str) -> tuple[str, str, str]:
    parts = _ABSOLUTE.fullmatch(target)
    if parts is None:
        raise ProtocolError(400, "the request target has a form that this server does not serve")
    authority, path, query = parts.groups()
    check_host(authority)
    return authority, path or "/", query or ""
