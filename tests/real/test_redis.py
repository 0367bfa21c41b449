"""Do libraries that keep a connection for each thread keep it? Asked of Django's own cache and a real Redis."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest

from .children import COMMANDS, PATIENCE, ROOT, Process, environment, started

pytestmark = pytest.mark.slow
THREADS = 4
CLIENTS = 8
VISITS = 50

redis = pytest.importorskip("redis", reason="the client of Redis is not installed: pip install redis")


@pytest.fixture
def store() -> Iterator[Path]:
    """The socket of a Redis that keeps nothing."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    # Not pytest's folder: the path of a socket may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="redis") as folder:
        socket = Path(folder, "socket")
        words = [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
        with Process(words, Path(folder)) as server:
            server.wait_for(re.compile("[Rr]eady to accept connections"))
            yield socket
            server.end()


def visit(port: int) -> list[int]:
    """Return how many visits there had been, each time."""
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        seen = []
        for _ in range(VISITS):
            connection.request("GET", "/")
            answer = connection.getresponse()
            seen.append(int(answer.read()))
        return seen


def test_djangos_cache_makes_no_more_connections_than_there_are_threads(store: Path) -> None:
    words = [*COMMANDS["python -m"], "--listen", "tcp:0:interface=127.0.0.1", "--threads", str(THREADS)]
    env = environment(CACHE=f"unix://{store}")
    with redis.Redis(unix_socket_path=str(store)) as counter:
        before = counter.info("stats")["total_connections_received"]
        with started([*words, "tests.real.cache_app:app"], ROOT, env) as child:
            port = child.port()
            with ThreadPoolExecutor(CLIENTS) as clients:
                answers = [number for seen in clients.map(visit, [port] * CLIENTS) for number in seen]
            made = counter.info("stats")["total_connections_received"] - before
            assert child.end() == 0
    assert sorted(answers) == [*range(1, CLIENTS * VISITS + 1)]
    assert 1 <= made <= THREADS
