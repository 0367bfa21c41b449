"""A request's body while it arrives: in memory up to a mark, then in a temporary file without a name.

Where a body is larger than the mark, an application reads it from the file: whatever its size, memory holds the mark.
"""

from __future__ import annotations

from io import BytesIO
from tempfile import TemporaryFile
from typing import IO


class RequestBody:
    """Collects one body of at most `memory` octets in memory. Called in the reactor's thread."""

    __slots__ = ("_file", "_memory", "size")

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._file: IO[bytes] = BytesIO()
        #: Octets so far.
        self.size = 0

    def write(self, octets: bytes) -> None:
        """Keep `octets`. Raises `OSError` if the disk is full."""
        self.size += len(octets)
        if self.size > self._memory and type(self._file) is BytesIO:
            file = TemporaryFile(prefix="twisted_wsgiref-")
            file.write(self._file.getvalue())
            self._file = file
        self._file.write(octets)

    def as_input(self) -> IO[bytes]:
        """Return the file at its start, to be ``wsgi.input``; whoever takes it closes it."""
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Give up the body: its client left or went too far."""
        self._file.close()
