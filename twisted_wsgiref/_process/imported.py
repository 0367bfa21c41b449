"""The files of all that a process has imported, to see whether they are still the same.

What a process has imported stays as it was, whatever becomes of the files. So whoever forks from it after an upgrade
would mix old modules with new ones. Called in any thread.
"""

from __future__ import annotations

import os
import sys
from typing import NamedTuple


class _State(NamedTuple):
    """The marks of a file that has been replaced or written to."""

    device: int
    inode: int
    size: int
    changed: int


class Imported:
    """The state of each file of a module, as it was."""

    def __init__(self, files: dict[str, _State | None]) -> None:
        self._files = files

    @classmethod
    def now(cls) -> Imported:
        """Return that of this process, as it is now."""
        names = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        return cls({name: _state(name) for name in names if isinstance(name, str)})

    def is_current(self) -> bool:
        """Return whether each file is as it was."""
        return all(_state(name) == state for name, state in self._files.items())


def _state(name: str) -> _State | None:
    try:
        found = os.stat(name)
    except OSError:
        return None
    return _State(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
