"""Does a body that streams to its application arrive whole, and is nobody left waiting?"""

from __future__ import annotations

import threading
from io import BufferedReader

import pytest

from twisted_wsgiref._gateway.input_pipe import InputPipe
from twisted_wsgiref._gateway.outlet import ClientGone


def pipe(capacity: int = 100) -> tuple[InputPipe, list[str]]:
    told: list[str] = []
    return InputPipe(capacity, lambda: told.append("first read"), lambda: told.append("room")), told


def test_what_is_put_is_read_in_order() -> None:
    body, told = pipe()
    body.put(b"one\ntwo")
    body.put(b"\nthree")
    body.finish()
    reader = BufferedReader(body)
    assert reader.readline() == b"one\n"
    assert reader.read() == b"two\nthree"
    assert reader.read() == b""
    assert told == []


def test_room_is_told_once_half_is_read() -> None:
    body, told = pipe(100)
    body.put(b"x" * 100)
    assert body.full
    body.read(49)
    assert told == []
    body.read(1)
    assert told == ["room"]
    assert not body.full


def test_octets_that_come_after_the_pause_do_not_lift_it() -> None:
    # TLS brings what it has decrypted already. Told to pause, and never to go on, an upload would stall for ever.
    body, told = pipe(100)
    body.put(b"x" * 100)
    body.read(30)
    body.put(b"y" * 10)
    assert body.full
    body.read(70)
    body.read(10)
    assert told == ["room"]


def test_the_first_read_that_has_to_wait_is_told_and_only_that() -> None:
    body, told = pipe()
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(BufferedReader(body).read()), daemon=True)
    reader.start()
    body.put(b"a")
    body.put(b"b")
    body.finish()
    reader.join(10)
    assert got == [b"ab"]
    assert told in ([], ["first read"])


def test_a_lost_client_ends_the_wait() -> None:
    body, _ = pipe()
    body.put(b"a")
    body.lose()
    assert body.read(10) == b"a"
    with pytest.raises(ClientGone):
        body.read(10)
