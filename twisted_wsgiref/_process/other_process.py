"""What the system tells of another process: whether it lives, since when, by which words, and which signals it takes.

Here lives the reading of /proc, which only Linux has: elsewhere most answers are None, "it can not be known". Signals
are sent elsewhere. Any thread may call.
"""

from __future__ import annotations

import os
from typing import Final

# The state, and the time of the start, among what /proc/PID/stat has behind the name.
_STATE: Final = 0
_PARENT: Final = 1
_START: Final = 19
_PROC: Final = "/proc"


def lives(pid: int) -> bool:
    """Return whether the process runs. One that has ended, and that its parent has not waited for, does not."""
    if pid <= 0 or os.name == "nt":  # there a signal of any number ends the process
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError) as error:
        if not isinstance(error, PermissionError):
            return False
    return _stat(pid)[_STATE : _STATE + 1] != ["Z"]


def started(pid: int) -> float | None:
    """Return when the process was started, in seconds since the epoch, to a second or so."""
    found = _stat(pid)
    boot = [line for line in _text("stat").splitlines() if line.startswith("btime ")]
    if len(found) <= _START or not boot:
        return None
    return int(boot[0].split()[1]) + int(found[_START]) / os.sysconf("SC_CLK_TCK")


def parent_of(pid: int) -> int | None:
    """Return the pid of the process's parent."""
    found = _stat(pid)
    return int(found[_PARENT]) if len(found) > _PARENT else None


def words_of(pid: int) -> list[str] | None:
    """Return the command line that the process shows."""
    text = _text(f"{pid}/cmdline")
    return text.rstrip("\0").split("\0") if text else None


def takes(pid: int, number: int) -> bool | None:
    """Return whether the process has a handler for the signal `number`."""
    for line in _text(f"{pid}/status").splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return None


def _stat(pid: int) -> list[str]:
    # The name, in parentheses, may have anything in it.
    return _text(f"{pid}/stat").rpartition(")")[2].split()


def _text(name: str) -> str:
    try:
        with open(f"{_PROC}/{name}", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
