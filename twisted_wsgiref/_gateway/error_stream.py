"""``wsgi.errors``: text from applications, line by line into the log, whichever thread writes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable


class ErrorStream:
    """A text stream whose whole lines go to `emit`, each thread's apart from the others'.

    One for a whole service. Called in any thread.
    """

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit
        self._thread = threading.local()

    def write(self, text: str) -> int:
        """Keep `text` until its line is whole; return its length. Raises `TypeError` for what is not text."""
        if not isinstance(text, str):
            raise TypeError(f"wsgi.errors takes str, not {type(text).__name__}")
        whole, newline, rest = text.rpartition("\n")
        begun = getattr(self._thread, "begun", "")
        if newline:
            self._emit(begun + whole)
            begun = ""
        self._thread.begun = begun + rest
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of `lines`."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log the line that was begun, if any."""
        begun = getattr(self._thread, "begun", "")
        if begun:
            self._thread.begun = ""
            self._emit(begun)
