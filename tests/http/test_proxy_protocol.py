"""Is every PROXY header read the same in any pieces, and is everything else refused, at once and within bounds?"""

from __future__ import annotations

import ipaddress
import itertools
import random
import struct
from collections.abc import Iterable, Iterator

import pytest

from twisted_wsgiref._http.errors import ProtocolError
from twisted_wsgiref._http.proxy_protocol import ProxyHeader, ProxyHeaderReader

START = b"\r\n\r\n\x00\r\nQUIT\n"
HTTP = b"GET / HTTP/1.1\r\n"
NOTHING = ProxyHeader(None, None)


def v2(command: int, family: int, body: bytes = b"", length: int | None = None) -> bytes:
    return START + struct.pack("!BBH", command, family, len(body) if length is None else length) + body


def ends(source: str, destination: str, *ports: int) -> bytes:
    return b"".join(ipaddress.ip_address(a).packed for a in (source, destination)) + struct.pack("!HH", *ports)


def read(pieces: Iterable[bytes]) -> tuple[ProxyHeader, bytes] | None:
    """Feed `pieces`; what comes after the header's end is put behind the rest."""
    reader = ProxyHeaderReader()
    iterator = iter(pieces)
    for piece in iterator:
        found = reader.feed(piece)
        if found is not None:
            return found[0], found[1] + b"".join(iterator)
    return None


def split_at_random(data: bytes, seed: int) -> list[bytes]:
    chance = random.Random(seed)
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(4))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


V4 = ProxyHeader(("192.0.2.1", 56324), ("198.51.100.2", 443))
V6 = ProxyHeader(("2001:db8::1", 0), ("2001:db8::2", 65535))
GOOD = [
    (b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", V4),
    (b"PROXY TCP6 2001:db8::1 2001:DB8:0::2 0 65535\r\n", V6),
    (b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 56324 443\r\n", V4),
    (b"PROXY TCP6 " + b" ".join([b"ffff:f000:ffff:ffff:ffff:ffff:ffff:ffff"] * 2) + b" 65535 65535\r\n", None),
    (b"PROXY UNKNOWN\r\n", NOTHING),
    (b"PROXY UNKNOWN " + b" ".join([b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] * 2) + b" 65535 65535\r\n", NOTHING),
    (v2(0x21, 0x11, ends("192.0.2.1", "198.51.100.2", 56324, 443)), V4),
    (v2(0x21, 0x21, ends("2001:db8::1", "2001:db8::2", 0, 65535)), V6),
    (v2(0x21, 0x21, ends("::ffff:192.0.2.1", "::ffff:198.51.100.2", 56324, 443)), V4),
    (v2(0x21, 0x11, ends("192.0.2.1", "198.51.100.2", 56324, 443) + b"\x04\x00\x03abc" * 9), V4),
    (v2(0x21, 0x31, bytes(216)), NOTHING),
    (v2(0x21, 0x00), NOTHING),
    (v2(0x21, 0x00, b"whatever"), NOTHING),
    (v2(0x20, 0x00), NOTHING),
    (v2(0x20, 0x11, ends("192.0.2.1", "198.51.100.2", 1, 2)), NOTHING),
    (v2(0x20, 0xFF, b"ignored"), NOTHING),
    (v2(0x21, 0x11, ends("192.0.2.1", "198.51.100.2", 56324, 443) + bytes(4096 - 28)), V4),
]


@pytest.mark.parametrize(("data", "expected"), GOOD)
@pytest.mark.parametrize("rest", [b"", HTTP, START, b"PROXY "])
def test_a_header_is_the_same_whole_byte_by_byte_and_split(
    data: bytes, expected: ProxyHeader | None, rest: bytes
) -> None:
    whole = read([data + rest])
    assert whole is not None
    assert whole[1] == rest
    assert expected is None or whole[0] == expected
    stream = data + rest
    assert read(stream[i : i + 1] for i in range(len(stream))) == whole
    for seed in range(20):
        assert read(split_at_random(stream, seed)) == whole


@pytest.mark.parametrize(("data", "expected"), GOOD)
def test_a_header_is_not_complete_before_its_last_byte(data: bytes, expected: ProxyHeader | None) -> None:
    reader = ProxyHeaderReader()
    assert reader.feed(data[:-1]) is None
    assert reader.feed(b"") is None
    assert reader.feed(data[-1:]) is not None


BAD = [
    HTTP,
    b"proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
    b"PROXY\r\n",
    b"PROXY \r\n",
    b"PROXY TCP4\r\n",
    b"PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
    b"PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r 2\r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 1_0 2\r\n",
    b"PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n",
    b"PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n",
    b"PROXY TCP4 256.1.1.1 2.2.2.2 1 2\r\n",
    b"PROXY TCP4 ::1 ::2 1 2\r\n",
    b"PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
    b"PROXY TCP6 ::1%eth0 ::2 1 2\r\n",
    b"PROXY TCP6 [::1] [::2] 1 2\r\n",
    b"PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n",
    b"PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n",
    b"PROXY UNKNOWNS\r\n",
    b"PROXY UNKNOWN \r x\r\n",
    b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    b"PROXY " + b"x" * 101,
    v2(0x11, 0x11, bytes(12)),
    v2(0x31, 0x11, bytes(12)),
    v2(0x22, 0x11, bytes(12)),
    v2(0x21, 0x12, bytes(12)),
    v2(0x21, 0x22, bytes(36)),
    v2(0x21, 0x32, bytes(216)),
    v2(0x21, 0x10, bytes(12)),
    v2(0x21, 0x13, bytes(12)),
    v2(0x21, 0x41, bytes(216)),
    v2(0x21, 0x11, bytes(11)),
    v2(0x21, 0x21, bytes(35)),
    v2(0x21, 0x31, bytes(215)),
    v2(0x21, 0x11, bytes(12), length=4081),
    v2(0x20, 0x00, length=65535),
    START[:-1] + b"X",
]


@pytest.mark.parametrize("data", BAD)
def test_what_is_no_header_is_refused_whole_and_byte_by_byte(data: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        read([data])
    assert caught.value.status == 400
    with pytest.raises(ProtocolError):
        read(data[i : i + 1] for i in range(len(data)))


@pytest.mark.parametrize("data", [b"G", b"\x16", b"PROXX", b"\r\n\r\nG", b"\n", v2(0x21, 0x12, length=12)])
def test_a_wrong_byte_is_refused_without_waiting_for_the_end(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read([data])


def test_a_line_of_107_bytes_is_the_longest() -> None:
    line = b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n"
    assert len(line) == 107
    assert read([line + HTTP]) == (NOTHING, HTTP)


def test_every_random_start_is_a_header_an_error_or_a_wish_for_more() -> None:
    chance = random.Random(3333)
    for _ in range(3000):
        data = bytearray(chance.choice(GOOD)[0])
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            found = read([bytes(data)])
        except ProtocolError:
            continue
        assert found is None or isinstance(found[0], ProxyHeader)


def test_a_reader_keeps_no_more_than_its_bound() -> None:
    fed: list[bytes] = []

    def endless() -> Iterator[bytes]:
        for byte in itertools.chain(b"PROXY ", itertools.repeat(120)):
            fed.append(bytes([byte]))
            yield fed[-1]

    with pytest.raises(ProtocolError):
        read(endless())
    assert len(fed) == 107


def test_a_header_can_not_be_changed() -> None:
    with pytest.raises(AttributeError):
        V4.source = None  # type: ignore[misc]
    assert not hasattr(V4, "__dict__")
