"""Log files that were moved, as logrotate does: SIGUSR1 opens them anew.

Here live the handler, and the way to find twistd's own log file and to open it anew. The access log's own `reopen` is
handed in. Called in the main thread, which is the reactor's.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from types import FrameType

from twisted.logger import Logger
from twisted.python.logfile import LogFile

from twisted_wsgiref._twisted.private import descriptor_of_log, log_files_of
from twisted_wsgiref._twisted.reactor import Reactor

_log = Logger()


def call_on_rotation(reopen: Callable[[], None], reactor: Reactor) -> None:
    """Make SIGUSR1 call `reopen`, and open twistd's own log file anew.

    A handler of twistd's rotates its log file, which is wrong if logrotate has moved it: with ``create`` it moves the
    fresh file as well, without it it does nothing. So ours takes its place. Any other handler is called as before.
    """
    number = getattr(signal, "SIGUSR1", None)
    if number is None:
        return
    before = signal.getsignal(number)
    files = log_files_of(before)

    def rotate(number: int, frame: FrameType | None) -> None:
        reopen()
        for file in files:
            # As twistd does it: a handler may have interrupted a write to this very file.
            reactor.callFromThread(renew, file)
        if callable(before) and not files:
            before(number, frame)

    signal.signal(number, rotate)


def renew(file: LogFile) -> None:
    """Open `file` anew if it has been moved or removed; else rotate it, as twistd does.

    If it can not be opened, the log goes on in the open file, and says why.
    """
    if not _is_moved(file):
        file.rotate()
        return
    try:
        # Its own `reopen` closes before it opens: a thread that logs meanwhile would meet no file, and if the path can
        # not be opened, every later line would. So another file takes the place of this one below its descriptor.
        with open(file.path, "a+b") as opened:
            os.dup2(opened.fileno(), descriptor_of_log(file), inheritable=False)
            status = os.fstat(opened.fileno())
    except OSError as error:
        _log.critical(
            "{path} can not be opened anew, so the log goes on in the file that was moved: {error}",
            path=file.path,
            error=error.strerror or str(error),
        )
    else:
        # The mode that logrotate's `create` has given has to stay, and twistd counts the bytes that it has written.
        file.defaultMode, file.size = stat.S_IMODE(status.st_mode), status.st_size


def _is_moved(file: LogFile) -> bool:
    try:
        return not os.path.samestat(os.stat(file.path), os.fstat(descriptor_of_log(file)))
    except OSError:
        return True  # There is nothing at its path.
