"""The log of a service, which people see even if the program has not begun logging.

Twisted keeps the events before a program begins logging, for the log to come, and shows only critical ones. Many
programs never begin: then nobody would see the traceback of an application. So the events of a service go to standard
error as long as nobody listens, and to Twisted's log from then on: to one of the two, never to both. Called in any
thread.
"""

from __future__ import annotations

import sys
from typing import cast

from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    formatEventAsClassicLogText,
    globalLogPublisher,
)

from twisted_wsgiref._twisted.private import is_log_unheard


def is_heard() -> bool:
    """Return whether anybody but Twisted's own buffer listens to the log: logging has begun, or has an observer."""
    return not is_log_unheard()


def _publish(event: LogEvent) -> None:
    # Twisted shows critical events itself.
    if event.get("log_level") is LogLevel.critical or is_heard() or not _show(event):
        globalLogPublisher(event)


def _show(event: LogEvent) -> bool:
    """Write `event` to standard error, if there is one. Return whether that succeeded."""
    try:
        text, stream = formatEventAsClassicLogText(event), sys.stderr
        if text is None or stream is None:
            return False
        stream.write(text)
        stream.flush()
    except Exception:  # closed, full, or a program's own stream, which may raise anything
        return False
    return True


def logger(namespace: str) -> Logger:
    """Return a logger whose events somebody sees."""
    return Logger(namespace=namespace, observer=cast(ILogObserver, _publish))
