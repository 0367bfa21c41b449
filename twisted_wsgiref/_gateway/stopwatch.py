"""How long one thing has been waited for: a phase and its progress, and since when both are what they are."""

from __future__ import annotations


class Stopwatch:
    """Measures, whenever it is looked at, for how long the same `phase` has made no progress.

    Times are seconds of whatever clock the caller reads. Called in the reactor's thread.
    """

    __slots__ = ("_progress", "phase", "since")

    def __init__(self) -> None:
        #: What is waited for; None: nobody has looked yet.
        self.phase: object = None
        #: Since when there was no progress.
        self.since = 0.0
        self._progress = 0

    def start(self, phase: object, now: float) -> None:
        """Measure `phase` from `now` on, unless it is measured already."""
        if phase is not self.phase:
            self.phase = phase
            self.since = now
            self._progress = 0

    def reset(self) -> None:
        """Measure nothing until somebody looks again."""
        self.phase = None

    def elapsed(self, phase: object, now: float, progress: int = 0) -> float:
        """Return how long `phase` has stood at `progress`; it starts with the first look at it."""
        if phase is not self.phase or progress != self._progress:
            self.phase = phase
            self.since = now
            self._progress = progress
        return now - self.since

    def rate(self, phase: object, now: float, progress: int, window: float) -> float | None:
        """Return the progress a second over the last `window` seconds or more; None where it is too early to tell."""
        self.start(phase, now)
        elapsed = now - self.since
        if elapsed < window:
            return None
        rate = (progress - self._progress) / elapsed
        self.since = now
        self._progress = progress
        return rate
