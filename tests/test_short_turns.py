"""Is a descriptor of ours read with less ado by Twisted's epoll reactor, and does everything else get its turn?

A test here fails, too, if Twisted has changed: see `twisted_wsgiref._twisted.turn_private`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.selectreactor import SelectReactor
from twisted.python import log

from twisted_wsgiref._connection.poller import Poller
from twisted_wsgiref._twisted.private import close_reactor
from twisted_wsgiref._twisted.turn_private import read_in_short_turns

epollreactor = pytest.importorskip("twisted.internet.epollreactor", exc_type=ImportError)


class Reads:
    """A descriptor that can be read, known to a reactor, and how it was read."""

    def __init__(self, reactor: Any, done: list[str], name: str) -> None:
        self._mine, self._theirs = socket.socketpair()
        self._mine.setblocking(False)
        self.fileno = self._mine.fileno
        self._done = done
        self._name = name
        self.then: Callable[[], object] = lambda: None
        reactor.addReader(self)

    def come(self) -> None:
        self._theirs.send(b"a")

    def read(self, how: str = "short") -> None:
        self._done.append(f"{self._name}: {how}")
        self._mine.recv(1)
        self.then()

    def doRead(self) -> None:
        self.read("usual")

    def logPrefix(self) -> str:
        return "-"

    def connectionLost(self, reason: object) -> None:
        self._mine.close()
        self._theirs.close()


@pytest.fixture
def reactor() -> Iterator[Any]:
    made = epollreactor.EPollReactor()
    made._registerAsIOThread = False
    yield made
    close_reactor(made)


@pytest.fixture
def done() -> list[str]:
    return []


def test_a_descriptor_that_alone_has_something_is_read_in_a_short_turn(reactor: Any, done: list[str]) -> None:
    one = Reads(reactor, done, "one")
    end = read_in_short_turns(reactor, one.fileno(), one.read)
    one.come()
    reactor.iterate(5)
    assert done == ["one: short"]
    reactor.iterate(0)
    assert done == ["one: short"]
    end()
    one.come()
    reactor.iterate(5)
    assert done == ["one: short", "one: usual"]


def test_others_are_seen_to_in_the_same_turn(reactor: Any, done: list[str]) -> None:
    one, other = Reads(reactor, done, "one"), Reads(reactor, done, "other")
    read_in_short_turns(reactor, one.fileno(), one.read)
    one.come()
    other.come()
    reactor.iterate(5)
    assert sorted(done) == ["one: usual", "other: usual"]


def test_the_loop_makes_calls_of_timers_and_threads_between_short_turns(reactor: Any, done: list[str]) -> None:
    one = Reads(reactor, done, "one")
    read_in_short_turns(reactor, one.fileno(), one.read)

    def later() -> None:
        done.append("timer")
        reactor.callFromThread(from_thread)

    def from_thread() -> None:
        done.append("thread")
        one.then = reactor.stop
        one.come()

    def started() -> None:
        one.then = lambda: reactor.callLater(0, later)
        one.come()

    reactor.callWhenRunning(started)
    reactor.run(installSignalHandlers=False)
    assert done == ["one: short", "timer", "thread", "one: short"]


def test_two_are_read_in_one_turn_and_the_first_may_end_the_second(reactor: Any, done: list[str]) -> None:
    one, other = Reads(reactor, done, "one"), Reads(reactor, done, "other")
    ends = {each: read_in_short_turns(reactor, each.fileno(), each.read) for each in (one, other)}
    one.come()
    other.come()
    reactor.iterate(5)
    assert sorted(done) == ["one: short", "other: short"]
    one.then, other.then = ends[other], ends[one]
    one.come()
    other.come()
    reactor.iterate(5)
    assert len(done) == 3


def test_the_reactor_has_its_own_turns_again_once_the_last_has_ended(reactor: Any, done: list[str]) -> None:
    ends = [read_in_short_turns(reactor, each.fileno(), each.read) for each in [Reads(reactor, done, "one")] * 2]
    assert "doIteration" in vars(reactor)
    for end in ends:
        end()
    assert "doIteration" not in vars(reactor)


def test_turns_that_are_somebody_elses_are_left_alone(reactor: Any, done: list[str]) -> None:
    one = Reads(reactor, done, "one")
    turn = reactor.doIteration = reactor.doPoll
    read_in_short_turns(reactor, one.fileno(), one.read)()
    assert reactor.doIteration is turn


def test_another_reactor_reads_in_its_own_way(done: list[str]) -> None:
    reactor = SelectReactor()
    try:
        one = Reads(reactor, done, "one")
        end = read_in_short_turns(reactor, one.fileno(), one.read)
        one.come()
        reactor.iterate(5)
        end()
        assert done == ["one: usual"]
    finally:
        close_reactor(reactor)  # type: ignore[arg-type]


def test_sockets_of_the_poller_are_read_without_a_log_context(
    reactor: Any, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "callWithLogger", lambda logger, *_: done.append(f"context of {logger.logPrefix()}"))
    poller = Poller(reactor, lambda: done.append("turned"), lambda: None)
    source, sink = os.pipe()
    poller.add(source, lambda: done.append(os.read(source, 1).decode()))
    os.write(sink, b"a")
    reactor.iterate(5)
    assert done == ["a", "turned"]
    poller.close()
    assert "doIteration" not in vars(reactor)
    os.close(source)
    os.close(sink)
