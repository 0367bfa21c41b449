"""The PROXY protocol, versions 1 and 2: the far end of a connection that a load balancer made.

Only the header and its limits live here. The connection's own module decides whether the peer may speak for others, and
cuts the connection if the header is wrong: a broken header can get no answer, since TLS may come next. Specification:
``doc/proxy-protocol.txt`` of HAProxy, sections 2.1 and 2.2.

The specification leaves a choice on these points. Decided here:

* Bytes that can not become a header are refused at the first wrong one, not when the limit is reached.
* Extensions (TLVs) are skipped unread, the checksum among them; TCP has one.
* UNIX addresses name no client that an environ could show; like UNKNOWN, UNSPEC and LOCAL they give None.
* Datagrams are refused: a stream can not carry them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from .address import unmapped
from .errors import ProtocolError

_V1_START: Final = b"PROXY "
_V2_START: Final = b"\r\n\r\n\x00\r\nQUIT\n"
# The longest line of version 1, CR LF included, by the specification's own count.
_V1_LIMIT: Final = 107
# The specification wants a header of version 2 to fit the 536 bytes that any TCP takes in one segment, but a client
# certificate among the extensions is longer. nginx stops at 4096 as well; the length field alone would allow 65,551.
_V2_LIMIT: Final = 4096
_V2_FIXED: Final = 16
# ASCII by the pattern; `ipaddress` checks the addresses. Ports have no sign and no leading zero.
_V1_LINE: Final = re.compile(
    rb"PROXY TCP([46]) ([0-9A-Fa-f:.]{2,45}) ([0-9A-Fa-f:.]{2,45}) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})\r\n"
)
_V1_UNKNOWN: Final = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n")
# Family and transport -> bytes of one address, bytes of the whole address block.
_V2_STREAMS: Final = {0x00: (0, 0), 0x11: (4, 12), 0x21: (16, 36), 0x31: (108, 216)}
_V2_DATAGRAMS: Final = (0x12, 0x22, 0x32)


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """Both ends of the connection that the proxy accepted, as (address, port), each None if the proxy did not say."""

    source: tuple[str, int] | None
    destination: tuple[str, int] | None


_NOTHING_SAID: Final = ProxyHeader(None, None)


class ProxyHeaderReader:
    """The start of one connection, up to the end of its PROXY header. Called in the reactor's thread."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> tuple[ProxyHeader, bytes] | None:
        """Return the header and the bytes after it, or None while more bytes are needed; feed no more afterwards.

        The header may come in any pieces. At most 4096 bytes are kept besides the piece that ends it. Raises
        `ProtocolError` if the bytes are no header.
        """
        # Copying is bounded: if a buffer gives neither a header nor an error, it is below the limit.
        buffer = self._buffer + data if self._buffer else data
        if buffer.startswith(_V1_START):
            read, end = _read_v1, _v1_end(buffer)
        elif buffer.startswith(_V2_START):
            read, end = _read_v2, _v2_end(buffer)
        elif _V1_START.startswith(buffer) or _V2_START.startswith(buffer):
            read, end = _read_v1, 0
        else:
            raise ProtocolError(400, "the connection does not start with a PROXY header")
        if not end or len(buffer) < end:
            self._buffer = buffer
            return None
        self._buffer = b""
        return read(buffer[:end]), buffer[end:]


def is_header(data: bytes) -> bool:
    """Return whether `data` begins as a PROXY header does."""
    return data.startswith((_V1_START, _V2_START))


def _v1_end(buffer: bytes) -> int:
    """Return where the line ends, 0 as long as that is unknown."""
    end = buffer.find(b"\n", 0, _V1_LIMIT) + 1
    if not end and len(buffer) >= _V1_LIMIT:
        raise ProtocolError(400, "a PROXY line of more than 107 bytes")
    return end


def _read_v1(header: bytes) -> ProxyHeader:
    parts = _V1_LINE.fullmatch(header)
    if parts is None:
        if _V1_UNKNOWN.fullmatch(header) is not None:
            return _NOTHING_SAID
        raise ProtocolError(400, "a malformed PROXY line")
    kind = IPv4Address if parts[1] == b"4" else IPv6Address
    try:
        ends = [
            (str(unmapped(kind(address.decode("ascii")))), int(port))
            for address, port in ((parts[2], parts[4]), (parts[3], parts[5]))
        ]
    except ValueError:
        raise ProtocolError(400, "a malformed address in a PROXY line") from None
    if max(port for _, port in ends) > 65535:
        raise ProtocolError(400, "a port over 65535 in a PROXY line")
    return ProxyHeader(*ends)


def _v2_end(buffer: bytes) -> int:
    """Return where the header ends, 0 as long as that is unknown; refuse one whose fixed part is wrong already."""
    if len(buffer) < _V2_FIXED:
        return 0
    version, command = divmod(buffer[12], 16)
    if version != 2 or command > 1:
        raise ProtocolError(400, "an unknown version or command in a PROXY header")
    length = int.from_bytes(buffer[14:16], "big")
    if _V2_FIXED + length > _V2_LIMIT:
        raise ProtocolError(400, "a PROXY header of more than 4096 bytes")
    # LOCAL is the proxy's own health check: by the specification we ignore the family and the addresses.
    if command == 1:
        if buffer[13] in _V2_DATAGRAMS:
            raise ProtocolError(400, "a PROXY header that speaks of datagrams")
        if buffer[13] not in _V2_STREAMS:
            raise ProtocolError(400, "an unknown address family or transport in a PROXY header")
        if length < _V2_STREAMS[buffer[13]][1]:
            raise ProtocolError(400, "a PROXY header too short for its addresses")
    return _V2_FIXED + length


def _read_v2(header: bytes) -> ProxyHeader:
    size, whole = _V2_STREAMS.get(header[13], (0, 0))
    if header[12] & 15 == 0 or size not in (4, 16):
        return _NOTHING_SAID
    kind = IPv4Address if size == 4 else IPv6Address
    block = header[_V2_FIXED : _V2_FIXED + whole]
    source, destination = kind(block[:size]), kind(block[size : 2 * size])
    return ProxyHeader(
        (str(unmapped(source)), int.from_bytes(block[-4:-2], "big")),
        (str(unmapped(destination)), int.from_bytes(block[-2:], "big")),
    )
