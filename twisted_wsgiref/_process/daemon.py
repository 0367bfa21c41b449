"""A process that leaves its terminal: ``--daemon`` of ``python -m twisted_wsgiref`` and of ``twisted-wsgiref``.

The process that was started waits until the daemon serves, and ends with status 0, or until the daemon has ended before
that, and ends with status 1. Until it serves the daemon says everything in the terminal, so that each mistake is seen.
Then it leaves the terminal, and every pipe, since whoever reads one waits for its end; a file to which the shell has
sent an output stays. Nothing may be imported or made before that a fork would not take along: threads, above all.
Called in the main thread.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
from typing import Final, NoReturn

_SERVES: Final = b"serves\n"
# A shell adds the number of the signal that has ended a process.
_ENDED_BY: Final = 128


def goes_to_file(descriptor: int) -> bool:
    """Return whether the output `descriptor` goes to a file, which a daemon keeps."""
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:  # closed
        return False


def left_outputs() -> frozenset[int]:
    """Return the outputs that a daemon leaves: workers must not have them either."""
    return frozenset(number for number in (1, 2) if not goes_to_file(number))


class Daemon:
    """The process that is to serve; somebody waits at the other end of `pipe` to hear that it does."""

    def __init__(self, pipe: int) -> None:
        self._pipe: int | None = pipe

    def serves(self) -> None:
        """Leave the terminal, and say that this process serves. Once is enough."""
        pipe, self._pipe = self._pipe, None
        if pipe is None:
            return
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        _replace_by_nothing(left_outputs())
        try:
            os.write(pipe, _SERVES)
        except OSError:
            pass  # nobody waits any more
        os.close(pipe)

    def forget(self) -> None:
        """Leave the terminal, in a child that was forked from this process, and say nothing."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            _replace_by_nothing(left_outputs())
            os.close(pipe)


def leave_terminal() -> Daemon:
    """Return in a daemon: a child of nobody's, in a session of its own. The process that calls this never returns."""
    reader, writer = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    child = os.fork()
    if child:
        os.close(writer)
        os.waitpid(child, 0)
        _wait_for(reader)
    os.close(reader)
    os.setsid()
    if os.fork():
        os._exit(0)  # Who leads a session may get a terminal again; the next one does not.
    _replace_by_nothing(frozenset({0}))
    os.write(writer, f"{os.getpid()}\n".encode("ascii"))
    return Daemon(writer)


class _GivenUp(Exception):
    """A signal asks this process to end: its number."""


def _wait_for(reader: int) -> NoReturn:
    """End this process as the daemon begins: with status 0 if it serves, with status 1 if it has ended.

    Whoever ends this process meanwhile, as Ctrl-C, `timeout` and a closed terminal do, gives the daemon up, too: it is
    asked to end.
    """

    def give_up(number: int, frame: object) -> NoReturn:
        raise _GivenUp(number)

    said = b""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup and a shell's background want it
                signal.signal(number, give_up)
        # A process of the application's may have the other end, too, so its end is not waited for.
        while not said.endswith(_SERVES) and (more := os.read(reader, 64)):
            said += more
    except _GivenUp as error:
        daemon = said.split(b"\n")[0]
        if daemon.isdigit() and not said.endswith(_SERVES):
            os.kill(int(daemon), signal.SIGTERM)
        os._exit(_ENDED_BY + int(error.args[0]))
    os._exit(0 if said.endswith(_SERVES) else 1)


def _replace_by_nothing(descriptors: frozenset[int]) -> None:
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in descriptors:
        os.dup2(nothing, number)
    if nothing not in descriptors:
        os.close(nothing)
