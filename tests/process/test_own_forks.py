"""What does a parent do if it can not fork, and which workers does it leave to a fork server?"""

from __future__ import annotations

import errno
import os
import select
import signal
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_wsgiref._process import own_forks
from twisted_wsgiref._process.forked import Forked, Worker
from twisted_wsgiref._process.forking import ForkServers
from twisted_wsgiref._process.own_forks import OwnForks

if not hasattr(select, "epoll"):
    pytest.skip("there is no epoll here", allow_module_level=True)


class Turning(Clock):
    """A reactor whose turns are taken by hand."""

    def addReader(self, reader: object) -> None:
        pass

    def removeReader(self, reader: object) -> None:
        pass


class Hand:
    """The turns of a reactor."""

    def __init__(self, reactor: object, turn: Any) -> None:
        self.turn = turn
        self.waited: list[float | None] = []
        self.usual = self.waited.append

    def take(self) -> bool:
        return True


class Told:
    """A worker that notes what it hears."""

    number = 1

    def __init__(self) -> None:
        self.pids: list[int] = []
        self.ends: list[dict[str, object]] = []
        self.began = self.pids.append

    def ended(self, **how: object) -> None:
        self.ends.append(how)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        pass

    def childConnectionLost(self, childFD: int) -> None:
        pass


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> list[Hand]:
    made: list[Hand] = []

    def turns_of(reactor: object, turn: object) -> Hand:
        made.append(Hand(reactor, turn))
        return made[-1]

    monkeypatch.setattr(own_forks, "turns_of", turns_of)
    monkeypatch.setattr(own_forks.gc, "freeze", lambda: None)
    return made


def begun(relay: Sequence[int] = ()) -> tuple[OwnForks, Turning]:
    forks, reactor = OwnForks(), Turning()
    forks.begin(reactor, frozenset(relay))  # type: ignore[arg-type]
    return forks, reactor


def opened() -> set[str]:
    return set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()


def no_fork() -> int:
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def test_a_fork_that_fails_ends_its_worker_and_leaves_nothing(
    hands: list[Hand], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fork", no_fork)
    forks, reactor = begun()
    worker, before = Told(), opened()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    child = forks.start(worker, [0, 1])  # type: ignore[arg-type]
    assert not worker.ends
    hands[0].turn(5.0)
    assert hands[0].waited == [0]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
    assert opened() == before
    reactor.advance(0)
    assert worker.ends == [{"why": f"it could not be forked: {os.strerror(errno.EAGAIN)}"}]
    assert child.is_over
    assert not worker.pids
    hands[0].turn(5.0)
    assert hands[0].waited == [0, 5.0]


def test_a_start_that_lacks_descriptors_leaves_none_behind(hands: list[Hand], monkeypatch: pytest.MonkeyPatch) -> None:
    forks, _ = begun()
    before, real = opened(), os.dup
    left = [real, real]

    def dup(number: int) -> int:
        if not left:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return left.pop()(number)

    monkeypatch.setattr(os, "dup", dup)
    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
        forks.start(Told(), [0, 1, 2])  # type: ignore[arg-type]
    assert opened() == before
    hands[0].turn(1.0)
    assert hands[0].waited == [1.0]


def test_nobody_forks_beside_another_thread(hands: list[Hand]) -> None:
    forks, _ = begun()
    assert forks.can_fork is (threading.active_count() == 1)
    go = threading.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    try:
        assert not forks.can_fork
    finally:
        go.set()
        thread.join()


class Own:
    """A process that can fork, or not."""

    is_current = True
    can_fork = True

    def __init__(self) -> None:
        self.started: list[int] = []

    def start(self, worker: Worker, descriptors: Sequence[int]) -> Forked:
        self.started.append(worker.number)
        return Forked(self, worker)

    def wanted(self, number: int) -> None:
        pass


class Another:
    """A fork server."""

    imported = None

    def __init__(self, *_: object) -> None:
        self.started: list[int] = []
        self.retired = False

    def start(self, worker: Worker, descriptors: Sequence[int]) -> None:
        self.started.append(worker.number)

    def retire(self) -> None:
        self.retired = True


def servers(own: Own, monkeypatch: pytest.MonkeyPatch) -> tuple[ForkServers, list[Another]]:
    made: list[Another] = []

    def new(self: ForkServers) -> Another:
        made.append(Another())
        return made[-1]

    monkeypatch.setattr(ForkServers, "_new", new)
    task: Any = None
    return ForkServers(Turning(), task, frozenset(), preload=False, own=own), made  # type: ignore[arg-type]


def test_a_generation_keeps_the_code_that_it_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    own, worker = Own(), Told()
    forks, made = servers(own, monkeypatch)
    forks.start(1, worker, [])  # type: ignore[arg-type]
    own.is_current = False  # an upgrade
    forks.start(1, worker, [])  # type: ignore[arg-type]
    assert (len(own.started), made) == (2, [])
    forks.start(2, worker, [])  # type: ignore[arg-type]
    own.is_current = True
    forks.start(2, worker, [])  # type: ignore[arg-type]
    assert len(own.started) == 2
    assert made[0].started == [1, 1]


def test_a_fork_server_takes_over_while_there_is_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    own, worker = Own(), Told()
    forks, made = servers(own, monkeypatch)
    own.can_fork = False
    forks.start(1, worker, [])  # type: ignore[arg-type]
    own.can_fork = True
    forks.start(1, worker, [])  # type: ignore[arg-type]
    assert made[0].started == [1, 1]
    forks.start(2, worker, [])  # type: ignore[arg-type]
    assert own.started == [1]
    forks.keep_only({2})
    assert made[0].retired
