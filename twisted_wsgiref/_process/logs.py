"""The log of a process of ours: begun in one place, whatever process it is, in the format and level of the settings.

What lives here: who begins Twisted's log, and what becomes of `logging` if the application has set up nothing. How a
line looks is `_observe.event_lines`'s. Called in the main thread, but for what says otherwise.
"""

from __future__ import annotations

import atexit
import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO, cast

from twisted.logger import FileLogObserver, LogEvent, LoggingFile, LogLevel, formatEvent, globalLogBeginner

from twisted_wsgiref._observe.current import current_request_id
from twisted_wsgiref._observe.event_lines import LEVELS, Format, as_json, as_text, at_least, level_of, said
from twisted_wsgiref._observe.failures import ToldFailure
from twisted_wsgiref._observe.log import logger
from twisted_wsgiref._observe.patient import PatientStream, patient
from twisted_wsgiref._wsgiref.tracebacks import traceback_text
from twisted_wsgiref.settings import Settings

from .link import beginning
from .pulse import time_left

# A line that a worker writes for its parent to read begins with this, which no text of a log begins with.
_MARK: Final = "\x1e"
# At the end of a process, a slow reader is waited for so many seconds at most; one that takes nothing, one second.
_CLOSE_SECONDS: Final = 5.0
# The end of the grace is so many seconds after this wait.
_MARGIN: Final = 0.1
# The streams of this process's log: one, unless a script serves again after its log was begun anew.
_streams: Final[list[PatientStream]] = []


def begin_log(settings: Settings, number: int | None = None, *, relayed: bool = False) -> None:
    """Begin the log on standard error, as `settings` say; of the worker `number`, whose parent may read it (`relayed`).

    Standard output belongs to the access log and to the application's own prints.
    """
    if not _streams:
        atexit.register(end_log)  # first of all, so that it comes after the application's own functions
    globalLogBeginner.beginLoggingTo([log_to_stderr(settings, number, relayed=relayed)], redirectStandardIO=False)


def log_to_stderr(settings: Settings, number: int | None = None, *, relayed: bool = False) -> FileLogObserver:
    """Return the observer that writes the log."""
    if relayed:
        lines: Format = _for_parent
    elif settings.log_format == "json":
        lines = as_json(number)
    else:
        lines = as_text("" if number is None else beginning(number))
    stream = patient(sys.stderr)
    if isinstance(stream, PatientStream):
        _streams.append(stream)
    # All that is asked of it is `write` and `flush`.
    return FileLogObserver(cast("TextIO", stream), at_least(settings.log_level, lines))


def end_log() -> None:
    """Wait until all lines are written, within what is left of the grace, and a second if nobody reads them."""
    for stream in _streams:
        stream.finish(min(_CLOSE_SECONDS, max(0.0, time_left() - _MARGIN)))


def forget_streams() -> None:
    """Wait for no line of the parent's, in the child of a fork that begins a log of its own."""
    _streams.clear()
    atexit.unregister(end_log)


# ---- From a worker to its parent -----------------------------------------------------------------------------------


def _for_parent(event: LogEvent) -> str | None:
    """Return `event` as a line that `relay` reads; as it is if an application has written it."""
    text = said(event)
    if text is not None:
        return f"{text}\n"
    told = {"level": level_of(event), "namespace": event.get("log_namespace")}
    failure = event.get("log_failure")
    told["text"] = formatEvent(event)
    if failure is not None:
        told["traceback"] = failure.getTraceback()
    return f"{_MARK}{json.dumps(told, default=str)}\n"


def relay(number: int, line: str) -> None:
    """Log a `line` that the worker `number` has written: its own events as what they are, and all else as info."""
    begin = beginning(number)
    try:
        told = json.loads(line[len(_MARK) :]) if line.startswith(_MARK) else None
    except ValueError:  # somebody else has written into it
        told = None
    if not isinstance(told, dict):
        _log.info("{line}", line=line if line.startswith(begin) else begin + line)
        return
    text = "\n".join(begin + each for part in ("text", "traceback") for each in str(told.get(part, "")).splitlines())
    level = str(told.get("level"))
    log = logger(str(told.get("namespace")))
    log.emit(LogLevel.levelWithName(level if level in LEVELS else "info"), "{line}", line=text)


_log: Final = logger(__name__)


# ---- What the application gives to `logging` -----------------------------------------------------------------------


class LastResort(logging.Handler):
    """Takes what is logged by `logging` where the application has set up no handler, into our log, with its level.

    Python asks it last, so whatever the application sets up, and whenever it does, is left alone. In any thread.
    """

    def __init__(self, before: logging.Handler | None) -> None:
        # As Python's own: what is below a warning is for those who set something up.
        super().__init__(logging.WARNING if before is None else before.level)
        self._before = before
        self._here = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Log `record`. If our log goes to `logging`, Python's own way is taken, or it would come back here."""
        # An observer hands on what Twisted's log has already; crochet's does it in a thread of its own.
        if getattr(self._here, "busy", False) or isinstance(getattr(record.msg, "event", None), dict):
            # Python prints it for a log that goes nowhere else. But twistd's standard error is Twisted's log again.
            if self._before is not None and not isinstance(sys.stderr, LoggingFile):
                self._before.handle(record)
            return
        self._here.busy = True
        try:
            self._log(record)
        except Exception:
            self.handleError(record)
        finally:
            self._here.busy = False

    def _log(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.stack_info:
            text += f"\n{record.stack_info}"
        facts: dict[str, object] = {"text": text, "request_id": current_request_id()}
        kind, error, trace = record.exc_info or (None, None, None)
        if kind is not None and error is not None:
            facts["log_failure"] = ToldFailure(error, trace, traceback_text(kind, error, trace))
        logger(record.name).emit(_level(record.levelno), "{text}", **facts)


def _level(number: int) -> LogLevel:
    steps = {logging.CRITICAL: "critical", logging.ERROR: "error", logging.WARNING: "warn", logging.INFO: "info"}
    name = next((name for least, name in steps.items() if number >= least), "debug")
    found: LogLevel = LogLevel.levelWithName(name)
    return found


def hear_logging() -> None:
    """Take what the application gives to `logging`, unless it sets up handlers of its own."""
    if not isinstance(logging.lastResort, LastResort):
        logging.lastResort = LastResort(logging.lastResort)


@contextmanager
def logging_kept() -> Iterator[None]:
    """Leave `logging` as it was."""
    before = logging.lastResort
    try:
        yield
    finally:
        logging.lastResort = before
