"""A developer's terminal: `breakpoint` works in it, and we leave it as we found it.

Here live the question whether there is a terminal, its modes, and the substitute for `breakpoint` if there is none. The
command line decides which process has the terminal. Called in the main thread, unless a line says otherwise.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from twisted.logger import Logger, LoggingFile

if sys.platform != "win32":
    import termios

_log = Logger()

_passed_over: Final[set[tuple[str, int]]] = set()


def can_prompt() -> bool:
    """Return whether a person may answer on standard input: it is open, and not the null device."""
    try:
        return not os.path.samestat(os.fstat(0), os.stat(os.devnull))
    except OSError:
        return False


def pass_over_breakpoints() -> None:
    """Make `breakpoint` log a line and go on, in a process that has no person to answer a prompt.

    Else the debugger would read the end of its input, and each request that comes by would fail with `BdbQuit`. A
    debugger that a user has chosen, by PYTHONBREAKPOINT or ``sys.breakpointhook``, stays: it may have other ways to its
    user.
    """
    if sys.breakpointhook is sys.__breakpointhook__ and not os.environ.get("PYTHONBREAKPOINT"):
        sys.breakpointhook = _pass_over


def _pass_over(*args: object, **named: object) -> None:
    """Say once of each place that it is passed over. Called by any thread."""
    frame = sys._getframe(1)
    place = frame.f_code.co_filename, frame.f_lineno
    if place not in _passed_over:
        _passed_over.add(place)
        _log.warn(
            "breakpoint() at {path}:{line} is passed over, since this process has no terminal: serve with --reload and "
            "one worker, or in the foreground with one process",
            path=place[0],
            line=place[1],
        )


def take_stdout_back() -> None:
    """Give a process in the foreground the standard output that twistd has made a part of its log.

    A prompt has no end of line, so there it would never be seen; and ``buffer`` and ``fileno()`` are missing.
    """
    if isinstance(sys.stdout, LoggingFile) and sys.__stdout__ is not None:
        sys.stdout = sys.__stdout__


class Modes:
    """The modes of the terminal on standard input, as they are now."""

    def __init__(self) -> None:
        self._modes: list[int | list[bytes | int]] | None = None
        if sys.platform != "win32":
            try:
                self._modes = termios.tcgetattr(0)
            except (termios.error, OSError, ValueError):
                pass  # no terminal

    def is_gone(self) -> bool:
        """Return whether there was a terminal, and it has been closed since."""
        if sys.platform == "win32" or self._modes is None:
            return False
        try:
            termios.tcgetattr(0)
        except (termios.error, OSError):
            return True
        return False

    def restore(self) -> None:
        """Set the modes again: a process that was killed at a prompt has left a terminal that does not echo.

        Safe in a signal's handler.
        """
        if sys.platform == "win32" or self._modes is None:
            return
        try:
            # In the background this would stop the process.
            if os.tcgetpgrp(0) == os.getpgrp():
                termios.tcsetattr(0, termios.TCSADRAIN, self._modes)
        except (termios.error, OSError):
            pass  # it is gone


def modes_if(attended: bool) -> Modes | None:
    """Return the modes of the terminal if it is `attended`, and a person may answer there; else None."""
    return Modes() if attended and can_prompt() else None
