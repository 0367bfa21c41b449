"""The file, pipe or stream that takes the access log's lines, and may take only a part of them. The writer's thread."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from collections.abc import Callable
from typing import Final, Protocol

#: A sink that takes nothing is asked about this often, in seconds.
PATIENCE: Final = 0.5
# So often in a row a sink may be ready and yet take nothing, since another writer was there first.
_MOST_MISSED: Final = 10


class Sink(Protocol):
    """An unbuffered binary stream for the lines. `write` returns the number of bytes that it took, None for none."""

    def write(self, data: bytes, /) -> int | None: ...

    def close(self) -> None: ...


def open_file(path: str) -> Sink:
    """Open `path` to be added to. Raises `OSError`."""
    # "ab": each write goes to the end, even if a rotating tool has cut the file short.
    return open(path, "ab", buffering=0)


def descriptor_of(sink: object) -> int | None:
    """Return the descriptor of `sink`, None if it has none, or has closed it."""
    fileno: Callable[[], int] | None = getattr(sink, "fileno", None)
    try:
        return None if fileno is None else fileno()
    except (OSError, ValueError):
        return None


def _most_at_once(sink: Sink) -> int:
    """Return the most bytes that `sink` keeps together if others write to it too: for a pipe few."""
    descriptor = descriptor_of(sink)
    try:
        is_pipe = descriptor is not None and stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return sys.maxsize
    return getattr(select, "PIPE_BUF", 512) if is_pipe else sys.maxsize  # 512: POSIX's least


def standard_output() -> int:
    """Return the descriptor, not `sys.stdout`, which Twisted replaces by its own log."""
    return sys.__stdout__.fileno() if sys.__stdout__ is not None else 1


def _may_stall(sink: Sink) -> int | None:
    """Return the descriptor of a pipe, a socket or a terminal, whose other end may take nothing for a while."""
    descriptor = descriptor_of(sink)
    try:
        return None if descriptor is None or stat.S_ISREG(os.fstat(descriptor).st_mode) else descriptor
    except OSError:
        return None


def _wait_for_room(descriptor: int, wait_longer: Callable[[], bool]) -> bool:
    """Wait until `descriptor` takes something; return False if `wait_longer`, asked twice a second, does."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    while not poll.poll(PATIENCE * 1000):
        if not wait_longer():
            return False
    return True


def write_all(sink: Sink, data: bytes, wait_longer: Callable[[], bool] = lambda: False) -> tuple[bytes, OSError | None]:
    """Write `data`, in one call unless the sink takes only a part; return the rest, and the error that stopped it.

    If its other end takes nothing, `wait_longer` is called twice a second: False gives up.
    """
    most, start, missed = _most_at_once(sink), 0, 0
    descriptor = _may_stall(sink) if hasattr(select, "poll") else None
    try:
        while start < len(data):
            if descriptor is not None and not _wait_for_room(descriptor, wait_longer):
                return data[start:], BlockingIOError(errno.EAGAIN, "nothing is taken now")
            end = len(data)
            if end - start > most:
                end = data.rfind(b"\n", start, start + most) + 1 or data.find(b"\n", start) + 1 or end
            taken = sink.write(data[start:end])
            if not taken and descriptor is not None and missed < _MOST_MISSED:
                missed += 1
                continue
            missed = 0
            if not taken:
                return data[start:], BlockingIOError(errno.EAGAIN, "nothing is taken now")
            start += taken
    except OSError as error:
        return data[start:], error
    except Exception as error:  # of a closed file, or of a sink that is not ours
        return data[start:], OSError(errno.EBADF, str(error))
    return b"", None
