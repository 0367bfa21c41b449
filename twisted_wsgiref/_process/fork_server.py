"""The process from which workers are forked: it shares with them all that it has imported, and does nothing else.

Started as ``python -m twisted_wsgiref._process.fork_server``, or forked from the parent of workers before that has a
reactor. It has no reactor and no thread; it waits for its parent's words, forks, and tells how its children end. With
``--preload`` it imports the application first. Called in the main thread, the only one.

The parent says, each with the descriptors that it names: ``begin`` (a file with `Task` as JSON), ``start NUMBER COUNT
OUTPUTS`` (pipes for the outputs, such as ``12`` or ``-``; then COUNT: the line of a worker, its table, and sockets),
``gone NUMBER`` once it sends no signal to that child any more, and ``retire``. It hears ``begun``, ``forked NUMBER
PID``, ``refused NUMBER ERRNO``, ``ended NUMBER STATUS`` with a negative status for a signal, and ``failed LINE`` or
``hopeless LINE`` if there is nothing to fork.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Final, NoReturn

from twisted_wsgiref._twisted.late_tls import import_without_tls

import_without_tls()  # before all that imports a reactor

# ruff: noqa: E402
from . import worker
from .link import LINE, message
from .loading import LoadError
from .out_of_the_way import moved
from .preloading import WATCH, Preloaded, keep, preload
from .pulse import show_on_dump
from .signals import heed_not
from .terminal import pass_over_breakpoints
from .titles import take_title

# More than any parent has endpoints, and fewer than Linux passes at once (253).
MOST_DESCRIPTORS: Final = 200
# A terminal, `timeout` and systemd send these to all processes. The end of this one is its parent's to say.
IGNORED: Final = ("SIGINT", "SIGHUP", "SIGTTIN", "SIGTTOU", "SIGUSR1", "SIGUSR2", "SIGTERM")


@dataclass(frozen=True)
class Task:
    """What a fork server is told at its begin.

    `preload`: it imports `app` and `mounts`. `environ`, `directory` and `umask` are the parent's. `activated` are the
    numbers of systemd's descriptors, which a worker will close, so that nothing else may have them. `name` is the
    server's, for the title of the process.
    """

    app: str
    mounts: list[str]
    preload: bool
    environ: Mapping[str, str]
    directory: str
    umask: int
    activated: Sequence[int] = ()
    name: str = ""

    def text(self) -> str:
        """Return the task as it is sent."""
        return json.dumps(asdict(self))


class LastCall:
    """A function of `atexit`, which is said later: what an import registers meanwhile comes before it."""

    def __init__(self) -> None:
        self._call: Callable[[], None] | None = None
        atexit.register(self._run)

    def set(self, call: Callable[[], None]) -> None:
        """Have `call` called at the end of the interpreter."""
        self._call = call

    def _run(self) -> None:
        if self._call is not None:
            self._call()


class ForkServer:
    """Forks workers as it is told on `sock`."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._text = b""
        self._descriptors: list[int] = []
        self._children: dict[int, int] = {}  # pids by number; those that have ended, too, until the parent knows
        self._told: set[int] = set()
        self._retired = False
        self._preloaded: Preloaded | None = None
        self._last = LastCall()
        self._woken, self._wake = os.pipe()
        for descriptor in (self._woken, self._wake):
            os.set_blocking(descriptor, False)

    def run(self) -> worker.Inherited:
        """Serve; return in each child, with what it has inherited, and never in this process."""
        for name in IGNORED:
            signal.signal(getattr(signal, name), heed_not)
        show_on_dump()
        self._say("begun")
        self._listen()
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while True:
            self._tell_of_ends()
            if self._retired and not self._children:
                os._exit(0)
            ready = dict(poll.poll())
            self._drain()
            inherited = self._hear() if self._sock.fileno() in ready else None
            if inherited is not None:
                return inherited

    def _listen(self) -> None:
        """Be woken by the end of children, whatever the application's import has set."""
        self._handler = signal.signal(signal.SIGCHLD, heed_not)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

    def _drain(self) -> None:
        try:
            while os.read(self._woken, 512):
                pass
        except BlockingIOError:
            pass

    def _hear(self) -> worker.Inherited | None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._sock, 65536, MOST_DESCRIPTORS)
        except OSError:
            data, descriptors = b"", []
        if not data:
            os._exit(0)  # the parent is gone: its workers find out by themselves
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        self._descriptors += descriptors
        *lines, self._text = (self._text + data).split(b"\n")
        for line in lines:
            word, *words = line.decode("ascii").split(" ")
            if word == "start":
                outputs = [int(each) for each in words[2].strip("-")]
                handed = self._taken(len(outputs) + int(words[1]))
                inherited = self._start(int(words[0]), handed, outputs)
                if inherited is not None:
                    # Whatever came with it is this process's no more.
                    self._close(self._descriptors)
                    return inherited
            elif word == "begin":
                self._begin(self._taken(1)[0])
            elif word == "gone":
                self._reap(int(words[0]))
            elif word == "retire":
                self._retired = True
        return None

    def _taken(self, count: int) -> list[int]:
        taken, self._descriptors = self._descriptors[:count], self._descriptors[count:]
        return taken

    def _say(self, *words: str) -> None:
        try:
            self._sock.sendall(message(*words))
        except OSError:
            os._exit(0)  # the parent is gone

    # ---- The beginning -----------------------------------------------------------------------------------------

    def _begin(self, descriptor: int) -> None:
        with open(descriptor, encoding="ascii") as file:
            task = Task(**json.loads(file.read()))
        os.environ.clear()
        os.environ.update(task.environ)
        os.chdir(task.directory)
        os.umask(task.umask)
        take_title(task.name, "fork server")
        for number in task.activated:
            _reserve(number)
        if task.preload:
            pass_over_breakpoints()
            try:
                with _ending_with(self._sock):
                    self._preloaded = preload(task.app, task.mounts)
            except LoadError as error:
                self._give_up("failed" if error.traceback else "hopeless", str(error), error.traceback)
            self._listen()
        keep()

    def _give_up(self, word: str, line: str, traceback: str) -> NoReturn:
        sys.stderr.write(traceback)
        sys.stderr.flush()
        self._say(word, line)
        os._exit(1)

    # ---- Children ----------------------------------------------------------------------------------------------

    def _start(self, number: int, descriptors: list[int], outputs: list[int]) -> worker.Inherited | None:
        parent = os.getpid()  # read in the child, it may be the pid of whoever takes orphans
        # Nobody's signal may come between the fork and the child's own handlers.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if not pid:
                self._leave()
                for output, pipe in zip(outputs, descriptors, strict=False):
                    os.dup2(pipe, output)
                    os.close(pipe)
                line, table, *sockets = descriptors[len(outputs) :]
                return worker.Inherited(line, table, sockets, self._preloaded, self._last.set, parent)
        except OSError as error:
            self._say("refused", f"{number} {error.errno or 0}")
            pid = 0
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._close(descriptors)
        if pid:
            self._children[number] = pid
            self._say("forked", f"{number} {pid}")
        return None

    def _leave(self) -> None:
        """Have nothing of the server's in a child."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, self._handler or signal.SIG_DFL)
        if signal.getsignal(signal.SIGTERM) is heed_not:  # else the application has set it
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._close((self._woken, self._wake))
        self._sock.close()

    def _close(self, descriptors: Sequence[int]) -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    def _tell_of_ends(self) -> None:
        for number, pid in self._children.items():
            if number not in self._told:
                status = _ended(pid)
                if status is not None:
                    self._told.add(number)
                    self._say("ended", f"{number} {status}")

    def _reap(self, number: int) -> None:
        pid = self._children.pop(number, None)
        self._told.discard(number)
        if pid is not None:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


def leave_standard_input() -> None:
    """Have nothing to read in the child of a fork."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    if nothing:
        os.dup2(nothing, 0)
        os.close(nothing)


@contextmanager
def _ending_with(sock: socket.socket) -> Iterator[None]:
    """Have this process end if the other end of `sock` closes meanwhile: whoever imports reads no words.

    By a thread, which is gone afterwards.
    """
    woken, wake = os.pipe()

    def run() -> None:
        poll = select.poll()
        poll.register(sock, 0)  # its end alone
        poll.register(woken, select.POLLIN)
        if woken not in dict(poll.poll()):
            os._exit(1)

    thread = threading.Thread(target=run, name=WATCH, daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.write(wake, b"-")
        thread.join()
        os.close(woken)
        os.close(wake)


def _ended(pid: int) -> int | None:
    """Return the status of a child that has ended, negative for a signal; None if it runs.

    It is not waited for: until the parent sends it no signal any more, nobody else may get its pid.
    """
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0  # somebody has waited for it: the application, when it was imported
    if found is None:
        return None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


def _reserve(number: int) -> None:
    """Have nothing else get the descriptor `number`."""
    try:
        fcntl.fcntl(number, fcntl.F_GETFD)
    except OSError:
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        if nothing != number:
            os.dup2(nothing, number, inheritable=False)
            os.close(nothing)


def serve(sock: socket.socket) -> NoReturn:
    """Be a fork server, and in each child a worker. Ends with `SystemExit`, in a child."""
    worker.serve(ForkServer(sock).run())


def main() -> NoReturn:
    """Be a fork server of its own interpreter."""
    serve(socket.socket(fileno=moved(LINE)))


if __name__ == "__main__":
    main()
