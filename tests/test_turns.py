"""Does the loop of Twisted's epoll reactor wait in the poller, and does everything else get its turn?

A test here fails, too, if Twisted has changed: see `twisted_wsgiref._twisted.turn_private`.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.selectreactor import SelectReactor
from twisted.python import log

from twisted_wsgiref._connection.poller import Poller
from twisted_wsgiref._twisted.private import close_reactor
from twisted_wsgiref._twisted.turn_private import turns_of

if not hasattr(select, "epoll"):
    pytest.skip("there is no epoll here", allow_module_level=True)

from twisted.internet.epollreactor import EPollReactor

PAUSE = 0.002


class End:
    """A socket that something comes to, and what is done then."""

    def __init__(self, done: list[str], name: str) -> None:
        self._mine, self._theirs = socket.socketpair()
        self._mine.setblocking(False)
        self.fileno = self._mine.fileno
        self._done = done
        self._name = name
        self.then: Callable[[], object] = lambda: None

    def come(self) -> None:
        self._theirs.send(b"a")

    def doRead(self) -> None:
        self._done.append(self._name)
        self._mine.recv(1)
        self.then()

    def logPrefix(self) -> str:
        return self._name

    def connectionLost(self, reason: object = None) -> None:
        self._mine.close()
        self._theirs.close()


class Loop:
    """A reactor with a descriptor of its own, ``other``, and a poller with one, ``mine``."""

    def __init__(self) -> None:
        self.reactor: Any = EPollReactor()
        self.reactor._registerAsIOThread = False
        self.done: list[str] = []
        self.mine, self.other = End(self.done, "mine"), End(self.done, "other")
        self.poller = self.make_poller()
        self.poller.add(self.mine.fileno(), self.mine.doRead)
        self.reactor.addReader(self.other)

    def make_poller(self) -> Poller:
        return Poller(self.reactor, lambda: None, lambda: None)

    def turn(self, seconds: float = 5) -> list[str]:
        self.done.clear()
        self.reactor.iterate(seconds)
        return sorted(self.done)

    @property
    def is_taken(self) -> bool:
        return "doIteration" in vars(self.reactor)

    def close(self) -> None:
        self.poller.close()
        self.mine.connectionLost()
        close_reactor(self.reactor)


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def test_sockets_of_the_poller_are_read_without_a_log_context(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "callWithLogger", lambda logger, *_: loop.done.append(logger.logPrefix()))
    loop.mine.come()
    assert loop.turn() == ["mine"]
    assert loop.turn(0) == []


def test_the_reactors_own_descriptors_are_seen_to_with_or_without_ours(loop: Loop) -> None:
    loop.other.come()
    assert loop.turn() == ["other"]
    loop.mine.come()
    loop.other.come()
    assert loop.turn() == ["mine", "other"]
    assert loop.turn(0) == []


def test_the_loop_makes_calls_of_timers_and_threads_and_stops_between_turns(loop: Loop) -> None:
    reactor, done, mine = loop.reactor, loop.done, loop.mine

    def later() -> None:
        done.append("timer")
        reactor.callFromThread(from_thread)

    def from_thread() -> None:
        done.append("thread")
        mine.then = reactor.stop
        mine.come()

    def started() -> None:
        mine.then = lambda: reactor.callLater(0, later)
        mine.come()

    reactor.callWhenRunning(started)
    reactor.run(installSignalHandlers=False)
    assert done == ["mine", "timer", "thread", "mine"]


def test_a_call_of_a_thread_wakes_the_loop(loop: Loop) -> None:
    def call() -> None:
        loop.done.append("called")

    loop.reactor.callWhenRunning(
        lambda: loop.reactor.callInThread(lambda: [loop.reactor.callFromThread(each) for each in (call, stop)])
    )

    def stop() -> None:
        loop.reactor.stop()

    loop.reactor.run(installSignalHandlers=False)
    assert loop.done == ["called"]


def test_while_reading_is_paused_the_reactor_waits_for_itself(loop: Loop) -> None:
    loop.mine.come()
    loop.turn()
    loop.poller.pause(PAUSE)
    assert not loop.is_taken
    loop.mine.come()
    loop.other.come()
    assert loop.turn(0) == ["other"]
    loop.poller.resume()
    assert loop.is_taken
    assert loop.done == ["other", "mine"]


def test_the_reactor_waits_for_itself_once_the_poller_is_closed_even_in_a_read(loop: Loop) -> None:
    loop.mine.then = loop.poller.close
    loop.mine.come()
    loop.other.come()
    assert "mine" in loop.turn()
    assert not loop.is_taken
    loop.other.come()
    assert loop.turn() == ["other"]


def test_a_second_poller_is_read_as_a_descriptor_of_the_reactor(loop: Loop) -> None:
    second, more = loop.make_poller(), End(loop.done, "more")
    second.add(more.fileno(), more.doRead)
    for each in (loop.mine, loop.other, more):
        each.come()
    assert loop.turn() == ["mine", "more", "other"]
    # They change places: the one that pauses gives the turns back, and the other may take them at its next pause.
    for each in (loop.poller, second):
        each.pause(PAUSE)
    for each in (second, loop.poller):
        each.resume()
    for each in (loop.mine, loop.other, more):
        each.come()
    assert loop.turn() == ["mine", "more", "other"]
    second.close()
    more.connectionLost()


def test_turns_that_are_somebody_elses_are_left_alone(loop: Loop) -> None:
    loop.poller.close()
    turn = loop.reactor.doIteration = loop.reactor.doPoll
    loop.poller.add(loop.mine.fileno(), loop.mine.doRead)
    loop.mine.come()
    assert loop.turn() == ["mine"]
    loop.poller.close()
    assert loop.reactor.doIteration is turn


def test_the_turns_stay_taken_with_another_epoll_object(loop: Loop) -> None:
    loop.poller._renew()
    assert loop.is_taken
    loop.mine.come()
    loop.other.come()
    assert loop.turn() == ["mine", "other"]


def test_another_reactor_has_no_turns_to_take() -> None:
    reactor = SelectReactor()
    assert turns_of(reactor, lambda timeout: None) is None
    close_reactor(reactor)  # type: ignore[arg-type]
