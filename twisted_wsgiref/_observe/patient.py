"""Standard error for the server's own log, if it is a pipe or a socket whose reader may stop: nobody waits for that.

The log is written by whoever logs, the reactor's thread among them. As long as the other end takes what comes, that is
all. If it takes nothing, text waits in memory for a thread of its own, which is there for as long as something waits.
Other processes may write to the same pipe, so it is asked whether it has room, and not made one that never blocks.
"""

from __future__ import annotations

import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, TextIO

from twisted_wsgiref._threads.forks import tell

from .log import logger

# Bytes that a pipe takes or leaves as a whole; POSIX's least, if the system does not say.
_PIECE: Final = getattr(select, "PIPE_BUF", 512)
#: The most bytes that wait: some thousand lines.
MOST_WAITING: Final = 1024 * 1024
# At the end of a process, a reader that takes nothing for so many seconds is not waited for any longer.
GIVE_UP_SECONDS: Final = 1.0


def patient(stream: TextIO) -> TextIO | PatientStream:
    """Return a stream that writes to `stream` and waits for nobody; `stream` itself, if nobody reads what it takes."""
    try:
        descriptor = stream.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError, AttributeError):  # it has none: `io.UnsupportedOperation` is both of the first
        return stream
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)) or not hasattr(select, "poll"):
        return stream
    return PatientStream(descriptor, stream.encoding or "utf-8")


class PatientStream:
    """Text to `descriptor`. Beyond `MOST_WAITING` it is dropped, and its lines are counted in ``lost``.

    Any thread may call. No lock is held while something is written, so what threads write at the same moment comes in
    any order, and a text that is longer than a pipe's piece may be parted by another.
    """

    def __init__(self, descriptor: int, encoding: str, say: Callable[[int], None] | None = None) -> None:
        self.encoding = encoding
        self.lost = 0
        self._descriptor = descriptor
        self._say = say or _say
        self._waiting: deque[bytes] = deque()
        self._held = 0  # bytes; a guess, since several threads count
        self._lock = threading.Lock()  # held to start the thread, and by it to end
        self._is_drained = True
        self._thread: threading.Thread | None = None
        self._pieces = 0  # that were written so far
        self._is_given_up = False
        tell(self)

    def write(self, text: str) -> int:
        """Write `text`, now or later. Raises nothing."""
        data = text.encode(self.encoding, "backslashreplace")
        if self._is_drained:
            data = self._put(data, 0)
        if data:
            self._keep(data)
        return len(text)

    def flush(self) -> None:
        """Do nothing: what could be written is written."""

    def _put(self, data: bytes, patience: float | None) -> bytes:
        """Write of `data` what is taken within `patience` seconds a piece, None for ever; return the rest."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        try:
            while data and poll.poll(None if patience is None else patience * 1000):
                data = data[os.write(self._descriptor, data[:_PIECE]) :]
                self._pieces += 1
        except BlockingIOError:
            return data
        except OSError:  # whoever has read it is gone: nobody will
            return b""
        return data

    def _keep(self, data: bytes) -> None:
        if self._held > MOST_WAITING:
            self.lost += data.count(b"\n")
            return
        self._held += len(data)
        self._waiting.append(data)
        with self._lock:
            if not self._is_drained:
                return
            self._is_drained = False
            self._thread = threading.Thread(target=self._drain, name="log", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the system has no thread now: the next line tries again
                self._is_drained, self._thread = True, None

    def finish(self, seconds: float) -> bool:
        """Wait until all is written, `seconds` at most, and return whether it is. For the end of a process.

        It gives up sooner if the reader takes nothing for `GIVE_UP_SECONDS`, and at once if it gave up before.
        """
        end = time.monotonic() + seconds
        while (thread := self._running()) is not None:
            left, before = end - time.monotonic(), self._pieces
            if self._is_given_up or left <= 0:
                return False
            thread.join(min(left, GIVE_UP_SECONDS))
            self._is_given_up = thread.is_alive() and self._pieces == before
        while self._waiting and not self._is_given_up:  # the system had no thread for it
            data = self._put(self._waiting.popleft(), max(0.0, min(end - time.monotonic(), GIVE_UP_SECONDS)))
            if data:
                self._waiting.appendleft(data)
                self._is_given_up = True
        return not self._waiting

    def _running(self) -> threading.Thread | None:
        """Return the thread if it writes."""
        with self._lock:
            thread = self._thread
        return thread if thread is not None and thread.is_alive() else None

    def _drain(self) -> None:
        """Write what waits, and end. The thread's."""
        while True:
            try:
                data = self._waiting.popleft()
            except IndexError:
                with self._lock:
                    if self._waiting:
                        continue
                    self._is_drained, self._held = True, 0
                break
            self._held -= len(data)
            while data:
                data = self._put(data, None)
        lost, self.lost = self.lost, 0
        if lost:
            self._say(lost)

    def forked(self, heir: bool) -> None:
        """Know that the thread is not here. Called in the child of a fork."""
        self._lock = threading.Lock()
        self._waiting.clear()
        self._is_drained, self._held = True, 0
        self._thread, self._is_given_up = None, False


def _say(lost: int) -> None:
    _log.warn("{count} lines of this log were lost: they were not taken fast enough", count=lost)


_log: Final = logger(__name__)
