"""SIGHUP in a process that serves by TLS and has no workers to replace: certificates are read anew, nobody is cut off.

Here live the handler, and the question whether the signal means that a terminal is gone. The certificates are the
service's. Called in the main thread, unless a line says otherwise.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from twisted_wsgiref.service import WSGIService

    from .process import ThisProcess

_TERMINAL: Final = "/dev/tty"
# An ignored one is a `nohup`, by which no terminal's end is to end anything. Any other handler is the application's.
_FREE: Final = (signal.SIG_DFL, signal.SIG_IGN)


def renew_on_hang_up(service: WSGIService, process: ThisProcess, ready: Callable[[], object]) -> None:
    """Make SIGHUP renew the certificates of `service`, if it has any; then `ready` is called in the reactor's thread.

    The same signal comes if the terminal is closed that the process was started from: then it ends, as without this.
    """
    number = getattr(signal, "SIGHUP", None)
    if number is None or not service.speaks_tls or (before := signal.getsignal(number)) not in _FREE:
        return
    ends_with_terminal = before is signal.SIG_DFL and _has_terminal()

    def renew_all() -> None:
        if ends_with_terminal and not _has_terminal():
            process.ending.stop()
            return
        process.notifier.reloading("reading certificates")
        service.renew_certificates()
        ready()

    def take(number: int, frame: FrameType | None) -> None:
        process.reactor.callFromThread(renew_all)

    signal.signal(number, take)


def _has_terminal() -> bool:
    """Return whether this process has a terminal that is there. Any thread may call."""
    try:
        os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return False
    return True
