"""An application's exception in the log: a `Failure` with its request, whose text is the traceback as Python shows it.

Programs that look at the log find the exception itself: trial's ``flushLoggedErrors``, observers that report errors
elsewhere, `logging` by its ``exc_info``. An observer that only writes text writes one message. Called in any thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from twisted.logger import LogLevel
from twisted.python.failure import Failure

from .log import logger

_log = logger("wsgi.errors")


class ToldFailure(Failure):
    """A failure whose text is `text`: with causes, notes and groups, which Twisted's own text leaves out."""

    def __init__(self, error: BaseException, trace: TracebackType | None, text: str) -> None:
        Failure.__init__(self, error, type(error), trace)
        self.text = text

    def getTraceback(self, elideFrameworkCode: int = 0, detail: str = "default") -> str:
        """Return the text, whatever the arguments."""
        return self.text


def log_text(text: str) -> None:
    """Log text that an application has written to ``wsgi.errors``.

    As a warning: its text may have a level of its own, and what is no exception is no error to whoever counts errors.
    """
    _log.warn("{text}", text=text)


def log_exception(
    what: str, facts: Mapping[str, object], error: BaseException, trace: TracebackType | None, text: str
) -> None:
    """Log `error` with its `trace`: `what` is a format for `facts`, `text` the traceback's text. Raises nothing.

    The event has the `Failure` as ``log_failure``, and each of the facts.
    """
    try:
        _log.failure(what, ToldFailure(error, trace, text), LogLevel.error, **facts)
    except BaseException:  # of the exception's class, or of an observer that asks it for its text
        _log.error("{text}", text=f"{what.format(**facts)}\n{text}")
