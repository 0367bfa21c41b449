"""Do clients that take nothing of an answer hold up others? ``python -m benchmarks.stress.slow_readers``.

A server with four threads and --suspend-streams answers `--readers` clients with a generator that has no end. None of
them reads. Then another client asks ten times. Prints the time of the slowest of these answers, and the memory that the
server has more for each reader; ends with status 1 if one of them is too large, or the server is not well after the
readers have left. `--waiting` leaves the setting out, to see what happens then.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.harness.script import run
from benchmarks.stress.hostile_app import Environ, StartResponse, hello
from benchmarks.stress.hostile_server import HostileServer
from tests.real.raw_client import Client, request

#: The most memory for each reader, in KiB.
MOST_EACH = 600
#: The longest that another client may wait, in seconds: far less than any deadline, and far more than a turn.
LONGEST = 1.0
_BLOCK = 65536
_QUESTIONS = 10
# In seconds: for the generators to come to rest.
_REST = 10.0


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Say hello; below /stream without an end, each block a new one."""
    if environ["PATH_INFO"] != "/stream":
        return hello(environ, start_response)
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return _blocks()


def _blocks() -> Iterator[bytes]:
    while True:
        yield bytes(_BLOCK)


def _rest(server: HostileServer) -> int:
    """Return the memory of `server` in KiB, once it grows no more."""
    memory, end = -1, time.monotonic() + _REST
    while memory != (memory := server.memory()) and time.monotonic() < end:
        time.sleep(0.3)
    return memory


def _allow_descriptors(count: int) -> None:
    """Let this process, and the server that it starts, have `count` descriptors, if the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        limit = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))


def main(words: Sequence[str] | None = None) -> int:
    """Run as `words` say; return 1 if a figure is too large."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stress.slow_readers", description="Nobody reads.")
    parser.add_argument("--readers", type=int, default=500, help="clients that take nothing (default: 500)")
    parser.add_argument("--waiting", action="store_true", help="without --suspend-streams")
    options = parser.parse_args(words)
    _allow_descriptors(2 * options.readers + 200)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slow-readers-")))
        given = ["--threads", "4", *([] if options.waiting else ["--suspend-streams"])]
        server = HostileServer(folder, *given, application="benchmarks.stress.slow_readers:application")
        stack.enter_context(server)
        before = server.memory()
        with contextlib.ExitStack() as readers:
            for _ in range(options.readers):
                readers.enter_context(Client(server.port, receive_buffer=4096)).send(request("/stream"))
            each = (_rest(server) - before) / options.readers
            slowest = max(server.wait_until_well(LONGEST) for _ in range(_QUESTIONS))
        recovered = server.wait_until_well(5.0)
    print(f"{options.readers} readers: {each:.0f} KiB each, another client served in {slowest * 1000:.1f} ms at most")
    return 0 if each <= MOST_EACH and slowest <= LONGEST and recovered <= 5.0 else 1


if __name__ == "__main__":
    run(main)
