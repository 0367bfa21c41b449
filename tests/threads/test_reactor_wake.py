"""Is every function called once, in the reactor's thread, with as few wakes as can be?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted_wsgiref._threads.reactor_wake import SHARE, ReactorWake


class Reactor:
    def __init__(self) -> None:
        self.calls: list[Callable[[], Any]] = []

    def call(self, function: Callable[[], Any]) -> None:
        self.calls.append(function)

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


def test_one_wake_for_all_that_wait() -> None:
    reactor, seen = Reactor(), []
    wake = ReactorWake(reactor.calls.append, print)
    reactor_calls = reactor.calls
    for number in range(10):
        wake(lambda number=number: seen.append(number))  # type: ignore[misc]
    assert len(reactor_calls) == 1
    assert seen == []
    reactor.turn()
    assert seen == list(range(10))


def test_many_calls_leave_a_turn_to_others_after_their_share() -> None:
    reactor, seen, now = Reactor(), [], [0.0]
    wake = ReactorWake(reactor.call, print, lambda: now[0])

    def call(number: int) -> None:
        seen.append(number)
        now[0] += SHARE / 40

    for number in range(100):
        wake(partial(call, number))
    turns = []
    while reactor.calls:
        assert len(reactor.calls) == 1
        before = len(seen)
        reactor.turn()
        turns.append(len(seen) - before)
    assert seen == list(range(100))  # in their order
    assert len(turns) == 3
    assert max(turns) < 60


def test_what_is_asked_for_meanwhile_is_called_at_the_next_turn() -> None:
    reactor, seen = Reactor(), []
    wake = ReactorWake(reactor.call, print)

    def again() -> None:
        seen.append(1)
        wake(lambda: seen.append(2))

    wake(again)
    reactor.turn()
    assert seen == [1]
    assert len(reactor.calls) == 1
    reactor.turn()
    assert seen == [1, 2]
    assert reactor.calls == []


def test_one_that_raises_does_not_disturb_the_others() -> None:
    reactor, seen, failures = Reactor(), [], []
    wake = ReactorWake(reactor.call, failures.append)

    def broken() -> None:
        raise ValueError("on purpose")

    wake(broken)
    wake(lambda: seen.append(1))
    reactor.turn()
    assert seen == [1]
    assert [str(error) for error in failures] == ["on purpose"]


def test_nothing_is_lost_between_many_threads() -> None:
    lock = threading.Lock()
    waiting: list[Callable[[], Any]] = []
    woken = threading.Event()

    def call_from_thread(call: Callable[[], Any]) -> None:
        with lock:
            waiting.append(call)
        woken.set()

    seen: list[int] = []
    wake = ReactorWake(call_from_thread, print)

    def ask(start: int) -> None:
        for number in range(start, start + 2000):
            wake(lambda number=number: seen.append(number))  # type: ignore[misc]

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(0, 8000, 2000)]
    for thread in threads:
        thread.start()
    rounds = 0
    while len(seen) < 8000 and rounds < 100_000:
        rounds += 1
        woken.wait(1)
        woken.clear()
        with lock:
            calls, waiting[:] = waiting[:], []
        for call in calls:
            call()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(8000))
    for start in range(0, 8000, 2000):
        own = [number for number in seen if start <= number < start + 2000]
        assert own == sorted(own)
