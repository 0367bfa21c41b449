"""Places by the words of people: whether an endpoint is for this machine alone; HOST:PORT. No look-ups."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

_PART: Final = re.compile(r"(?:[^:\\]|\\.)*")
_LOCAL_NAMES: Final = ("localhost", "ip6-localhost", "ip6-loopback")


def is_of_this_machine(endpoint: str) -> bool:
    """Return whether only this machine's users reach `endpoint`, as Twisted describes endpoints: as far as it says so.

    That is a UNIX socket, and a TCP port with ``interface=`` an address of loopback.
    """
    words = endpoint.removeprefix("haproxy:")
    kind, *rest = [re.sub(r"\\(.)", r"\1", part) for part in _split(words)]
    if kind == "unix":
        return True
    if kind == "systemd":
        return any(part.upper() in ("UNIX", "DOMAIN=UNIX") for part in rest)
    interfaces = [part.partition("=")[2] for part in rest if part.startswith("interface=")]
    return kind in ("tcp", "tcp6", "ssl", "tls") and bool(interfaces) and all(map(_is_loopback, interfaces))


def _split(words: str) -> list[str]:
    """Return `words` as they are parted by colons, but for those behind a backslash."""
    parts, at = [], 0
    while at <= len(words):
        found = _PART.match(words, at)
        end = found.end() if found is not None else len(words)
        parts.append(words[at:end])
        at = end + 1
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in _LOCAL_NAMES


def read_host_and_port(text: str) -> tuple[str, int] | None:
    """Return the two that `text` has as HOST:PORT, an IPv6 address in brackets; None if it has not."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
        return None
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return None
    return (host, int(port)) if host and " " not in host else None
