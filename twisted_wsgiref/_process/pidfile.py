"""The file with the number of the process that serves: written, held, found, and removed.

A number alone says little: the process may have ended, and another one may have its number. So the server holds a lock
(``flock``) on the file for as long as it lives, however it ends. Files of others, such as twistd's own, have none: they
are believed if the process is older than the file. Signals may not live here. Called in the main thread.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from twisted_wsgiref.settings import SettingError

from .other_process import lives, started

if TYPE_CHECKING:
    from .process import ThisProcess

# A pid has at most ten digits. More than this is another file, which nobody wants to lose.
_LONGEST: Final = 32
# The clock of /proc counts from a boot that is known to the second.
_BLUR: Final = 2.0

# Not by a link that somebody else has put there. (Windows has neither flag.)
_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
# Whoever reads the file locks it for a moment: so often, after so many seconds, it is tried again.
_TRIES: Final = 10
_PAUSE: Final = 0.01


class Owner(NamedTuple):
    """The process that a file names. ``holds``: it has the lock; ``written``: when, in seconds since the epoch."""

    pid: int
    holds: bool
    written: float

    @property
    def is_there(self) -> bool:
        """Whether the process that has written the file lives, as far as can be known."""
        if self.holds:
            return True
        if not lives(self.pid):
            return False
        since = started(self.pid)
        return since is None or since <= self.written + _BLUR


def read(path: str) -> Owner | None:
    """Return whom the file at `path` names; None: it is empty. Raises `OSError`, and `ValueError` for another file."""
    with open(path, "rb") as file:
        holds = not _lock(file.fileno(), shared=True)
        text = file.read(_LONGEST + 1).strip()
        written = os.fstat(file.fileno()).st_mtime
    if not text:
        return None
    if len(text) > _LONGEST or not text.isdigit():
        raise ValueError("it has something else than the number of a process in it")
    return Owner(int(text), holds, written)


class PidFile:
    """The file at `path`, for this process. It is this process's own from `open` or `write` on, until `remove`."""

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        self._named = path
        self._descriptor: int | None = None

    def check(self) -> None:
        """Raise `SettingError` if a server lives that has the file, or if the file can not be written."""
        try:
            owner = read(self._path)
        except FileNotFoundError:
            folder = os.path.dirname(self._path)
            if not os.path.isdir(folder):
                raise self._refusal(f"there is no directory {folder}") from None
            if not os.access(folder, os.W_OK):
                raise self._refusal("Permission denied") from None
        except OSError as error:
            raise self._refusal(error.strerror or str(error)) from None
        except ValueError as error:
            raise self._refusal(str(error)) from None
        else:
            # In a container each life has the same number: a file that names this process is of the life before.
            if owner is not None and owner.is_there and (owner.holds or owner.pid != os.getpid()):
                raise self._refusal(f"the process {owner.pid} lives and has it; stop that, or give another file")

    def open(self) -> None:
        """Have the file, empty or as it was before, while this process may still write there. Raises `SettingError`."""
        if self._descriptor is None:
            try:
                self._descriptor = self._opened()
            except OSError as error:
                raise self._refusal(error.strerror or str(error)) from None
            # Late: who sends signals by the file needs nothing of this.
            from twisted_wsgiref._threads.forks import tell

            tell(self)

    def write(self) -> None:
        """Have the number of this process in the file. Raises `SettingError`."""
        self.open()
        descriptor = self._descriptor
        if descriptor is not None:
            text = f"{os.getpid()}\n".encode("ascii")
            try:
                # In this order nobody finds it empty.
                os.lseek(descriptor, 0, os.SEEK_SET)
                os.write(descriptor, text)
                os.truncate(descriptor, len(text))
            except OSError as error:
                raise self._refusal(error.strerror or str(error)) from None

    def remove(self) -> None:
        """Leave no file; an empty one, if this process may not remove it any more."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            if self._is(descriptor):
                os.unlink(self._path)
        except OSError:
            try:
                os.truncate(descriptor, 0)
            except OSError:
                pass  # nobody believes it: the lock goes with this process
        os.close(descriptor)

    def forked(self, heir: bool) -> None:
        """Let go of the file, which is the parent's, unless this is the `heir`. As a holder of `forks`."""
        if not heir:
            from twisted_wsgiref._threads.forks import drop

            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                drop([descriptor])

    def _opened(self) -> int:
        """Return a descriptor of the file, locked. Raises `OSError`, and `SettingError` if somebody else has it."""
        for _ in range(_TRIES):
            descriptor = os.open(self._path, _FLAGS, 0o644)
            if _lock(descriptor, shared=False) and self._is(descriptor):
                return descriptor
            # Somebody reads it, has removed it between the two steps, or has it.
            os.close(descriptor)
            time.sleep(_PAUSE)
        raise self._refusal("another process has it; stop that, or give another file")

    def _is(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self._path))
        except FileNotFoundError:
            return False

    def _refusal(self, why: str) -> SettingError:
        return SettingError.of("{pidfile} is {!r}: {}", self._named, why)


def keep(process: ThisProcess, explain: Callable[[SettingError], str], *, leaves: bool) -> None:
    """Have the number of `process` in the file of its settings, if they name one, from when it serves to its end.

    With `leaves` the process becomes another user before that. `explain` makes a line of an error. Raises
    `SettingError`.
    """
    if not process.settings.pidfile:
        return
    file = PidFile(process.settings.pidfile)
    file.check()
    if leaves:
        file.open()

    def write() -> None:
        try:
            file.write()
        except SettingError as error:
            process.ending.fail(explain(error))

    process.notifier.call_when_ready(write)
    process.ending.call_last(file.remove)
    process.reactor.addSystemEventTrigger("after", "shutdown", file.remove)
    atexit.register(file.remove)  # also if it never came to serve


def _lock(descriptor: int, *, shared: bool) -> bool:
    """Return whether the file is locked now; also True where files have no locks. Never waits."""
    try:
        import fcntl
    except ImportError:  # Windows, which has no signals to send either
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # of a file system that has none
        return True
    return True
