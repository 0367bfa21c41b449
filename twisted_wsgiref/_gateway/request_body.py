"""A request's body while it arrives: in memory up to a mark, then in a temporary file without a name.

Whatever a body's size, memory holds no more than the mark and what one read brings; and a slow disk holds up the
thread that writes to it, never the reactor.
"""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from .input_pipe import InputPipe

if TYPE_CHECKING:
    from .interfaces import Body


class RequestBody:
    """Collects one body; what exceeds `memory` bytes is due to be spilled into a file.

    While ``spilling``, `spill` runs in a thread of its own and touches only what it was left; the reactor goes on with
    the rest. Once the body is complete and nothing is spilling, the worker that opens it has it alone.
    """

    __slots__ = ("_file", "_held", "_leaving", "_memory", "_parts", "size", "spilling")

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._file: IO[bytes] | None = None
        self._parts: list[bytes] = []
        self._leaving: list[bytes] = []
        self._held = 0
        self.spilling = False
        #: Bytes so far.
        self.size = 0

    # ---- In the reactor's thread -------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Keep `data`."""
        self._parts.append(data)
        self._held += len(data)
        self.size += len(data)

    def is_due(self) -> bool:
        """Return whether memory holds as much as it may, and nobody is on it yet."""
        return self._held > self._memory and not self.spilling

    def start_spill(self) -> None:
        """Leave what memory holds to `spill`."""
        self.spilling = True
        self._leaving, self._parts, self._held = self._parts, [], 0

    def end_spill(self) -> None:
        """Learn that `spill` is through."""
        self.spilling = False

    # ---- In a thread that may wait for a disk ------------------------------------------------------------------

    def spill(self) -> None:
        """Write what `start_spill` left into the file. Raises `OSError`."""
        if self._file is None:
            self._file = TemporaryFile(prefix="twisted_wsgiref-")  # noqa: SIM115 - closed with the exchange
        parts, self._leaving = self._leaving, []
        for part in parts:
            self._file.write(part)

    # ---- In a worker's thread, or the reactor's when no worker will come ---------------------------------------

    def open(self) -> IO[bytes]:
        """Return the body from its start, to be ``wsgi.input``. Raises `OSError` if the disk is full."""
        if self._file is None:
            self._file = BytesIO(b"".join(self._parts))
        else:
            for part in self._parts:
                self._file.write(part)
            self._file.seek(0)
        self._parts = []
        return self._file

    def close(self) -> None:
        """Give everything back. Raises nothing. Called when nothing is spilling."""
        self._parts = self._leaving = []
        if self._file is not None:
            # A full disk does not take what is left to be written, which nobody needs any more: the file is closed all
            # the same. And an application may have detached it.
            with suppress(OSError, ValueError):
                self._file.close()


class BodyAtOnce(BytesIO):
    """A body that came with its head, so that nothing had to be collected: it is ``wsgi.input`` as it is.

    Whoever makes it sets ``size``, its length in bytes, which stays whatever an application does with it. So making
    and closing one are calls of C's alone.
    """

    __slots__ = ("size",)

    size: int

    def open(self) -> IO[bytes]:
        """Return it from its start, to be ``wsgi.input``."""
        return self


class _SpentBody:
    """A body of `size` bytes that somebody else has had: there is nothing to read."""

    def __init__(self, size: int) -> None:
        self.size = size

    def open(self) -> IO[bytes]:
        return BytesIO()

    def close(self) -> None:
        pass


def spent(body: Body) -> Body:
    """Return what is left of `body`, which an application had and has passed on: its size, for the log."""
    if body is None:
        return None
    return _SpentBody(body.received if isinstance(body, InputPipe) else body.size)
