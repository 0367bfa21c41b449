"""IP addresses as other machines write them, brought into one spelling. No names, no ports, no look-ups."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address


# Behind a proxy the same few addresses come with each request, and spelling one out costs 3 us. 1024 of them are some
# 300 KiB. A client that sends other ones each time pays as much as all would pay without the cache. Safe in any thread.
@lru_cache(maxsize=1024)
def read_address(text: str) -> IPv4Address | IPv6Address:
    """Return the address that `text` spells. Raises ValueError if it spells none, or one with a zone.

    An IPv4 address inside an IPv6 one (RFC 4291, section 2.5.5.2), as sockets that take both kinds report it, becomes
    the IPv4 address: one client must not have two names. A zone (``%eth0``) has a meaning on one machine only.
    """
    if "%" in text:
        raise ValueError("an address with a zone")
    return unmapped(ip_address(text))


def unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that `address` wraps, or `address` itself."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
