"""Is it noticed that a reactor does not turn, and that a process's time is over, without what applications use?"""

from __future__ import annotations

import faulthandler
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_wsgiref._observe import stacks
from twisted_wsgiref._process import lookout, pulse
from twisted_wsgiref._process.lookout import LATE, Lookout, is_debugged
from twisted_wsgiref._process.pulse import Pulse


class Looked:
    """A lookout without its thread: `until` is what the thread would do until then, if nothing held it up."""

    def __init__(self) -> None:
        self.now = 100.0
        self.stalls: list[float] = []
        self.debugged = False
        self.looks = 0
        self.lookout = Lookout(lambda: self.now, lambda: self.stalls.append(self.now), held=lambda: self.debugged)
        self.lookout._thread = threading.current_thread()  # which so is never started
        self.planned: float | None = None

    def until(self, then: float) -> None:
        if self.planned is None:
            self.planned = self.now
        while self.planned is not None and self.planned <= then:
            self.now = self.planned
            self.planned = self.lookout.look(self.planned)
            self.looks += 1
        self.now = then


def test_a_reactor_that_turns_is_left_alone_and_looked_at_once_a_second() -> None:
    looked = Looked()
    for second in range(100):
        looked.lookout.beat(1.5)
        looked.until(101.0 + second)
    assert looked.stalls == []
    assert looked.looks <= 102


def test_a_reactor_that_does_not_turn_is_told_once_and_again_the_next_time() -> None:
    looked = Looked()
    looked.lookout.beat(1.5)
    looked.until(130.0)
    assert looked.stalls == [101.5]
    looked.lookout.beat(1.5)
    looked.until(140.0)
    assert [101.5 < each < 133.0 for each in looked.stalls] == [False, True]


def test_nothing_is_told_after_rest() -> None:
    looked = Looked()
    looked.lookout.beat(1.5)
    looked.lookout.rest()
    looked.until(130.0)
    assert looked.stalls == []


def test_a_process_that_was_stopped_as_a_whole_has_not_stalled() -> None:
    looked = Looked()
    looked.lookout.beat(1.5)
    looked.until(101.0)
    looked.now = 160.0  # a laptop's lid, or Ctrl-Z and fg
    looked.planned = looked.lookout.look(looked.planned)
    looked.lookout.beat(1.5)
    looked.until(161.0)
    assert looked.stalls == []
    assert LATE < 50


def test_whoever_sits_at_a_debuggers_prompt_is_not_disturbed() -> None:
    looked = Looked()
    ends: list[float] = []
    looked.debugged = True
    looked.lookout.beat(1.5)
    looked.lookout.end_within(60.0, lambda: ends.append(looked.now))
    looked.until(500.0)
    assert (looked.stalls, ends) == ([], [])
    looked.debugged = False
    looked.lookout.beat(1.5)
    looked.until(502.0)
    assert ends


def test_the_end_comes_once_and_can_be_taken_back_and_put_off() -> None:
    looked = Looked()
    ends: list[float] = []
    looked.lookout.end_within(5.0, lambda: ends.append(looked.now))
    looked.lookout.end_within(9.0, lambda: ends.append(looked.now))
    looked.until(120.0)
    assert ends == [109.0]
    looked.lookout.end_within(5.0, lambda: ends.append(looked.now))
    looked.lookout.disarm()
    looked.planned = None
    looked.until(140.0)
    assert ends == [109.0]


def test_the_real_thread_looks_as_well() -> None:
    over = threading.Event()
    lookout = Lookout(pulse.time.monotonic, lambda: None)
    lookout.end_within(0.01, over.set)
    assert over.wait(30)
    stalled = threading.Event()
    lookout = Lookout(pulse.time.monotonic, stalled.set)
    lookout.beat(0.01)
    assert stalled.wait(30)


@pytest.mark.parametrize("no_gil", [False, True])
def test_a_prompt_is_seen_in_its_thread(no_gil: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (lookout, stacks):
        monkeypatch.setattr(module, "NO_GIL", no_gil)
    asked, answered = threading.Event(), threading.Event()
    scope: dict[str, Any] = {"__name__": "pdb", "asked": asked, "answered": answered}
    exec(compile("def prompt():\n    asked.set()\n    answered.wait(30)", "/usr/lib/pdb.py", "exec"), scope)
    thread = threading.Thread(target=scope["prompt"], daemon=True)
    thread.start()
    assert asked.wait(30)
    assert is_debugged(thread)
    assert not is_debugged(threading.main_thread())
    answered.set()
    thread.join(30)
    assert not is_debugged(thread)


# ---- The pulse -----------------------------------------------------------------------------------------------------


def test_a_stall_is_shown_with_the_request_of_each_thread(logged: list[str]) -> None:
    clock = Clock()
    looked = Looked()
    me = threading.get_ident()
    beating = Pulse(clock, clock.seconds, 1.0, (), lambda: {me: "GET /slow HTTP/1.1"}, looked.lookout)
    beating.start()
    beating.stalled()
    clock.advance(3.0)
    clock.advance(3.5)
    beating.stop()
    text = "\n".join(logged)
    assert "the reactor has not turned for 1 s: every thread" in text
    assert "runs GET /slow HTTP/1.1\n" in text
    assert "in test_a_stall_is_shown_with_the_request_of_each_thread" in text
    assert "did not turn for 2.0 s: see the stacks above" in text
    assert "did not turn for 2.5 s: no stack could be had" in text


@pytest.mark.parametrize(
    ("stall", "beats", "most"), [(1.0, False, 61), (10.0, False, 61), (0.0, True, 61), (1.0, True, 61), (0.0, False, 0)]
)
def test_an_idle_process_is_woken_seldom(stall: float, beats: bool, most: int) -> None:
    class Counting(Clock):
        asked = 0

        def callLater(self, *words: Any, **named: Any) -> Any:
            self.asked += 1
            return super().callLater(*words, **named)

    clock = Counting()
    beating = Pulse(clock, clock.seconds, stall, (lambda: None,) if beats else (), dict, Looked().lookout)
    beating.start()
    clock.pump([0.25] * 240)
    beating.stop()
    assert clock.asked <= most


@pytest.mark.parametrize(("patience", "beats"), [(2.0, 20), (30.0, 10), (0.0, 10)])
def test_whoever_waits_hears_a_few_beats_in_that_time(patience: float, beats: int) -> None:
    clock, heard = Clock(), list[float]()
    calls = (lambda: heard.append(clock.seconds()),)
    beating = Pulse(clock, clock.seconds, 1.0, calls, dict, Looked().lookout, patience)
    beating.start()
    clock.pump([0.25] * 39)
    beating.stop()
    assert len(heard) == beats


def test_the_timer_of_faulthandler_is_left_to_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda *words, **named: taken.append("armed"))
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", lambda: taken.append("cancelled"))
    clock = Clock()
    beating = Pulse(clock, clock.seconds, 1.0, (), dict, Looked().lookout)
    beating.start()
    clock.pump([0.5] * 10)
    pulse.end_within(1000.0, 1, "it did not begin to serve")
    pulse.disarm()
    beating.stop()
    assert taken == []


@pytest.mark.skipif(pulse.DUMP is None, reason="no signal to spare here")
def test_a_worker_shows_its_stacks_when_the_parent_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = pulse.DUMP or 0
    with open(tmp_path / "stderr", "w+") as stream:
        monkeypatch.setattr(sys, "__stderr__", stream)
        try:
            pulse.show_on_dump()
            signal.raise_signal(number)
        finally:
            faulthandler.unregister(number)
        stream.seek(0)
        assert "in test_a_worker_shows_its_stacks_when_the_parent_asks" in stream.read()
