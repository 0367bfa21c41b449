"""Is a lost wake-up a second late, counted and in the log, and not for ever?"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import GET, Server, SteppedPool, SteppedService, hello, serving
from twisted_wsgiref._threads import pool as pool_module
from twisted_wsgiref._threads.pool import WorkerPool
from twisted_wsgiref._threads.wake_signal import make_wake_signal

needs_epoll = pytest.mark.skipif(not hasattr(select, "epoll"), reason="nothing is held without epoll")

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


@pytest.mark.parametrize("kind", ["socket", "ours", "opaque"])
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


def lose_release(server: Server) -> None:
    """End the time for which answers are held, and have nobody look for them."""
    assert server.factory.batch.held
    server.factory.poller._released = lambda: None
    server.factory.batch.held = False


@needs_epoll
def test_an_answer_that_is_kept_leaves_though_nobody_looked_for_it() -> None:
    with serving(hello, threads=1) as server:
        clients = [server.connect().send(GET) for _ in range(4)]
        server.turn()
        server.pool.step()
        lose_release(server)
        for _ in range(3):
            sweep(server)
        assert [len(client.answers()) for client in clients] == [1, 0, 0, 0]
        check(server, "an answer was not sent on")
        server.settle()
        assert [len(client.answers()) for client in clients] == [1] * 4


@needs_epoll
def test_a_block_that_is_kept_leaves_though_nobody_looked_for_it() -> None:
    def slow(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"first"
        if not server.factory.forgotten:
            lose_release(server)
            for _ in range(3):
                sweep(server)
            assert b"first" in clients[0].received
        yield b"second"

    with serving(slow, validated=False, threads=1) as server:
        clients = [server.connect().send(GET) for _ in range(4)]
        server.turn()
        server.settle()
        assert [client.answers()[0].body for client in clients] == [b"firstsecond"] * 4
        check(server, "an answer was not sent on")


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
        server.turn()  # it learns which thread is the reactor's
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


class RealPool(WorkerPool):
    """One with threads, in the place of the stepped one."""

    jobs = ()

    def __init__(self, name: str, **how: Any) -> None:
        self.failures: list[BaseException] = []
        super().__init__(name, **{**how, "failed": self.failures.append})


class LostOnce:
    """A wake signal that is lost when it is given for the first time."""

    def __init__(self) -> None:
        self._signal = make_wake_signal()
        self.acquire = self._signal.acquire
        self.given = 0

    def release(self) -> None:
        self.given += 1
        if self.given > 1:
            self._signal.release()


def test_a_request_whose_worker_was_not_woken_is_answered_after_two_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    def make_pool(name: str, **how: Any) -> Any:
        return (SteppedPool if name.endswith("-disk") else RealPool)(name, **how)

    monkeypatch.setattr(SteppedService, "make_pool", staticmethod(make_pool))
    monkeypatch.setattr(pool_module, "make_wake_signal", LostOnce)
    with serving(hello, threads=1) as server:
        server.wait_until(lambda: len(server.pool._queue.idle) == 1)
        client = server.connect().send(GET)
        server.turn()
        (signal,) = server.pool._signals.values()
        assert signal.given == 1
        sweep(server)
        assert not client.received
        sweep(server)
        server.wait_until(lambda: bool(client.received))
        assert len(client.answers()) == 1
        check(server, "a request waited though a thread was idle")
        server.wait_until(lambda: len(server.pool._queue.idle) == 1)
        client.send(GET)
        server.wait_until(lambda: len(client.answers()) == 2)
        check(server, "a request waited though a thread was idle")
