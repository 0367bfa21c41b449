"""One worker as its parent's reactor sees it: the line to it, what it says, and its end.

What a word or an end means is the parent's. Called in the reactor's thread.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_wsgiref._twisted.reactor import ChildProcess, Reactor

from .link import Line
from .logs import relay
from .supervisor import End, Supervisor

# The time to read the last words of a child that has ended, in seconds: its own children may hold the line open.
LAST_WORDS: Final = 0.1
# So many bytes from a child count as a line, also without an end of line.
LONGEST_LINE: Final = 64 * 1024


class Parent(Protocol):
    """Whoever keeps workers."""

    reactor: Reactor
    supervisor: Supervisor

    def say(self, line: str) -> None:
        """Log `line`."""

    def heard(self, child: WorkerProcess, line: str) -> None:
        """Take a word from a child."""

    def gone(self, child: WorkerProcess, end: End) -> None:
        """Forget a child that has ended."""


@implementer(IReadDescriptor)
class Output:
    """What a process writes to a pipe, of which `descriptor` is our end, for `heard`; `over` is called at its end."""

    def __init__(
        self, reactor: Reactor, descriptor: int, heard: Callable[[bytes], None], over: Callable[[], None]
    ) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self._heard = heard
        self._over = over
        os.set_blocking(descriptor, False)
        reactor.addReader(self)

    def fileno(self) -> int:
        """Return our end."""
        return self._descriptor

    def logPrefix(self) -> str:
        """Return how the reactor names it in its log."""
        return "output of a worker"

    def doRead(self) -> None:
        """Take what is there."""
        try:
            data = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._heard(data)
        else:
            self.close()

    def connectionLost(self, reason: object) -> None:
        """Take that the reactor ends."""
        self.close()

    def close(self) -> None:
        """Hear no more."""
        if self._descriptor >= 0:
            self._reactor.removeReader(self)
            os.close(self._descriptor)
            self._descriptor = -1
            self._over()


class WorkerProcess(ProcessProtocol):
    """One child as the reactor sees it."""

    def __init__(self, parent: Parent, number: int, slot: int) -> None:
        self.number = number
        self.slot = slot
        self.process: ChildProcess | None = None
        self.pid = 0  # also when it is gone
        self.line = Line(lambda line: parent.heard(self, line), self._line_ended)
        self._parent = parent
        self._end: End | None = None
        self._is_on_its_own = False
        self.has_drained = False  # it has said so
        self._line_open = True
        self._texts = {1: b"", 2: b""}

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Log the output of a daemon's child, line by line."""
        *lines, self._texts[childFD] = (self._texts[childFD] + data).split(b"\n")
        for line in lines:
            self._log(line)
        if len(self._texts[childFD]) > LONGEST_LINE:
            self.childConnectionLost(childFD)

    def childConnectionLost(self, childFD: int) -> None:
        """Log the part of a line that has come without its end."""
        text, self._texts[childFD] = self._texts.get(childFD, b""), b""
        if text:
            self._log(text)

    def _log(self, line: bytes) -> None:
        relay(self.number, line.decode("utf-8", "replace"))

    def began(self, pid: int) -> None:
        """Note that the child has its process."""
        self.pid = pid
        self._parent.say(f"worker {self.number} starts: pid {pid}")

    def processExited(self, reason: Failure) -> None:
        """Note how the child ended; it counts when its last words have been read."""
        self.ended(
            by_signal=getattr(reason.value, "signal", None) or 0, status=getattr(reason.value, "exitCode", 0) or 0
        )

    def ended(self, *, by_signal: int = 0, status: int = 0, why: str = "") -> None:
        """Note how the child ended, or `why` it never began; it counts when its last words have been read."""
        how = why or (_name_of_signal(by_signal) if by_signal else f"status {status}")
        self._end = End(how, well=not (why or by_signal or status), by_itself=not (why or by_signal))
        if self._line_open:
            self._parent.reactor.callLater(LAST_WORDS, self._is_gone)
        else:
            self._is_gone()

    def is_on_its_own(self) -> None:
        """Note that nobody will tell how the child ends: it does when its line does."""
        self._is_on_its_own = True
        self._end = End("nobody knows how", by_itself=False)
        if not self._line_open:
            self._is_gone()

    def begun(self) -> None:
        """Note that what the child was to be forked from has begun."""
        self._parent.supervisor.begun(self.number)

    def failed(self, line: str, *, hopeless: bool) -> None:
        """Note that what the child was to be forked from could not be made."""
        self._parent.supervisor.failed(self.number, line, hopeless=hopeless)

    def _line_ended(self) -> None:
        self._line_open = False
        if self._end is not None:
            self._is_gone()

    def _is_gone(self) -> None:
        if self._is_on_its_own and self.has_drained:
            self._end = End("drained", well=True, by_itself=False)
        if self._end is not None:
            self._parent.gone(self, self._end)


def _name_of_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have none
        return f"signal {number}"
