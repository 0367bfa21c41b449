"""The first bytes of a connection to a port that speaks TLS: whether they are something else, and what."""

from __future__ import annotations

from typing import Final

from .proxy_protocol import is_header

_TEXT: Final = frozenset(b"\r\n") | frozenset(range(0x20, 0x7F))


def plain_opening(data: bytes) -> str | None:
    """Return a sentence that names the protocol of `data`, a connection's first bytes, or None if it may be TLS.

    A record of TLS begins with a number of 20 to 23 (RFC 8446, section 5.1). The hello of SSL 2, which some clients of
    TLS once wrote, begins with 128 and more. Text begins with neither. nginx judges by this byte, too.
    """
    if not data or data[0] not in _TEXT:
        return None
    if is_header(data):
        return "a PROXY header came to a port that speaks TLS and expects none (--proxy-protocol)"
    return "plain HTTP came to a port that speaks TLS"
