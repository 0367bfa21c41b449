"""An application whose views fork, as `multiprocessing` and others do, and one that does so when it is imported."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

# A child that nobody ended is gone after so long, in seconds.
LIFE = 60.0
_go_on = threading.Event()


def square(number: int) -> int:
    return number * number


def _pool(query: str) -> str:
    with multiprocessing.get_context(query).Pool(2) as pool:
        return str(sum(pool.map(square, range(10))))


def _terminate(query: str) -> str:
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(LIFE,))
    process.start()
    process.terminate()
    process.join(10)
    status = process.exitcode
    process.kill()
    return str(status)


def _orphan(query: str) -> str:
    return str(orphan())


def orphan() -> int:
    """Leave a process behind, and return its id once it runs: what it does at its begin is then done."""
    here, there = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(there, b"x")
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        time.sleep(LIFE)
        os._exit(0)
    os.read(here, 1)
    os.close(here)
    os.close(there)
    return pid


def _come_back(query: str) -> str:
    pid = os.fork()
    return f"{pid} ended with {os.waitpid(pid, 0)[1]}" if pid else "the child"


def _before_exec(query: str) -> str:
    code = "import signal; print(*(signal.getsignal(each).name for each in (signal.SIGTERM, signal.SIGUSR1)))"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, preexec_fn=os.setsid, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _handlers(query: str) -> str:
    """Return what the child of a fork does with signals, as it says itself."""
    here, there = os.pipe()
    pid = os.fork()
    if not pid:
        names = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP", "SIGCHLD")
        found = [signal.getsignal(getattr(signal, name)) for name in names]
        kinds = [each.name if isinstance(each, signal.Handlers) else str(each.__name__) for each in found]
        os.write(there, f"{' '.join(kinds)} {signal.set_wakeup_fd(-1)}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    said = os.read(here, 1000).decode()
    os.close(here)
    os.close(there)
    return said


def _go(query: str) -> str:
    _go_on.set()
    return f"gone on in {os.getpid()}"


VIEWS: dict[str, Callable[[str], str]] = {
    "/pool": _pool,
    "/terminate": _terminate,
    "/orphan": _orphan,
    "/come-back": _come_back,
    "/before-exec": _before_exec,
    "/handlers": _handlers,
    "/go": _go,
}


def _cut_short() -> Iterable[bytes]:
    yield b"begun in %d\n" % os.getpid()
    _go_on.wait(LIFE)
    raise RuntimeError("cut short")


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/cut":
        return _cut_short()
    return [VIEWS[environ["PATH_INFO"]](environ["QUERY_STRING"]).encode()]
