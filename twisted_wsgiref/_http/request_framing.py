"""Decisions from a request's fields: the length of its body, keep-alive, whether the client waits for 100, upgrades."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from .errors import ProtocolError

#: The length of a body that only its chunks tell.
CHUNKED: Final = -1

# A signed 64 bit number never needs more than nineteen digits: more is an attack on some other program's arithmetic.
_LENGTH: Final = re.compile(r"[0-9]{1,19}")


def decide_length(minor: int, fields: Mapping[str, str]) -> int:
    """Return the length of a request's body in bytes, or `CHUNKED`. Raises `ProtocolError`.

    RFC 9112, section 6.3, without its leniency: if two parties could read two lengths, the request is refused.
    """
    coding = fields.get("HTTP_TRANSFER_ENCODING")
    length = fields.get("CONTENT_LENGTH")
    if coding is not None:
        if minor == 0:
            raise ProtocolError(400, "Transfer-Encoding in an HTTP/1.0 request")
        if length is not None:
            raise ProtocolError(400, "both Transfer-Encoding and Content-Length")
        if coding.lower() != "chunked":
            raise ProtocolError(501, "a transfer coding other than chunked")
        return CHUNKED
    if length is None:
        return 0
    if _LENGTH.fullmatch(length) is None:
        raise ProtocolError(400, "Content-Length is not one decimal number")
    return int(length)


@lru_cache(maxsize=64)
def is_persistent(minor: int, connection: str | None) -> bool:
    """Return whether the client would use its connection for another request. RFC 9112, section 9.3."""
    if connection is None:
        return minor == 1
    options = [option.strip(" \t").lower() for option in connection.split(",")]
    if "close" in options:
        return False
    return minor == 1 or "keep-alive" in options


def asks_for_upgrade(minor: int, fields: Mapping[str, str]) -> bool:
    """Return whether the client would speak another protocol on its connection.

    RFC 9110, section 7.8: Connection has to say so too, and in HTTP/1.0 it is ignored.
    """
    if minor == 0 or "HTTP_UPGRADE" not in fields:
        return False
    return "upgrade" in [option.strip(" \t").lower() for option in fields.get("HTTP_CONNECTION", "").split(",")]


def expects_continue(minor: int, fields: Mapping[str, str]) -> bool:
    """Return whether the client waits for 100 (Continue). Raises `ProtocolError` (417) for any other expectation.

    RFC 9110, section 10.1.1: an HTTP/1.0 client's expectation is ignored.
    """
    if minor == 0:
        return False
    if fields["HTTP_EXPECT"].lower() != "100-continue":
        raise ProtocolError(417, "an expectation other than 100-continue")
    return True
