"""Interpreters that have imported what our commands import, and run a command in a fork of themselves.

An import of Twisted and of all that is ours takes ten times what a server of a test does. What such a fork is not:
fresh. Its modules were imported before its directory, its arguments and its environment were there, and the words that
the system shows of it are those of this file. The reactor is chosen, made and run in the fork itself, as are threads.

What lives here: the parent of the forks (`main`), and whoever asks it (`Importer`). Needs the standard library only.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

# By the first words behind the interpreter: what is imported before. None of it makes a reactor, or looks at the
# environment, but for the variables of `READ_EARLY`.
BEFORE: dict[tuple[str, ...], list[str]] = {
    ("-m", "twisted_wsgiref"): ["twisted_wsgiref._process.standalone", "twisted.internet.epollreactor"],
    ("-c",): [
        "twisted.scripts.twistd",
        "twisted.application.twist._twist",
        "twisted.internet.epollreactor",
        "twisted_wsgiref._process.making",
    ],
}
# An interpreter, or a library, reads these when it starts.
READ_EARLY = ("PYTHON", "LC_", "LANG", "LD_", "OPENSSL", "SSL", "LISTEN_", "MALLOC")
_SIZE = 1 << 17
# Seconds between two looks at what another thread may have heard.
_LOOK = 0.05


class Forked:
    """A process that an `Importer` has forked: of `subprocess.Popen`, as much as its users need."""

    def __init__(self, importer: Importer, pid: int, args: Sequence[str]) -> None:
        self._importer = importer
        self.pid = pid
        self.args = args
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None: it runs."""
        if self.returncode is None:
            self.returncode = self._importer.status(self.pid, 0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and return the exit status. Raises `subprocess.TimeoutExpired`."""
        end = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            left = _LOOK if end is None else end - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = self._importer.status(self.pid, min(left, _LOOK))
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it, whatever it does."""
        self.send_signal(signal.SIGKILL)


class Importer:
    """The other end of the socket of a `main`. Any thread may call."""

    def __init__(self, kind: tuple[str, ...], environ: Mapping[str, str]) -> None:
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        self._statuses: dict[int, int] = {}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno()), *BEFORE[kind]],
                env=environ,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def fork(
        self, words: Sequence[str], cwd: Path, environ: Mapping[str, str], streams: Sequence[int], session: bool
    ) -> Forked:
        """Run the `words` in `cwd`, with the `streams` for the standard ones."""
        asked = {"words": words[1:], "cwd": str(cwd), "environ": dict(environ), "session": session}
        with self._lock:
            socket.send_fds(self._sock, [json.dumps(asked).encode()], streams)
            while not (heard := self._hear()).get("forked"):
                pass
        return Forked(self, heard["forked"], words)

    def status(self, pid: int, patience: float) -> int | None:
        """Return the exit status of the process, for which this may wait so long, in seconds."""
        if pid not in self._statuses:
            readable, _, _ = select.select([self._sock], [], [], patience)
            with self._lock:
                while readable and pid not in self._statuses:
                    self._hear()
                    readable, _, _ = select.select([self._sock], [], [], 0)
        return self._statuses.pop(pid, None)

    def close(self) -> None:
        """End it; what it has forked runs on."""
        self._sock.close()
        self._process.wait()

    def _hear(self) -> dict[str, Any]:
        said = self._sock.recv(_SIZE)
        if not said:
            raise EOFError("what forks servers has ended")
        heard: dict[str, Any] = json.loads(said)
        if "ended" in heard:
            self._statuses[heard["ended"]] = heard["status"]
        return heard


class Importers:
    """One for each kind of command, started at its first use."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._made: dict[tuple[str, ...], Importer] = {}
        self._lock = threading.Lock()

    def kind(self, words: Sequence[str], environ: Mapping[str, str]) -> tuple[str, ...] | None:
        """Return of which kind the command is; None: only a fresh interpreter can run it."""
        early = [{pair for pair in each.items() if pair[0].startswith(READ_EARLY)} for each in (environ, self._environ)]
        # Linux has epoll, and sockets between two processes whose messages keep their ends.
        if words[0] != sys.executable or early[0] != early[1] or not hasattr(select, "epoll"):
            return None
        return next((kind for kind in BEFORE if tuple(words[1 : 1 + len(kind)]) == kind), None)

    def importer(self, kind: tuple[str, ...] | None) -> Importer:
        """Return the one for that kind. Raises `ValueError` if there is none."""
        if kind is None:
            raise ValueError("only a fresh interpreter can run this")
        with self._lock:
            if kind not in self._made:
                self._made[kind] = Importer(kind, self._environ)
            return self._made[kind]

    def close(self) -> None:
        """End all."""
        for each in self._made.values():
            each.close()


# ---- In the process that imports, and in its forks -------------------------------------------------------------


def main(number: str, *modules: str) -> list[str]:
    """Import `modules`, and fork whenever it is asked at the socket `number`; in a fork this returns its words."""
    for name in modules:
        importlib.import_module(name)
    assert "twisted.internet.reactor" not in sys.modules
    gc.collect()
    gc.freeze()
    # Whoever types Ctrl-C ends the tests, which end this.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    with socket.socket(fileno=int(number)) as sock, ours, theirs:
        sock.set_inheritable(False)
        while True:
            readable, _, _ = select.select([sock, ours], [], [])
            if ours in readable:
                ours.recv(4096)
                _tell_of_the_dead(sock)
            if sock in readable:
                said, streams, _, _ = socket.recv_fds(sock, _SIZE, 3)
                if not said:
                    os._exit(0)
                pid = os.fork()
                if not pid:
                    break
                for stream in streams:
                    os.close(stream)
                sock.send(json.dumps({"forked": pid}).encode())
        signal.set_wakeup_fd(-1)
    return _begin(json.loads(said), streams)


def _tell_of_the_dead(sock: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        try:
            sock.send(json.dumps({"ended": pid, "status": os.waitstatus_to_exitcode(status)}).encode())
        except OSError:  # nobody asks any more
            return


def _begin(asked: dict[str, Any], streams: Sequence[int]) -> list[str]:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if asked["session"]:
        os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(asked["environ"])
    time.tzset()
    os.chdir(asked["cwd"])
    return list(asked["words"])


def run(words: list[str]) -> None:
    """Run what an interpreter runs that is started with the `words`."""
    module = sys.modules["__main__"] = ModuleType("__main__")
    how, what, *arguments = words
    sys.orig_argv[:] = [sys.executable, *words]
    sys.argv[:] = [how, *arguments]
    sys.path[0] = os.getcwd() if how == "-m" else ""
    importlib.invalidate_caches()
    if how == "-m":
        runpy._run_module_as_main(what)  # type: ignore[attr-defined]
    else:
        exec(compile(what, "<string>", "exec"), vars(module))


if __name__ == "__main__":
    run(main(*sys.argv[1:]))
