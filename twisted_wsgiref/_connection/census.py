"""How many connections wait for what: counted by the sweep, which looks at each anyway. In the reactor's thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .deadlines import Phase


class Census:
    """Counts connections by their phase; `connections` says how many there are now."""

    def __init__(self, connections: Callable[[], int]) -> None:
        self._connections = connections
        self._now = 0.0
        self._phases: dict[Phase, int] = {}
        self._oldest: float | None = None

    # ---- The sweep ---------------------------------------------------------------------------------------------

    def begin(self, now: float) -> None:
        """Begin anew, at `now` by the clock of the connections."""
        self._now = now
        self._phases = {}
        self._oldest = None

    def note(self, phase: Phase, request: float) -> None:
        """Count a connection in `phase`, whose last request was ready at `request`."""
        self._phases[phase] = self._phases.get(phase, 0) + 1
        if phase is Phase.QUEUED and (self._oldest is None or request < self._oldest):
            self._oldest = request

    # ---- Whoever asks ------------------------------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """How many there are now."""
        return self._connections()

    @property
    def phases(self) -> Mapping[str, int]:
        """How many waited for what, at the last sweep."""
        return {phase.name.lower(): count for phase, count in self._phases.items()}

    @property
    def oldest(self) -> float:
        """For how long the first request of the queue had waited then, in seconds; 0.0 if none did."""
        return 0.0 if self._oldest is None else self._now - self._oldest
