"""Decisions about worker processes: how many there should be, and which to start, drain or kill.

Here live the states of the children, the brake of crash loops, and the order of a reload. No pid, socket or reactor may
live here: time, starting and signalling are handed in, so that tests need a list and a number. All is called in the
reactor's thread of the parent.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

# Deaths within this many seconds of each other are one crash loop. A worker that was up for longer had some use.
QUICK: Final = 10.0
# So many deaths in a row are answered at once: an operator kills, memory was short for a moment. More are a loop.
FREE_RESTARTS: Final = 5
# Slow enough that a machine can still be worked on while it loops.
SLOWED: Final = 1.0
# A child ends itself at the end of the grace; this much later, in seconds, it is ended.
MARGIN: Final = 0.6
# A tick that comes this much late, in seconds, was ours to be late: beats were not lost, they were not read.
LATE: Final = 2.0

# Exit statuses of ours. They are in docs/deploying.md.
FAILED: Final = 1
CUT_SHORT: Final = 3


class State(Enum):
    """The stage of a child's life."""

    STARTING = auto()  # it loads the application
    SERVING = auto()  # it has said that it accepts
    DRAINING = auto()  # it was asked to end


@dataclass
class Child:
    """The known facts of one child. Times are by the supervisor's clock, 0 for never."""

    number: int
    generation: int
    born: float
    beat: float
    state: State = State.STARTING
    served: bool = False  # it has been SERVING
    begun: bool = False  # its interpreter runs, and has found this package
    leaving: str = ""  # why it asked to be replaced
    problem: str = ""  # why it will end, as it said itself
    deadline: float = 0.0  # when it is killed
    killed: bool = False


@dataclass(frozen=True)
class End:
    """How a child ended: `how` as ``SIGKILL`` or ``status 1``, and whether `well`, with status 0.

    `by_itself`: neither a signal ended it nor a lack of memory or processes, which may be over the next time.
    """

    how: str
    well: bool = False
    by_itself: bool = False


class Parent(Protocol):
    """The process that does what a `Supervisor` decides, and tells the world how it goes."""

    def start(self, number: int) -> None:
        """Start the child `number`. `Supervisor.exited` is told of its end, also if it could not begin."""

    def signal(self, number: int, signum: int) -> None:
        """Send a signal to the child `number`, if it is still there."""

    def say(self, line: str, level: str = "info") -> None:
        """Tell the operator; `level` is ``info``, ``warn`` for what did not go well, or ``critical`` for the end."""

    def ready(self) -> None:
        """Learn that all children serve, for the first time."""

    def reloading(self, now: bool) -> None:
        """Learn that a reload begins, or is over, well or not."""

    def done(self, status: int) -> None:
        """Learn that the last child is gone, and with which status to end."""


@dataclass(frozen=True)
class Patience:
    """How long each wait may take, in seconds; 0: for ever, except the grace.

    With `until_reload`, after a child that did not come to serve, none is started before the next reload: a developer
    is at work on the code, and knows already that it fails.
    """

    start: float
    beat: float
    grace: float
    until_reload: bool = False


class Supervisor:
    """Keeps `target` children of `parent` serving. `clock` gives seconds that never go back."""

    def __init__(self, target: int, parent: Parent, patience: Patience, *, clock: Callable[[], float]) -> None:
        self.target = target
        self.children: dict[int, Child] = {}
        self.stopping = False
        self.status = 0
        self._parent = parent
        self._patience = patience
        self._clock = clock
        self._say = parent.say
        self._was_ready = False  # all children have served at once
        self._numbers = 0
        self._generation = self._newest = 1
        self._before: int | None = None  # the generation that serves while a new one is started
        self._held = False  # nothing is started before the next reload
        self._ever_served = self._ever_begun = False
        self._deaths = 0
        self._last_death = self._last_start = float("-inf")
        self._last_tick = clock()
        self._slow_said = False
        self._ended = False

    # ---- An operator's wishes ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the first children."""
        self._settle()

    def stop(self) -> None:
        """Drain every child, and be done when the last one is gone."""
        if not self.stopping:
            self.stopping = True
            for child in list(self.children.values()):
                self._drain(child)
            self._settle()

    def reload(self) -> None:
        """Start as many children with the code of now; the others drain once all of them serve."""
        if self.stopping:
            return
        held, self._held = self._held, False
        if held and not any(each.state is State.SERVING for each in self.children.values()):
            self._say(f"starting {_count(self.target)} with the code of now")
            for child in self._staying():
                self._drain(child)
            self._generation = self._newest = self._newest + 1
            self._settle()
            return
        self._parent.reloading(True)
        self._say(f"reloading: starting {_count(self.target)} with the new code")
        if self._before is None:
            self._before = self._generation
        else:
            # Those that start now may have read files that have changed since.
            for child in self._staying():
                self._drain(child)
        self._newest += 1
        self._generation = self._newest
        self._forgive()
        self._settle()

    def more(self) -> None:
        """Keep one child more."""
        self._change(1)

    def fewer(self) -> None:
        """Keep one child fewer, but at least one."""
        self._change(-1)

    def _change(self, by: int) -> None:
        if not self.stopping and self.target + by >= 1:
            self.target += by
            self._say(f"{_count(self.target)} from now on")
            self._settle()

    def fail(self, line: str) -> None:
        """Give up: no child can ever serve, for the reason in `line`."""
        if not self.stopping:
            self._say(line, "critical")
            self.status = FAILED
            self.stop()

    # ---- News of the children ----------------------------------------------------------------------------------

    def was_asked(self, number: int) -> bool:
        """Return whether the child `number` was asked to end."""
        child = self.children.get(number)
        return child is not None and child.state is State.DRAINING

    def beat(self, number: int) -> None:
        """Note that the reactor of the child `number` turns."""
        child = self.children.get(number)
        if child is not None:
            child.beat = self._clock()

    def begun(self, number: int) -> None:
        """Note that the interpreter of the child `number` runs: from now on the application is at fault if it fails."""
        child = self.children.get(number)
        if child is not None:
            child.begun = self._ever_begun = True

    def ready(self, number: int) -> None:
        """Note that the child `number` accepts connections."""
        child = self.children.get(number)
        if child is not None and child.state is State.STARTING:
            child.state = State.SERVING
            child.served = self._ever_served = True
            child.beat = self._clock()
            self._say(f"worker {number} serves, {child.beat - child.born:.1f} s after its start")
            self._settle()

    def asks(self, number: int, reason: str) -> None:
        """Note that the child `number` wants to be replaced, for `reason`."""
        child = self.children.get(number)
        if child is not None and child.state is State.SERVING and not child.leaving:
            child.leaving = reason
            self._say(f"worker {number} is going to be replaced: {reason}")
            self._settle()

    def unfit(self, number: int, reason: str) -> None:
        """Note that the child `number` can do no more: it drains at once if another one serves, else as by `asks`."""
        child = self.children.get(number)
        others = [each for each in self._staying() if each.state is State.SERVING and each is not child]
        if child is not None and child.state is State.SERVING and others and not self.stopping:
            self._say(f"worker {number} is replaced: {reason}", "warn")
            self._drain(child)
            self._settle()
        else:
            self.asks(number, reason)

    def failed(self, number: int, line: str, *, hopeless: bool = False) -> None:
        """Note why the child `number` is about to end; `hopeless`: no later one will do better."""
        child = self.children.get(number)
        if child is not None:
            child.problem = line
            if hopeless and not self._ever_served and self._before is None:
                self.fail(line)

    def exited(self, number: int, end: End) -> None:
        """Note that the child `number` is gone."""
        child = self.children.pop(number, None)
        if child is None:
            return
        patience = self._patience
        waited = self._clock() - child.born
        if child.state is State.STARTING and 0 < patience.start <= waited and not child.killed:
            # It has ended itself in time, with its stacks on standard error: these show the place where it hung.
            child.problem = f"it did not begin to serve within {patience.start:g} s"
        reason = f"{end.how}: {child.problem}" if child.problem else end.how
        if child.state is State.DRAINING:
            if not end.well and child.served:
                self.status = self.status or (CUT_SHORT if self.stopping else 0)
                self._say(f"worker {number} did not end well ({reason})", "warn")
        elif self._before is not None and child.generation == self._generation and not child.served:
            self._say(f"worker {number} with the new code did not start ({reason})", "warn")
            self._abort_reload()
        elif end.by_itself and not (child.begun or self._ever_begun):
            hint = f"can this user run {sys.executable}, and read the packages that it needs?"
            self.fail(f"worker {number} could not begin ({reason}): {hint}")
        elif patience.until_reload and not child.served:
            self._held = True
            self._say(f"worker {number} did not start ({reason}): waiting for a file to change", "warn")
        else:
            self._say(f"worker {number} {'died' if child.served else 'did not start'} ({reason})", "warn")
            self._note_death()
        self._settle()

    # ---- Time --------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Look for overdue children. Called a few times a second."""
        now = self._clock()
        late, self._last_tick = now - self._last_tick > LATE, now
        for child in list(self.children.values()):
            if late:
                child.beat = now
            self._look_at(child, now)
        if self._deaths and now - self._last_death > QUICK:
            self._forgive()
        self._settle()

    def _look_at(self, child: Child, now: float) -> None:
        patience = self._patience
        if child.killed:
            return
        if child.state is State.DRAINING:
            if now >= child.deadline:
                self._kill(child, "it has not ended at the end of the grace")
        elif child.state is State.STARTING:
            if patience.start and now - child.born > patience.start + MARGIN:
                self._kill(child, f"it did not begin to serve within {patience.start:g} s")
        elif patience.beat and now - child.beat > patience.beat:
            self._kill(child, f"its reactor has not turned for {patience.beat:g} s")

    def _kill(self, child: Child, why: str) -> None:
        child.killed = True
        child.problem = why
        self._say(f"worker {child.number} is killed: {why}", "warn")
        self._parent.signal(child.number, signal.SIGKILL)

    # ---- Decisions ---------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Start and drain children until there are as many as there should be, as far as that may be done now."""
        if self.stopping:
            if not self.children and not self._ended:
                self._ended = True
                self._parent.done(self.status)
            return
        staying = self._staying()
        for child in staying[self.target :]:
            self._drain(child)
        missing = self.target - len(staying)
        while missing > 0 and self._may_start():
            missing -= 1
            self._start()
        self._release()

    def _staying(self) -> list[Child]:
        """Return the children that count, the longest serving first."""
        mine = [each for each in self.children.values() if each.generation == self._generation and not each.leaving]
        mine = [each for each in mine if each.state is not State.DRAINING]
        return sorted(mine, key=lambda each: (each.state is not State.SERVING, each.number))

    def _release(self) -> None:
        """Drain the children whose successors serve: none stops accepting before another one accepts."""
        serving = [each for each in self.children.values() if each.state is State.SERVING]
        new = sum(each.generation == self._generation and not each.leaving for each in serving)
        if new >= self.target:
            for child in serving:
                if child.generation != self._generation:
                    self._drain(child)
            if not self._was_ready:
                self._was_ready = True
                self._parent.ready()
            if self._before is not None:
                self._before = None
                self._drain_strangers()
                self._say(f"reloaded: {_count(self.target)} with the new code")
                self._parent.reloading(False)
        leaving = [each for each in serving if each.leaving and each.generation == self._generation]
        for child in leaving[: max(0, new + len(leaving) - self.target)]:
            self._drain(child)

    def _drain_strangers(self) -> None:
        """Drain the children that still start with the code of before."""
        for child in list(self.children.values()):
            if child.generation != self._generation:
                self._drain(child)

    def _abort_reload(self) -> None:
        """Go on with the generation from before."""
        if self._before is None:
            return
        self._generation, self._before = self._before, None
        self._say("the reload is given up: the workers with the old code go on", "warn")
        self._parent.reloading(False)
        self._drain_strangers()

    def _drain(self, child: Child) -> None:
        if child.state is not State.DRAINING:
            child.state = State.DRAINING
            child.deadline = self._clock() + self._patience.grace + MARGIN
            self._parent.signal(child.number, signal.SIGTERM)

    def _start(self) -> None:
        self._numbers += 1
        now = self._last_start = self._clock()
        self.children[self._numbers] = Child(self._numbers, self._generation, now, now)
        self._parent.start(self._numbers)

    # ---- Crash loops -------------------------------------------------------------------------------------------

    def _note_death(self) -> None:
        self._last_death = self._clock()
        self._deaths += 1
        if self._deaths > FREE_RESTARTS and not self._slow_said:
            self._slow_said = True
            self._say(f"{self._deaths} workers died soon after each other: from now on one is started a second", "warn")

    def _may_start(self) -> bool:
        return not self._held and (self._deaths <= FREE_RESTARTS or self._clock() - self._last_start >= SLOWED)

    def _forgive(self) -> None:
        if self._slow_said:
            self._say("workers are started without a pause again")
        self._deaths = 0
        self._slow_said = False


def _count(workers: int) -> str:
    return f"{workers} worker{'' if workers == 1 else 's'}"
