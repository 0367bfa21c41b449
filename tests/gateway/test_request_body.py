"""Is a body the same from memory and from its file, and is nothing left of it?"""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.support import FullDisk
from twisted_wsgiref._gateway.request_body import RequestBody


def collect(pieces: list[bytes], memory: int) -> RequestBody:
    body = RequestBody(memory)
    for piece in pieces:
        body.write(piece)
        if body.is_due():
            body.start_spill()
            body.spill()
            body.end_spill()
    return body


@pytest.mark.parametrize("memory", [1, 10, 1000, 1 << 20])
@pytest.mark.parametrize(
    "pieces", [[], [b"one"], [b"line 1\n", b"line 2\nrest"], [bytes([n % 256]) * n for n in range(99)]]
)
def test_a_body_is_read_as_it_came(pieces: list[bytes], memory: int) -> None:
    octets = b"".join(pieces)
    body = collect(pieces, memory)
    assert body.size == len(octets)
    stream = body.open()
    assert stream.readline() == (octets.splitlines(keepends=True) or [b""])[0]
    stream.seek(0)
    assert stream.read() == octets
    assert stream.read(10) == b""
    stream.seek(0)
    assert b"".join(stream) == octets
    body.close()


def test_a_small_body_needs_no_file() -> None:
    before = len(os.listdir("/proc/self/fd"))
    body = collect([b"x" * 10] * 10, 100)
    assert len(os.listdir("/proc/self/fd")) == before
    body.close()


def test_a_large_body_leaves_no_file_and_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    body = collect([b"x" * 1000] * 10, 100)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    body.open()
    body.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_comes_while_it_is_written_stays_in_order() -> None:
    body = RequestBody(10)
    body.write(b"a" * 20)
    assert body.is_due()
    body.start_spill()
    body.write(b"b" * 20)
    assert not body.is_due()  # one at a time
    body.spill()
    body.end_spill()
    assert body.is_due()
    body.start_spill()
    body.spill()
    body.end_spill()
    body.write(b"c")
    assert body.open().read() == b"a" * 20 + b"b" * 20 + b"c"
    body.close()


def test_closing_gives_everything_back_at_any_moment() -> None:
    before = len(os.listdir("/proc/self/fd"))
    RequestBody(10).close()
    body = collect([b"x" * 100], 10)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    body.close()
    body.close()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("size", [5000, 10_001])
def test_a_full_disk_keeps_no_descriptor_and_no_body_from_its_end(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FullDisk(monkeypatch, size - 1)
    before = len(os.listdir("/proc/self/fd"))
    body = collect([b"x" * size], 10)
    body.write(b"y")
    with pytest.raises(OSError, match="No space left"):
        body.open()
    body.close()
    body.close()
    assert [file.closed for file in disk.files] == [True]
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_application_may_take_the_file_away() -> None:
    body = collect([b"x" * 100], 10)
    stream: Any = body.open()
    with stream.detach() as raw:
        body.close()
        assert raw.read() == b"x" * 100
