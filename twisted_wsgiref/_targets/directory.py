"""A directory whose files are opened by names that strangers send, and no file outside of it.

Each segment of a name is opened below the one before, with links not followed; so nobody can put a link there between
a look and the opening. A name with a link in it is resolved, has to lie in the directory, and is opened in the same
way. Links that leave the directory are for whoever says so (``links``): ``collectstatic --link`` makes such. By
comparison, nginx follows every link by default, and opens segment by segment with ``disable_symlinks``.

Called in any thread. A disk that is slow holds up whoever calls.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Final

_NO_LINK: Final[int] = getattr(os, "O_NOFOLLOW", 0)
# A pipe, or a terminal, must not make us wait, or be ours.
_FILE: Final[int] = (
    os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
)
# Only to be searched: it need not be readable.
_FOLDER: Final[int] = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_DIRECTORY", 0)
# What is said of a link that is not followed: the latter if a directory was wanted.
_PERHAPS_A_LINK: Final = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EMLINK})


def can_open_below() -> bool:
    """Return whether this system opens names relative to an open directory."""
    return os.open in os.supports_dir_fd and bool(_NO_LINK)


def check_directory(path: str) -> None:
    """Raise `ValueError` if there is no directory at `path`, or this system can not open files below it alone."""
    if not can_open_below():
        raise ValueError("this system can not open files below a directory alone")
    if not os.path.isdir(path):
        raise ValueError(f"there is no directory {path}")


class Directory:
    """The directory at `path`, which is looked up each time: it may be replaced, and be a link itself.

    With `links`, links that leave it are followed.
    """

    __slots__ = ("_links", "_path")

    def __init__(self, path: str, links: bool = False) -> None:
        self._path = os.fsencode(path)
        self._links = links

    def open(self, segments: Sequence[bytes]) -> int:
        """Return a descriptor of what is at `segments`, of which there is at least one; for the caller to close.

        None of `segments` is empty, ``.`` or ``..``, or has a slash or a NUL in it. Raises `OSError`.
        """
        if self._links:
            return os.open(b"/".join((self._path, *segments)), _FILE)
        try:
            return self._walk(segments)
        except OSError as error:
            if error.errno not in _PERHAPS_A_LINK:
                raise
        return self._walk(self._resolve(segments))

    def _walk(self, segments: Sequence[bytes]) -> int:
        folder = os.open(self._path, _FOLDER)
        try:
            for name in segments[:-1]:
                below = os.open(name, _FOLDER | _NO_LINK, dir_fd=folder)
                os.close(folder)
                folder = below
            return os.open(segments[-1], _FILE | _NO_LINK, dir_fd=folder)
        finally:
            os.close(folder)

    def _resolve(self, segments: Sequence[bytes]) -> list[bytes]:
        """Return where `segments` lead once all links are followed. Raises `OSError` if that is not in here."""
        top = os.path.realpath(self._path, strict=True)
        real = os.path.realpath(b"/".join((top, *segments)), strict=True)
        start = top.rstrip(b"/") + b"/"
        if not real.startswith(start):
            raise FileNotFoundError(errno.ENOENT, "a link leaves the directory", os.fsdecode(real))
        return real[len(start) :].split(b"/")
