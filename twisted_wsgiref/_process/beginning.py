"""How a process begins: who runs its reactor, what it imports when, and who hears of it if it can not.

A daemon is made in the middle of that: threads that an import has started do not come with it, and its terminal is
gone. So the application is imported after it, and a terminal of before is kept until it serves. Called in the main
thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from .runner import Runner

if TYPE_CHECKING:
    from twisted_wsgiref.types import WSGIApplication

    from .mounting import Loaded

_T = TypeVar("_T")


class Terminal:
    """Standard error as it is now, also for a child that will have closed it."""

    def __init__(self) -> None:
        try:
            self._descriptor: int | None = os.dup(2)
        except OSError:  # closed
            self._descriptor = None

    def say(self, text: str) -> None:
        """Write `text`, if anybody is there to read it."""
        data = text.encode("utf-8", "backslashreplace")
        try:
            while data and self._descriptor is not None:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            pass

    def close(self) -> None:
        """Leave it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@dataclass(frozen=True)
class Beginning:
    """How a process begins.

    `runner` runs its reactor, None: whoever does. `terminal` is what a daemon was started from. `load` returns what is
    served if that is imported late, and raises `LoadError`.
    """

    runner: Runner | None = None
    terminal: Terminal | None = None
    load: Callable[[], Loaded] | None = None

    @property
    def is_elsewhere(self) -> bool:
        """Whether a thread of the application's runs the reactor."""
        return self.runner is not None and self.runner.is_elsewhere

    def call(self, function: Callable[[], _T]) -> _T:
        """Return what `function` returns, called in the reactor's thread. Raises what it raises, and `LoadError`."""
        return function() if self.runner is None else self.runner.call(function)

    def import_late(self, take: Callable[[WSGIApplication, Mapping[str, object]], None]) -> None:
        """Give the application, and what is mounted beside it, to `take`. Raises `LoadError`."""
        if self.load is not None:
            take(*self.load())
            if self.runner is not None:
                self.runner.settle()

    def run_first(self) -> None:
        """Do, once, what was left until the reactor runs. Raises `LoadError`. Called in the reactor's thread."""
        if self.runner is not None:
            self.runner.run_first()

    def say(self, text: str) -> None:
        """Tell the terminal that the daemon has left."""
        if self.terminal is not None:
            self.terminal.say(text)

    def over(self) -> None:
        """Leave the terminal: the process serves."""
        if self.terminal is not None:
            self.terminal.close()


AT_ONCE: Final = Beginning()
