"""Runs threads in every order that a few switches between them can make: at any line of ours, and at any lock.

One thread runs at a time. Before each line of the files that are looked at it may be stopped, and another goes on; a
thread that waits for a lock or for work lets others run. No test belongs in here.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import Any

#: At which step which thread takes over.
Switches = tuple[tuple[int, int], ...]
# More steps than any run here takes: beyond, it goes in circles.
_MOST_STEPS = 20_000


class Stopped(BaseException):
    """The run is over: whoever still waits leaves."""


class Run:
    """One run of `actors`, which are called in threads of their own, with `switches`.

    ``choices`` are the switches that there could have been after the last.
    """

    def __init__(self, files: Iterable[str], switches: Switches = ()) -> None:
        self.choices: list[tuple[int, int]] = []
        self.errors: list[BaseException] = []
        self._files = frozenset(files)
        self._steps = 0
        self._last = switches[-1][0] if switches else 0
        self._switches = dict(switches)
        self._gates: list[threading.Lock] = []
        self._waits: list[Callable[[], bool] | None] = []
        self._current = 0
        self._over = False
        self._done = threading.Semaphore(0)

    def __call__(self, actors: Sequence[Callable[[], None]]) -> None:
        """Run all until each has ended, or waits for what will not come. What an actor raises is in ``errors``."""
        for _ in actors:
            gate = threading.Lock()
            gate.acquire()
            self._gates.append(gate)
            self._waits.append(None)
        threads = [threading.Thread(target=self._act, args=each, daemon=True) for each in enumerate(actors)]
        for thread in threads:
            thread.start()
        self._gates[0].release()
        self._done.acquire()
        self._over = True
        for thread, gate in zip(threads, self._gates, strict=True):
            while thread.is_alive():
                if gate.locked():
                    gate.release()
                thread.join(0.001)

    @property
    def waiting(self) -> list[int]:
        """Which actors wait in vain."""
        return [number for number, ready in enumerate(self._waits) if ready is not None and ready is not _never]

    def lock(self) -> Lock:
        """Return what stands for a `threading.Lock`."""
        return Lock(self)

    # ---- In an actor's thread ----------------------------------------------------------------------------------

    def _act(self, number: int, actor: Callable[[], None]) -> None:
        self._gates[number].acquire()
        try:
            if not self._over:
                sys.settrace(self._trace)
                actor()
        except Stopped:
            return
        except BaseException as error:
            self.errors.append(error)
        finally:
            sys.settrace(None)
        self._waits[number] = _never
        self._next()

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        return self._line if frame.f_code.co_filename in self._files else None

    def _line(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            self.step()
        return self._line

    def step(self) -> None:
        """Let another go on, if this is where it should."""
        if self._over:
            raise Stopped
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise RuntimeError("the run goes in circles")
        if self._steps > self._last:
            for number in range(len(self._gates)):
                if number != self._current and self._may_run(number):
                    self.choices.append((self._steps, number))
        other = self._switches.get(self._steps)
        if other is not None and other != self._current and self._may_run(other):
            self._switch(other)

    def wait(self, ready: Callable[[], bool]) -> None:
        """Let others run until `ready` says that this one may go on."""
        me = self._current
        while not ready():
            self._waits[me] = ready
            if not self._next():
                self._gates[me].acquire()
            if self._over:
                raise Stopped
            self._current = me
            self._waits[me] = None

    def _may_run(self, number: int) -> bool:
        ready = self._waits[number]
        return ready is None or ready()

    def _next(self) -> bool:
        """Have the next one run that can; return whether it is this one."""
        me = self._current
        for number in range(len(self._gates)):
            if self._may_run(number):
                if number == me:
                    return True
                self._current = number
                self._gates[number].release()
                return False
        self._done.release()
        return False

    def _switch(self, other: int) -> None:
        me = self._current
        self._current = other
        self._gates[other].release()
        self._gates[me].acquire()
        if self._over:
            raise Stopped
        self._current = me


def _never() -> bool:
    return False


class Lock:
    """A lock whose waiters let others run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._held = False

    def acquire(self) -> bool:
        self._run.step()
        self._run.wait(lambda: not self._held)
        self._held = True
        return True

    def release(self) -> None:
        self._held = False

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def try_all(most: int, once: Callable[[Switches], Run]) -> None:
    """Call `once` with all that there can be of at most `most` switches; it returns the run that it made."""
    due: list[Switches] = [()]
    while due:
        switches = due.pop()
        run = once(switches)
        if len(switches) < most:
            due.extend((*switches, choice) for choice in run.choices)
