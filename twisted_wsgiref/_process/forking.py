"""Workers that are forked: the parent's side of fork servers, one for each generation of code.

Here lives all that the parent says to a fork server and hears of it. The server itself is `fork_server`, and which
worker is started when is the supervisor's. Called in the reactor's thread.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_wsgiref._twisted.reactor import ChildProcess, Reactor

from .fork_server import Task
from .forked import Forked, Own, Worker
from .imported import Imported
from .link import LINE, Line, connect
from .spawning import command, environment, nameless_file
from .worker_process import Output

if TYPE_CHECKING:
    from .early_fork import Early

_log = Logger()

FORK_SERVER: Final = "twisted_wsgiref._process.fork_server"
# A fork server that has closed its line has ended within so many seconds.
_REAPED_WITHIN: Final = 1.0
_REAP_LOOK: Final = 0.05
# The time to read the last words of one that has ended, in seconds.
_LAST_WORDS: Final = 0.1


class ForkServer(ProcessProtocol):
    """A fork server as its parent sees it. It begins with the first worker that it is to start."""

    def __init__(self, reactor: Reactor, relay: frozenset[int], over: Callable[[ForkServer], None]) -> None:
        self._reactor = reactor
        self._relay = relay
        self._over = over
        self._children: dict[int, Forked] = {}
        self._line = Line(self._heard, self._line_ended)
        self._process: ChildProcess | None = None
        self._sock: socket.socket | None = None
        self._has_begun = False
        self._line_is_over = False
        self._status: int | None = None  # how it ended
        self._said: tuple[str, str] | None = None
        self.pid = 0
        self.imported: Imported | None = None
        self.is_over = False
        self._texts = b""

    # ---- Its beginning and end ---------------------------------------------------------------------------------

    def take(self, early: Early) -> None:
        """Be one that is there already."""
        self.pid = early.pid
        self.imported = early.imported
        self._connect(early.sock)

    def spawn(self, task: Task) -> None:
        """Start one in an interpreter of its own. Raises `OSError`."""
        ours, theirs = socket.socketpair()
        with theirs, open(os.devnull, "rb") as nothing:
            inherited: dict[int, int | str] = {0: nothing.fileno(), 1: 1, 2: 2}
            inherited |= dict.fromkeys(self._relay, "r")
            inherited[LINE] = theirs.fileno()
            self.imported = Imported.now()
            self._process = self._reactor.spawnProcess(
                self, sys.executable, command(FORK_SERVER, task.app), environment()[1], childFDs=inherited
            )
            self.pid = self._process.pid
            self._connect(ours)

    def _connect(self, sock: socket.socket) -> None:
        self._sock = sock.dup()
        self._sock.setblocking(False)
        connect(self._reactor, sock, self._line)

    def begin(self, task: Task) -> None:
        """Say what is to be done. Raises `OSError`."""
        with nameless_file(task.text()) as descriptor:
            self._send("begin", descriptors=[descriptor])

    def retire(self) -> None:
        """Have it end with its last child."""
        try:
            self._send("retire")
        except OSError:
            self.kill()

    def kill(self) -> None:
        """End it now."""
        self._signal(signal.SIGKILL)

    def wanted(self, number: int) -> None:
        """Take a signal for a child that is not forked yet: while this imports, it is the one that hangs."""
        if number != signal.SIGTERM:
            self._signal(number)
        elif all(child.is_unwanted for child in self._children.values()):
            self.kill()

    def _signal(self, number: int) -> None:
        if not self.is_over and self.pid:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def _line_ended(self) -> None:
        self._line_is_over = True
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        if self._process is None and self._status is None:
            self._wait_for_it(time.monotonic() + _REAPED_WITHIN)
        self._end()

    def _wait_for_it(self, end: float) -> None:
        """Wait for a child of this process's that the reactor has not started; never for long."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = self.pid, signal.SIGKILL  # somebody else has waited for it
        if pid or time.monotonic() >= end:
            self._exited(os.waitstatus_to_exitcode(status) if pid else -signal.SIGKILL)
        else:
            self._reactor.callLater(_REAP_LOOK, self._wait_for_it, end)

    def _exited(self, status: int) -> None:
        if self._status is None:
            self._status = status
            if not self._line_is_over:
                self._reactor.callLater(_LAST_WORDS, self._line_ended)
            self._end()

    def _end(self) -> None:
        status = self._status
        if status is None or not self._line_is_over or self.is_over:
            return
        self.is_over = True
        self._over(self)
        children, self._children = self._children, {}
        for child in children.values():
            if child.pid:
                child.worker.is_on_its_own()
                continue
            child.is_over = True
            if self._has_begun:
                child.worker.begun()
            if self._said is not None:
                word, line = self._said
                child.worker.failed(line, hopeless=word == "hopeless")
            child.worker.ended(by_signal=max(0, -status), status=max(0, status))

    # ---- Its children ------------------------------------------------------------------------------------------

    def start(self, worker: Worker, descriptors: Sequence[int]) -> Forked:
        """Have it fork a worker, which gets copies of `descriptors`. Raises `OSError`."""
        outputs = sorted(self._relay)
        pipes = [os.pipe() for _ in outputs]
        try:
            words = f"{worker.number} {len(descriptors)} {''.join(map(str, outputs)) or '-'}"
            self._send("start", words, descriptors=[*(theirs for _, theirs in pipes), *descriptors])
        finally:
            for _, theirs in pipes:
                os.close(theirs)
        child = self._children[worker.number] = Forked(self, worker)
        for number, (pipe, _) in zip(outputs, pipes, strict=True):
            heard, over = partial(worker.childDataReceived, number), partial(worker.childConnectionLost, number)
            child.outputs.append(Output(self._reactor, pipe, heard, over))
        return child

    def _send(self, *words: str, descriptors: Sequence[int] = ()) -> None:
        if self._sock is None or self.is_over:
            raise BrokenPipeError("the fork server is gone")
        data = (" ".join(words) + "\n").encode("ascii")
        socket.send_fds(self._sock, [data], list(descriptors))

    def _heard(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "begun":
            self._has_begun = True
            return
        if word in ("failed", "hopeless"):
            self._said = word, rest
            return
        number, _, value = rest.partition(" ")
        child = self._children.get(int(number))
        if child is None:
            return
        if word == "forked":
            child.worker.began(int(value))
            child.began(int(value))
            return
        del self._children[int(number)]
        child.is_over = True
        if word == "refused":
            child.worker.ended(why=f"it could not be forked: {os.strerror(int(value))}")
        else:
            status = int(value)
            self._acknowledge(number)
            child.worker.ended(by_signal=max(0, -status), status=max(0, status))

    def _acknowledge(self, number: str) -> None:
        try:
            self._send("gone", number)
        except OSError:
            pass  # it is gone itself

    # ---- What is said in its interpreter -----------------------------------------------------------------------

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Log the output of a daemon's fork server and workers, line by line. Each names the worker if its log did."""
        *lines, self._texts = (self._texts + data).split(b"\n")
        for line in lines:
            _log.info("{line}", line=line.decode("utf-8", "replace"))

    def processExited(self, reason: Failure) -> None:
        """Take the end of one that the reactor has started."""
        number = getattr(reason.value, "signal", None)
        self._exited(-number if number else getattr(reason.value, "exitCode", 0) or 0)


class ForkServers:
    """The fork servers of a parent, by the generation of the workers' code.

    `task` makes the `Task` of now. With `preload` each generation has one of its own, which has imported the code.
    Without, one serves for all generations as long as no file of what it has imported has changed; this process itself,
    if it is `own` and can fork, and else another.
    """

    def __init__(
        self,
        reactor: Reactor,
        task: Callable[[], Task],
        relay: frozenset[int],
        *,
        preload: bool,
        early: Early | None = None,
        own: Own | None = None,
    ) -> None:
        self._reactor = reactor
        self._task = task
        self._relay = relay
        self._preload = preload
        self._early = early
        self._own = own
        self._own_generations: set[int] = set()
        self._servers: dict[int, ForkServer] = {}
        self._all: set[ForkServer] = set()  # retired ones, too

    def start(self, generation: int, worker: Worker, descriptors: Sequence[int]) -> ChildProcess:
        """Start a worker. Raises `OSError`."""
        own = self._own
        if own is not None and self._is_own(generation, own) and own.can_fork:
            return own.start(worker, descriptors)
        return self._server(generation).start(worker, descriptors)

    def _is_own(self, generation: int, own: Own) -> bool:
        """Return whether the workers of `generation` have the code that this process has; the first of them decides."""
        if generation not in self._own_generations and generation not in self._servers and own.is_current:
            self._own_generations.add(generation)
        return generation in self._own_generations and generation not in self._servers

    def _server(self, generation: int) -> ForkServer:
        found = self._servers.get(generation)
        if found is None:
            found = self._as_good() or self._new()
            self._servers[generation] = found
        return found

    def _as_good(self) -> ForkServer | None:
        if self._preload:
            return None
        fresh = (each for each in self._servers.values() if each.imported is not None and each.imported.is_current())
        return next(fresh, None)

    def _new(self) -> ForkServer:
        made, task = ForkServer(self._reactor, self._relay, self._forget), self._task()
        early, self._early = self._early, None
        if early is not None:
            made.take(early)
        else:
            made.spawn(task)
        self._all.add(made)
        made.begin(task)
        return made

    def keep_only(self, generations: Collection[int]) -> None:
        """Have the servers of all other generations end with their last workers."""
        self._own_generations.intersection_update(generations)
        kept = [each for generation, each in self._servers.items() if generation in generations]
        for generation, server in list(self._servers.items()):
            if generation not in generations:
                del self._servers[generation]
                if server not in kept:
                    server.retire()

    def kill_all(self) -> None:
        """End all at once. Called by a signal's handler."""
        for server in self._all:
            server.kill()

    def _forget(self, server: ForkServer) -> None:
        self._all.discard(server)
        for generation in [number for number, each in self._servers.items() if each is server]:
            del self._servers[generation]

    def waits_for(self, pid: int) -> bool:
        """Return whether `pid` is of a server, for whoever waits for strangers."""
        return any(server.pid == pid for server in self._all)
