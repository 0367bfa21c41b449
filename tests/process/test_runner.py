"""Who runs the reactor, if several want to, and what becomes of the others?"""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from twisted_wsgiref._process.beginning import Beginning, Terminal
from twisted_wsgiref._process.loading import LoadError
from twisted_wsgiref._process.runner import Runner

PATIENCE = 10.0


class Reactor:
    """Runs until it is stopped, and once; calls what other threads give to it."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []
        self.changed = threading.Condition()
        self.runs = threading.Event()
        self.ran: list[tuple[str, bool]] = []
        self.stopped = False

    def run(self, installSignalHandlers: bool = True) -> None:
        self.ran.append((threading.current_thread().name, installSignalHandlers))
        self.runs.set()
        while not self.stopped:
            with self.changed:
                self.changed.wait_for(lambda: self.calls or self.stopped, PATIENCE)
                calls, self.calls = self.calls, []
            for call in calls:
                call()

    def callFromThread(self, call: Callable[[], None]) -> None:
        with self.changed:
            self.calls.append(call)
            self.changed.notify_all()

    def stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.changed.notify_all()


def elsewhere(reactor: Reactor) -> threading.Thread:
    """Run the reactor as an application does that starts a thread for it."""
    thread = threading.Thread(target=reactor.run, name="theirs", daemon=True)
    thread.start()
    return thread


def test_the_main_thread_runs_it_with_handlers_of_signals() -> None:
    reactor = Reactor()
    runner = Runner(reactor)
    runner.settle()
    assert not runner.is_elsewhere
    assert runner.call(lambda: threading.current_thread().name) == "MainThread"
    reactor.stop()
    reactor.run()
    assert reactor.ran == [("MainThread", True)]


def test_a_thread_that_was_first_runs_it_and_the_main_thread_waits() -> None:
    reactor = Reactor()
    runner = Runner(reactor)
    thread = elsewhere(reactor)
    assert reactor.runs.wait(PATIENCE)
    runner.settle()
    assert runner.is_elsewhere
    assert runner.call(lambda: threading.current_thread().name) == "theirs"
    threading.Timer(0.01, reactor.stop).start()
    reactor.run()  # comes back once the other has
    assert reactor.stopped
    assert reactor.ran == [("theirs", False)]
    thread.join(PATIENCE)


def test_a_signal_that_did_not_wake_the_main_thread_is_heeded_all_the_same() -> None:
    reactor = Reactor()
    Runner(reactor)
    thread = elsewhere(reactor)
    assert reactor.runs.wait(PATIENCE)
    heeded = threading.Event()

    def heed(number: int, frame: object) -> None:
        heeded.set()
        reactor.stop()

    before = signal.signal(signal.SIGUSR1, heed)
    too_late = threading.Event()

    def give_up() -> None:
        too_late.set()
        reactor.stop()

    late = threading.Timer(PATIENCE, give_up)  # so that this test ends
    try:
        late.start()
        # Marks the signal as one that has come, as a signal that another thread gets does, and wakes nobody.
        threading.Timer(0.05, _thread.interrupt_main, (signal.SIGUSR1,)).start()
        reactor.run()
    finally:
        late.cancel()
        signal.signal(signal.SIGUSR1, before)
    assert heeded.is_set()
    assert not too_late.is_set()
    thread.join(PATIENCE)


def test_a_thread_that_comes_second_waits_for_the_main_threads() -> None:
    reactor = Reactor()
    runner = Runner(reactor)
    runner.settle()
    thread = elsewhere(reactor)
    reactor.stop()
    reactor.run()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert reactor.ran == [("MainThread", True)]


def test_what_is_raised_there_is_raised_here() -> None:
    reactor = Reactor()
    runner = Runner(reactor)
    elsewhere(reactor)
    assert reactor.runs.wait(PATIENCE)
    with pytest.raises(ZeroDivisionError):
        runner.call(lambda: 1 // 0)
    reactor.stop()


def test_one_that_has_ended_is_a_mistake_with_one_line() -> None:
    reactor = Reactor()
    runner = Runner(reactor)
    reactor.stop()
    elsewhere(reactor).join(PATIENCE)
    with pytest.raises(LoadError, match=r"crochet\.no_setup\(\)"):
        runner.settle()
    with pytest.raises(LoadError, match="runs once"):
        runner.call(lambda: None)


def test_without_a_runner_all_is_done_at_once() -> None:
    beginning = Beginning()
    taken: list[Any] = []
    beginning.import_late(lambda *served: taken.append(served))
    beginning.say("nobody hears it")
    beginning.over()
    assert (beginning.is_elsewhere, beginning.call(lambda: "done"), taken) == (False, "done", [])


def test_a_terminal_is_left_once(capfd: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.say("what is wrong\n")
    terminal.close()
    terminal.say("nobody hears it")
    terminal.close()
    assert capfd.readouterr().err == "what is wrong\n"
