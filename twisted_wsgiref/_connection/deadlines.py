"""What a connection waits for, and when that has taken too long. Pure: the clock is the caller's."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

# A body's rate is judged over this many seconds: a train in a tunnel is no attack.
RATE_WINDOW: Final = 10.0
# A sweep is never early, but the one before may have been late by a part of this, in seconds: what it saw begin is due.
_JITTER: Final = 0.05


class Phase(Enum):
    """What is waited for on a connection; at any moment it is one of these."""

    HANDSHAKE = "the end of a TLS handshake"
    FRESH = "the first byte of the first request"
    IDLE = "the next request"
    HEAD = "the rest of a request's head"
    BODY = "the rest of a request's body"
    QUEUED = "a thread"
    RUNNING = "the application"
    STREAMING = "the next block of a body that holds no thread"
    SENDING = "the client to take its answer"
    CLOSING = "the client to close"
    HANDED_OVER = "whoever took the connection over"


#: Nothing has come that is not answered: of many connections most are in these, and a look at one has to cost little.
CALM: Final = (Phase.FRESH, Phase.IDLE)


class Deadlines:
    """Measures, whenever it is looked at, for how long the same phase has made no progress.

    `limits` are seconds for each phase that has a limit; `rate` is the fewest bytes a second in which a body may come.
    `phase` is measured from `now` on; None: nothing is until somebody looks. Called in the reactor's thread.
    """

    __slots__ = ("_calm_until", "_limits", "_phase", "_progress", "_rate", "_seen", "_since", "request")

    def __init__(
        self, limits: Mapping[Phase, float], rate: float, phase: Phase | None = None, now: float = 0.0
    ) -> None:
        self._limits = limits
        self._rate = rate
        self._progress = 0
        self._phase = phase
        self._since = now
        self._calm_until = 0.0  # nothing is due before; 0.0: it has to be looked at
        self._seen: float | None = None
        #: When the last request was ready. Set for each, and looked at when somebody asks: so a request costs no call.
        self.request: float | None = None

    @property
    def phase(self) -> Phase | None:
        """What is waited for; None: nobody has looked yet."""
        self._heed_request()
        return self._phase

    @property
    def since(self) -> float:
        """Since when there was no progress."""
        self._heed_request()
        return self._since

    def _heed_request(self) -> None:
        """Measure the last request's wait for a thread, if nobody has looked since it was ready."""
        if self.request != self._seen and self.request is not None:
            self._seen = self.request
            self._restart(Phase.QUEUED, self.request)

    def start(self, phase: Phase, now: float) -> None:
        """Measure `phase` from `now` on, unless it is measured already."""
        if phase is not self.phase:
            self._restart(phase, now)

    def calm(self, now: float) -> Phase | None:
        """Return the phase of the last look, if that was a wait for a request, none has come, and none is due yet.

        Bytes that have come, and are no request, are not known here.
        """
        return self._phase if now <= self._calm_until and self.request == self._seen else None

    def _restart(self, phase: Phase, now: float) -> None:
        self._calm_until = 0.0
        self._phase = phase
        self._since = now
        self._progress = 0

    def reset(self) -> None:
        """Measure nothing until somebody looks again."""
        self._heed_request()
        self._calm_until = 0.0
        self._phase = None

    def change(self, limits: Mapping[Phase, float]) -> None:
        """Go on with other limits; what waits for a request waits anew."""
        self._limits = limits
        if self.phase in CALM:
            self._calm_until = 0.0
            self._phase = None

    def has_stood(self, phase: Phase, progress: int) -> bool:
        """Return whether the last look found the same `phase`, at the same `progress`."""
        return phase is self.phase and progress == self._progress

    def is_late(self, phase: Phase, now: float, progress: int = 0) -> bool:
        """Return whether `phase` has stood at `progress` for longer than it may; the first look starts it."""
        self.start(phase, now)
        if phase is Phase.BODY:
            return self._is_slow(now, progress)
        if progress != self._progress:
            self._progress = progress
            self._since = now
        limit = self._limits.get(phase)
        if limit is None:
            return False
        # A limit as short as the jitter still lasts: half of it.
        due = self._since + max(limit / 2, limit - _JITTER)
        if phase in CALM:
            self._calm_until = due
        return now > due

    def _is_slow(self, now: float, progress: int) -> bool:
        elapsed = now - self._since
        if elapsed < RATE_WINDOW:
            return False
        slow = progress - self._progress < self._rate * elapsed
        self._since = now
        self._progress = progress
        return slow
