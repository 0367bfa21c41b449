"""A part of a file on its way to the client, by `sendfile`, or by reading it if a transport changes bytes.

And which of what an application returns is such a file.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from io import BufferedRandom, BufferedReader, FileIO
from tempfile import _TemporaryFileWrapper
from typing import IO, Final

# The most that is sent with one call: the kernel goes on for as long as a fast client takes it.
FILE_PIECE: Final = 1024 * 1024
# The most that is read at a time of a file that the kernel does not send by itself.
_COPIED_PIECE: Final = 64 * 1024
# What `sendfile` says of a file system that can not do it, as some that run as a program, or that of an old kernel.
_NO_SENDFILE: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


class FileSpan:
    """A part of an open file, sent by the reactor. Owns a duplicate of the descriptor, so the application may close."""

    __slots__ = ("_descriptor", "_position", "remaining")

    def __init__(self, descriptor: int, position: int, size: int) -> None:
        self._descriptor = os.dup(descriptor)
        self._position = position
        self.remaining = size

    def send_piece(self, sock: socket.socket) -> bool:
        """Send at most `FILE_PIECE` bytes; return whether all of them were taken. Close when nothing is left.

        After less the socket is full: to try again at once would be a call for each few bytes that a fast client has
        just read. Raises `OSError`, also for a file that turns out to be shorter, and closes then. Called in whichever
        thread owns the socket.
        """
        most = min(self.remaining, FILE_PIECE)
        try:
            try:
                sent = os.sendfile(sock.fileno(), self._descriptor, self._position, most)
            except OSError as error:
                if error.errno not in _NO_SENDFILE:
                    raise
                data = os.pread(self._descriptor, min(most, _COPIED_PIECE), self._position)
                most = len(data)
                sent = sock.send(data) if data else 0
            if not sent:
                raise self._too_short()
        except BlockingIOError:
            return False
        except OSError:
            self.close()
            raise
        self._pass(sent)
        return sent == most

    def send_piece_by(self, send: Callable[[bytes], int]) -> bool:
        """As `send_piece`, by a function that changes what it sends; what it has not taken is read again."""
        try:
            data = os.pread(self._descriptor, min(self.remaining, _COPIED_PIECE), self._position)
            if not data:
                raise self._too_short()
            sent = send(data)
        except BlockingIOError:
            return False
        except OSError:
            self.close()
            raise
        self._pass(sent)
        return sent == len(data)

    def read(self, most: int) -> bytes:
        """Return the next bytes, at most so many. Raises and closes as `send_piece` does.

        Called in the reactor's thread.
        """
        try:
            data = os.pread(self._descriptor, min(most, self.remaining), self._position)
            if not data:
                raise self._too_short()
        except OSError:
            self.close()
            raise
        self._pass(len(data))
        return data

    def _pass(self, count: int) -> None:
        """Leave so many bytes behind; the last of them closes."""
        self._position += count
        self.remaining -= count
        if not self.remaining:
            self.close()

    def _too_short(self) -> OSError:
        return OSError(errno.EIO, f"the file is {self.remaining} bytes shorter than it was")

    def close(self) -> None:
        """Give the descriptor back. Called once, in whichever thread sent the last byte."""
        os.close(self._descriptor)


def real_file(file: object) -> IO[bytes] | None:
    """Return `file` if what its descriptor gives is what reading it would give; flushed.

    By type, since others have a descriptor too: that of a `gzip.GzipFile` gives the packed bytes.
    """
    if isinstance(file, _TemporaryFileWrapper):
        file = file.file
    if type(file) is BufferedRandom:
        file.flush()
    elif type(file) is BufferedReader:
        if type(file.raw) is not FileIO:
            return None
    elif type(file) is not FileIO:
        return None
    return None if file.closed else file
