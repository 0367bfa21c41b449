"""Floods of one kind in the log: the first is said, the rest is counted and summed up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

# How often a kind of event is said, in seconds: often enough to see an attack begin and end.
_PERIOD: Final = 60.0
# Kinds are fixed texts of ours, or errors of the system: more than these would be a leak.
_MOST: Final = 256


class Tally:
    """Says what happens, each kind once in a while, with how often it happened since.

    `say` is given one line, `clock` gives seconds. Called in the reactor's thread.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._say = say
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._said: dict[str, float] = {}

    def note(self, kind: str) -> None:
        """Say `kind` if it has not been said lately, else count it."""
        if kind in self._said:
            self._counts[kind] = self._counts.get(kind, 0) + 1
        elif len(self._said) < _MOST:
            self._said[kind] = self._clock()
            self._say(kind)

    def sum_up(self) -> None:
        """Say the counts that are due, and forget what has stopped."""
        now = self._clock()
        for kind in [kind for kind, said in self._said.items() if now - said >= _PERIOD]:
            count = self._counts.pop(kind, 0)
            if count:
                self._say(f"{kind} ({count} more in {now - self._said[kind]:.0f} s)")
                self._said[kind] = now
            else:
                del self._said[kind]
