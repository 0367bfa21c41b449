"""Does a body that streams to its application arrive whole, and is nobody left waiting?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from io import BufferedReader

import pytest

from tests.support import PATIENCE
from twisted_wsgiref._gateway.client_gone import ClientGone
from twisted_wsgiref._gateway.input_pipe import InputPipe


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("it never came about")
        time.sleep(0.001)


def pipe(capacity: int = 100) -> tuple[InputPipe, list[str]]:
    told: list[str] = []
    body = InputPipe(capacity, lambda _: told.append("room"))
    body.before_wait = lambda: told.append("first read")
    return body, told


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


def test_the_reactor_puts_while_a_reader_asks_for_the_body() -> None:
    # To send 100 (Continue) may have to wait for room that only the reactor makes: it must find the pipe's lock free.
    body, _ = pipe()
    put = threading.Event()

    def reactor() -> None:
        body.put(b"asked for")
        put.set()

    def ask() -> None:
        threading.Thread(target=reactor, daemon=True).start()
        assert put.wait(10)

    body.before_wait = ask
    assert body.read(100) == b"asked for"


@pytest.mark.parametrize("how", ["finish", "lose"])
def test_the_end_wakes_all_who_read(how: str) -> None:
    body, _ = pipe()
    body.before_wait = None
    ended: list[object] = []

    def read() -> None:
        try:
            ended.append(body.read(1))
        except ClientGone:
            ended.append("gone")

    readers = [threading.Thread(target=read, daemon=True) for _ in range(3)]
    for reader in readers:
        reader.start()
    until(lambda: len(body._changed._waiters) == 3)  # type: ignore[attr-defined]
    getattr(body, how)()
    for reader in readers:
        reader.join(PATIENCE)
    assert ended == [b"" if how == "finish" else "gone"] * 3


def test_the_reactor_never_waits_for_what_only_it_can_put() -> None:
    body, _ = pipe()
    body.put(b"there already")
    assert body.read(100) == b"there already"
    with pytest.raises(RuntimeError, match="in the reactor's thread"):
        body.read(100)
