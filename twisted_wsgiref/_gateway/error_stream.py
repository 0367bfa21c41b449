"""``wsgi.errors``: text from applications, line by line into the log, whichever thread writes; and their exceptions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final

from twisted_wsgiref._wsgiref.tracebacks import traceback_text

# In characters. What is longer and still has no end is logged as it is: no line that tells something is as long, and
# each write looks at what was begun once more.
_LONGEST: Final = 64 * 1024


class _Begun(threading.local):
    """The line that each thread has begun."""

    line = ""  # on the class: to look for what a thread has not set would cost more than all the rest


class ErrorStream:
    """A text stream whose whole lines go to `emit`, each thread's apart from the others'.

    A line that is still without an end at 64 Ki characters goes in pieces, so that it is not kept for a whole request.
    Exceptions go to `fail`, with a format, its facts, the traceback and its text; without it they are text, too.
    One for a whole service. Called in any thread.
    """

    def __init__(
        self,
        emit: Callable[[str], None],
        fail: Callable[[str, dict[str, object], BaseException, TracebackType | None, str], None] | None = None,
    ) -> None:
        self._emit = emit
        self._fail = fail
        self._begun = _Begun()  # what each thread has begun
        #: Whether a thread has ever left a line without its end: if none has, none has to be looked for.
        self.has_begun = False

    def write(self, text: str) -> int:
        """Keep `text` until its line is whole; return its length. Raises `TypeError` for what is not text."""
        if not isinstance(text, str):
            raise TypeError(f"wsgi.errors takes str, not {type(text).__name__}")
        begun = self._begun
        line = begun.line
        if len(line) > _LONGEST and "\n" not in text:
            begun.line = ""
            self._emit(line)
            line = ""
        whole, newline, begun.line = (line + text).rpartition("\n")
        if begun.line:
            self.has_begun = True
        if newline:
            self._emit(whole)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of `lines`."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log the line that was begun, if any."""
        begun = self._begun.line
        if begun:
            self._begun.line = ""
            self._emit(begun)

    def log_exception(
        self, what: str, error: BaseException, trace: TracebackType | None, text: str = "", **facts: object
    ) -> None:
        """Log `error` after the line that was begun; `what` is a format for `facts`, `text` its traceback if made."""
        text = (text or traceback_text(type(error), error, trace)).rstrip()
        self.flush()
        if self._fail is None:
            self._emit(f"{what.format(**facts)}\n{text}")
        else:
            self._fail(what, facts, error, trace, text)
