"""Is a lost wake-up a second late, counted and in the log, and not for ever?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support import GET, Server, hello, serving

LOST = "a wake-up was lost, and came late: "


def lose_one(server: Server) -> list[Any]:
    """Have the next wake of the reactor not come about; return what it was for."""
    wake = server.factory.wake
    lost: list[Any] = []

    class Lossy:
        sweep = wake.sweep

        def __call__(self, function: Callable[[], None]) -> None:
            if lost:
                wake(function)
            else:
                lost.append(function)

    server.factory.wake = Lossy()
    return lost


def sweep(server: Server) -> None:
    server.reactor.clock.now += 1.0
    server.turn()


def check(server: Server, what: str, count: int = 1) -> None:
    assert server.factory.forgotten == count
    assert server.logged().count(LOST) == count
    assert f"{LOST}{what}" in server.logged()


def test_what_came_behind_a_request_is_answered_though_the_worker_woke_nobody() -> None:
    with serving(hello) as server:
        client = server.connect()
        lost = lose_one(server)
        client.send(GET + GET)
        server.settle()
        assert lost
        assert len(client.answers()) == 1
        sweep(server)
        server.settle()
        assert len(client.answers()) == 1  # the wake might be on its way
        sweep(server)
        server.settle()
        assert len(client.answers()) == 2
        check(server, "what a client had sent was not looked at")


def test_a_part_of_a_head_that_nobody_looked_at_gets_its_deadline() -> None:
    with serving(hello, head_timeout=5) as server:
        client = server.connect()
        lose_one(server)
        client.send(GET + GET[:-2])
        server.settle()
        for _ in range(3):
            sweep(server)
        check(server, "what a client had sent was not looked at")
        client.send(GET[-2:])
        server.settle()
        assert len(client.answers()) == 2


def test_half_a_head_is_not_forgotten() -> None:
    with serving(hello) as server:
        client = server.connect().send(GET + GET[:-2])
        server.settle()
        for _ in range(4):
            sweep(server)
        assert server.factory.forgotten == 0
        client.send(GET[-2:])
        server.settle()
        assert len(client.answers()) == 2


@pytest.mark.parametrize("kind", ["socket", "opaque"])
@pytest.mark.parametrize("blocks", [2, 3])
def test_an_answer_is_sent_on_though_the_reactor_was_not_told(kind: str, blocks: int) -> None:
    def blocky(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield from [b"block"] * blocks

    with serving(blocky, validated=False) as server:
        client = server.connect(kind)
        lost = lose_one(server)
        client.send(GET)
        server.settle()
        assert lost
        assert not server.records
        for _ in range(3):
            sweep(server)
        server.settle()
        (answer,) = client.answers()
        assert answer.body == b"block" * blocks
        check(server, "an answer was not sent on")
        client.send(GET)
        server.settle()
        assert len(client.answers()) == 2


def test_a_client_that_reads_nothing_is_not_forgotten() -> None:
    def large(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [bytes(1 << 20)]

    with serving(large) as server:
        client = server.connect()
        client.reading = False
        client.send(GET)
        server.settle()
        for _ in range(4):
            sweep(server)
        assert server.factory.forgotten == 0
        client.reading = True
        server.settle()
        assert len(client.answers()) == 1


def test_calls_of_workers_are_made_though_the_reactor_was_not_woken() -> None:
    with serving(hello) as server:
        wake = server.factory.wake
        called: list[str] = []
        call_from_thread = wake._call_from_thread
        wake._call_from_thread = lambda function: None
        wake(lambda: called.append("first"))
        wake._call_from_thread = call_from_thread
        wake(lambda: called.append("second"))  # takes it that the reactor is awake
        sweep(server)
        assert not called
        sweep(server)
        assert called == ["first", "second"]
        check(server, "threads had calls for the reactor")
        wake(lambda: called.append("third"))
        server.turn()
        assert called[2:] == ["third"]


def test_a_request_that_no_worker_was_woken_for_is_counted_and_logged() -> None:
    with serving(hello) as server:
        server.pool.sweep = lambda: True
        sweep(server)
        del server.pool.sweep
        check(server, "a request waited though a thread was idle")
