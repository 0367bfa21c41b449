"""``wsgi.errors``: text from applications, line by line into the log, whichever thread writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import get_ident


class ErrorStream:
    """A text stream whose whole lines go to `emit`, each thread's apart from the others'.

    One for a whole service. Called in any thread.
    """

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit
        self._begun: dict[int, str] = {}  # lines whose end has not come, by thread

    def write(self, text: str) -> int:
        """Keep `text` until its line is whole; return its length. Raises `TypeError` for what is not text."""
        if not isinstance(text, str):
            raise TypeError(f"wsgi.errors takes str, not {type(text).__name__}")
        me = get_ident()
        whole, newline, rest = (self._begun.pop(me, "") + text).rpartition("\n")
        if newline:
            self._emit(whole)
        if rest:
            self._begun[me] = rest
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of `lines`."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log the line that was begun, if any."""
        if self._begun:
            begun = self._begun.pop(get_ident(), "")
            if begun:
                self._emit(begun)
