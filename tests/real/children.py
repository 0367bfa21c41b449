"""Servers as child processes: started, waited for by what they say, and always ended."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# A loaded machine with two cores needs seconds to import Twisted several times at once.
PATIENCE = 30.0
SERVING = re.compile(r"serving (?P<what>.+?) on https?://(?P<host>\S+?):(?P<port>\d+), ")

COMMANDS: dict[str, list[str]] = {
    "twistd": [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "wsgiref"],
    "twist": [sys.executable, "-c", "from twisted.application.twist._twist import Twist; Twist.main()", "wsgiref"],
    "python -m": [sys.executable, "-m", "twisted_wsgiref"],
}
# Started from a shell's background, a child would inherit an ignored SIGINT.
_WITH_SIGINT = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which this checkout is found from any directory, and nothing else of ours."""
    ours = ("PYTHON", "COV", "PYTEST", "TWISTED_WSGIREF_", "NOTIFY_", "WATCHDOG_")
    ours += ("PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


class Child:
    """A process, and all that it has said so far on both of its streams."""

    def __init__(self, words: Sequence[str], cwd: Path, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _WITH_SIGINT, *words],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.said = ""

    def wait_for(self, pattern: re.Pattern[str], patience: float = PATIENCE) -> re.Match[str]:
        """Read until `pattern` has been said."""
        stream = self.process.stdout
        if stream is None:
            raise RuntimeError("the child has no pipe")
        end = time.monotonic() + patience
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while (found := pattern.search(self.said)) is None:
                if not selector.select(max(0.0, end - time.monotonic())):
                    raise TimeoutError(f"the child did not say {pattern.pattern} in time, but:\n{self.said}")
                data = os.read(stream.fileno(), 65536)
                if not data:
                    raise EOFError(f"the child ended without saying {pattern.pattern}:\n{self.said}")
                self.said += data.decode("utf-8", "replace")
        return found

    def port(self) -> int:
        """Wait until it serves, and return the port that it says."""
        return int(self.wait_for(SERVING)["port"])

    def end(self, number: int = signal.SIGTERM, patience: float = PATIENCE) -> int:
        """Send the signal, read the rest, and return the exit status."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=patience)
        self.said += rest.decode("utf-8", "replace")
        return self.process.returncode


@contextlib.contextmanager
def started(words: Sequence[str], cwd: Path, env: dict[str, str] | None = None) -> Iterator[Child]:
    """Run the command as a `Child`; whatever happens, it is gone afterwards."""
    child = Child(words, cwd, environment() if env is None else env)
    try:
        yield child
    finally:
        if child.process.poll() is None:
            child.process.kill()
        child.process.communicate(timeout=PATIENCE)


def ended(words: Sequence[str], cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, and return its status and what it said."""
    return subprocess.run(
        words,
        cwd=cwd,
        env=environment() if env is None else env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def get(port: int, path: str = "/", timeout: float = PATIENCE) -> tuple[HTTPResponse, bytes]:
    """Ask the server on `port` for `path`; return the answer and its body."""
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=timeout)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer, answer.read()
