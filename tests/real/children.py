"""Servers as child processes: started, waited for by what they say, and always ended, with all processes of theirs.

Shared by the tests of this folder and by `benchmarks`; it knows nothing of either, and needs the standard library only.
"""

from __future__ import annotations

import codecs
import contextlib
import itertools
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import BinaryIO, TypeVar

from .imported import Forked, Importers

ROOT = Path(__file__).resolve().parent.parent.parent
# A loaded machine with two cores needs seconds to import Twisted several times at once.
PATIENCE = 30.0
SERVING = re.compile(r"serving (?P<what>.+?) on https?://(?P<host>\S+?):(?P<port>\d+), ")

COMMANDS: dict[str, list[str]] = {
    "twistd": [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "wsgiref"],
    "twist": [sys.executable, "-c", "from twisted.application.twist._twist import Twist; Twist.main()", "wsgiref"],
    "python -m": [sys.executable, "-m", "twisted_wsgiref"],
}
# In a shell's background SIGINT is ignored, which a child would inherit.
_WITH_SIGINT = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])"
)
# Seconds between two looks at what a child has said: little beside the start of an interpreter.
_LOOK = 0.005

# For a wait, in seconds, that would take 25 (the default grace) or for ever if something were wrong.
SOON = 20.0

Own = TypeVar("Own", bound="Process")

_importers: list[Importers] = []


@contextlib.contextmanager
def forking() -> Iterator[None]:
    """Run each of `COMMANDS` meanwhile in a fork of an interpreter that has imported it; see `imported`."""
    _importers.append(Importers(environment()))
    try:
        yield
    finally:
        _importers.pop().close()


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._stalled = _stalled()
        self._begin = time.monotonic()

    def seconds(self) -> float:
        """Return all of them: at least what a process has waited for since."""
        return time.monotonic() - self._begin

    def undisturbed(self) -> float:
        """Return those in which no process of this machine had to wait for a processor, where the kernel tells.

        For tests that something happens at once: on a busy machine it may take any time.
        """
        return self.seconds() - (_stalled() - self._stalled)


def _stalled() -> float:
    try:
        some = Path("/proc/pressure/cpu").read_text().splitlines()[0]
    except OSError:
        return 0.0
    return int(some.rpartition("=")[2]) / 1e6


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which this checkout is found from any directory, and nothing else of ours."""
    ours: tuple[str, ...] = ("PYTHON", "COV", "PYTEST", "TWISTED_WSGIREF_", "NOTIFY_", "WATCHDOG_")
    ours += ("PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def _stat(pid: int) -> list[str]:
    """Return what the kernel says of the process, from its state on; nothing if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def alive(pid: int) -> bool:
    """Return whether the process runs. One that has ended and is still to be waited for does not, where /proc tells."""
    if Path("/proc/self/stat").exists():
        return _stat(pid)[:1] not in ([], ["Z"])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def parent_of(pid: int) -> int:
    """Return the id of the process's parent; 0 if there is no such process."""
    return int((_stat(pid) or ["", "0"])[1])


def in_turn(kinds: Iterable[str], by_each: Collection[str] = ()) -> list[tuple[str, str]]:
    """Return pairs of a command and a kind: each kind once, its command in turn, and those of `by_each` by each.

    For things that one code does whoever calls it, each of which costs a process.
    """
    turns = itertools.cycle(COMMANDS)
    return [(name, kind) for kind in kinds for name in (COMMANDS if kind in by_each else [next(turns)])]


def free_ports(number: int) -> list[int]:
    """Return TCP ports of the loopback interface that nobody uses now."""
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.socket()) for _ in range(number)]
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in socks]


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody uses now."""
    return free_ports(1)[0]


def _may_be_forked(words: Sequence[str], env: dict[str, str]) -> bool:
    """Return whether the words may run in a fork: `COMMANDS`, of which all is known that they do before they look."""
    if not _importers or not any([*words[: len(each)]] == each for each in COMMANDS.values()):
        return False
    return _importers[-1].kind(words, env) is not None


def _fork(
    words: Sequence[str], cwd: Path, env: dict[str, str], outputs: tuple[int, int], own_session: bool = False
) -> Forked:
    """Run the words in a fork, with the descriptors `outputs` for both of its streams."""
    importers = _importers[-1]
    with open(os.devnull) as nothing:
        streams = [nothing.fileno(), *outputs]
        return importers.importer(importers.kind(words, env)).fork(words, cwd, env, streams, own_session)


class Process:
    """A process, and all that it and its children have said on both of their streams.

    Use it in a ``with``: at the end it is gone, and its children are. With `own_session` so is whatever they have left
    behind; but then no signal to the group of the program that has started it, as `timeout` sends, ends them.

    What they say goes to the file `output`, or to one without a name: whoever does not read it holds nobody up. It has
    an interpreter of its own where nothing says that it may be forked (`forking`), or if it is to be `fresh`.
    """

    def __init__(
        self,
        words: Sequence[str],
        cwd: Path,
        env: dict[str, str] | None = None,
        *,
        output: Path | None = None,
        pass_fds: Sequence[int] = (),
        own_session: bool = False,
        fresh: bool = False,
    ) -> None:
        self._own_session = own_session
        #: What was said up to the last look at it.
        self.said = ""
        self._output: BinaryIO = (
            tempfile.TemporaryFile() if output is None else output.open("w+b")  # noqa: SIM115 - see `close`
        )
        self._read = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        env = environment() if env is None else env
        output_twice = (self._output.fileno(), self._output.fileno())
        ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        try:
            if not fresh and not pass_fds and _may_be_forked(words, env):
                self.process: Forked | subprocess.Popen[bytes] = _fork(words, cwd, env, output_twice, own_session)
            else:
                self.process = subprocess.Popen(
                    [sys.executable, "-c", _WITH_SIGINT, *words] if ignored else words,
                    cwd=cwd,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=self._output,
                    stderr=subprocess.STDOUT,
                    pass_fds=pass_fds,
                    start_new_session=own_session,
                )
        except BaseException:
            self._output.close()
            raise

    def __enter__(self: Own) -> Own:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The id of the process that was started."""
        return self.process.pid

    def look(self) -> str:
        """Return all that was said up to now."""
        # At a place of our own: the children write at the place that the file has.
        while not self._output.closed and (said := os.pread(self._output.fileno(), 1 << 20, self._read)):
            self._read += len(said)
            self.said += self._decoder.decode(said)
        return self.said

    def wait_for(self, pattern: re.Pattern[str], patience: float = PATIENCE) -> re.Match[str]:
        """Wait until `pattern` has been said. Raises `TimeoutError`, or `EOFError` if the process ends before."""
        end = time.monotonic() + patience
        while (found := pattern.search(self.said)) is None:
            over = self.process.poll() is not None
            before = self._read
            self.look()
            if self._read != before:
                continue
            if over:
                raise EOFError(f"the child ended without saying {pattern.pattern}:\n{self.said}")
            if time.monotonic() > end:
                raise TimeoutError(f"the child did not say {pattern.pattern} in time, but:\n{self.said}")
            time.sleep(_LOOK)
        return found

    def end(self, number: int = signal.SIGTERM, patience: float = PATIENCE) -> int:
        """Send the signal, and return the exit status. Raises `subprocess.TimeoutExpired`."""
        self.process.send_signal(number)
        return self.wait(patience)

    def wait(self, patience: float = PATIENCE) -> int:
        """Wait for the end, and return the exit status. Raises `subprocess.TimeoutExpired`."""
        status = self.process.wait(patience)
        self.look()
        return status

    def processes(self) -> list[int]:
        """Return the ids of the process and its children, and of theirs; where there is no /proc, of the process."""
        found = [self.pid]
        for pid in found:  # grows while it is walked
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    found += [int(child) for child in task.read_text().split()]
        return found

    def close(self) -> None:
        """Kill what is left of it; ``said`` is then all that it has said."""
        self.kill()
        self.look()
        self._output.close()

    def kill(self) -> None:
        """End the process and its children, whatever they do."""
        if self._own_session:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        elif self.process.poll() is None:
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE)


class Child(Process):
    """A server of ours: it says itself where it serves."""

    def port(self) -> int:
        """Wait until it serves, and return the port that it says."""
        return int(self.wait_for(SERVING)["port"])


def started(
    words: Sequence[str],
    cwd: Path,
    env: dict[str, str] | None = None,
    *,
    pass_fds: Sequence[int] = (),
    fresh: bool = False,
) -> Child:
    """Run the command as a `Child`, for a ``with``."""
    return Child(words, cwd, env, pass_fds=pass_fds, fresh=fresh)


def ended(
    words: Sequence[str], cwd: Path, env: dict[str, str] | None = None, *, fresh: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, and return its status and what it and its children said until all had ended."""
    env = environment() if env is None else env
    if not fresh and _may_be_forked(words, env):
        return _forked_and_ended(words, cwd, env)
    return subprocess.run(
        words,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def _forked_and_ended(words: Sequence[str], cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    with contextlib.ExitStack() as stack:
        pipes = [os.pipe(), os.pipe()]
        for reading, _ in pipes:
            stack.callback(os.close, reading)
        try:
            forked = _fork(words, cwd, env, (pipes[0][1], pipes[1][1]))
        finally:
            for _, writing in pipes:
                os.close(writing)
        stack.callback(forked.kill)
        heard = {reading: b"" for reading, _ in pipes}
        left = set(heard)
        end = time.monotonic() + PATIENCE
        while left:
            ready, _, _ = select.select(left, [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise subprocess.TimeoutExpired(words, PATIENCE)
            for each in ready:
                piece = os.read(each, 1 << 16)
                heard[each] += piece
                left -= set() if piece else {each}
        out, err = (said.decode() for said in heard.values())
        return subprocess.CompletedProcess(words, forked.wait(PATIENCE), out, err)


def get(port: int, path: str = "/", timeout: float = PATIENCE) -> tuple[HTTPResponse, bytes]:
    """Ask the server on `port` for `path`; return the answer and its body."""
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=timeout)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer, answer.read()
