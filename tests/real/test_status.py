"""Does the status site of real processes answer for all of them, whatever becomes of one?"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from .children import COMMANDS, PATIENCE, Child, alive, ended, environment, free_port, get, started

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="children are looked up in /proc"),
]

DEMO = """
import threading

def app(environ, start_response):
    if environ["PATH_INFO"] == "/stuck":
        threading.Event().wait()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
FORKING = """
import os, time

def app(environ, start_response):
    pid = os.fork()
    if not pid:
        time.sleep(60)
        os._exit(0)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % pid]
"""
OBJECT = """
from twisted_wsgiref.simple_server import demo_app

class Shop:
    def __call__(self, environ, start_response):
        return demo_app(environ, start_response)

app = Shop()
"""
COUNTING = """
import os
from prometheus_client import Counter, Gauge
SERVED = Counter("shop_served", "Requests")
ALIVE = Gauge("shop_alive", "Processes", multiprocess_mode="livesum")
ALIVE.set(1)

def app(environ, start_response):
    SERVED.inc()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]
"""


class Site:
    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, page: str) -> tuple[int, str]:
        with contextlib.closing(HTTPConnection("localhost", timeout=PATIENCE)) as connection:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(PATIENCE)
            connection.sock.connect(str(self.path))
            connection.request("GET", page)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def json(self) -> Any:
        return json.loads(self.get("/status.json")[1])

    def served(self) -> int:
        found = re.search(r'^wsgi_requests_total\{method="GET",status="2xx"\} (\d+)$', self.get("/metrics")[1], re.M)
        return int(found[1]) if found else 0

    def pids(self) -> list[int]:
        return [each["pid"] for each in self.json()["workers"] if each["state"] == "serving"]


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError, HTTPException):
            if holds():
                return
        if time.monotonic() > end:
            raise TimeoutError("it does not come true")
        threading.Event().wait(0.02)


@contextlib.contextmanager
def house(folder: Path, *words: str, **env: str) -> Iterator[tuple[Child, Site]]:
    path = folder / "status.sock"
    options = ["--workers", "2", "--threads", "2", "--status", f"unix:{path}", "--port", "0", *words]
    with started([*COMMANDS["python -m"], *options, "demo:app"], folder, environment(**env)) as child:
        child.port()
        yield child, Site(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "demo.py").write_text(DEMO)
    return tmp_path


def test_a_site_answers_for_all_workers_while_every_thread_is_stuck(folder: Path) -> None:
    with house(folder) as (child, site), contextlib.ExitStack() as stack:
        for _ in range(12):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", child.port()), PATIENCE))
            sock.sendall(b"GET /stuck HTTP/1.1\r\nHost: h\r\n\r\n")
        until(lambda: site.json()["threads"] == {"busy": 4, "idle": 0, "max": 4})
        until(lambda: site.get("/health/ready")[1].startswith("saturated: 4 of 4"))
        assert site.get("/health/ready")[0] == 503
        assert site.get("/health/live") == (200, "alive\n")
        listed = json.loads(site.get("/requests")[1])
        assert len({each["pid"] for each in listed["requests"]}) == 2
        assert all("threading.Event().wait()" in "".join(each["stack"]) for each in listed["requests"])
        assert listed["silent"] == []


def test_counters_go_on_over_a_reload_and_a_kill(folder: Path) -> None:
    with house(folder) as (child, site):
        port = child.port()
        for _ in range(20):
            get(port)
        old = site.pids()
        child.process.send_signal(signal.SIGHUP)
        until(lambda: len(site.pids()) == 2 and not set(site.pids()) & set(old))
        for _ in range(20):
            get(port)
        assert site.served() == 40
        victim = site.pids()[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(site.pids()) == 2 and victim not in site.pids())
        assert site.served() == 40
        get(port)
        assert site.served() == 41
        assert site.json()["server"]["worker_deaths"] == 1
        child.process.send_signal(signal.SIGTERM)
        assert child.wait() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_child_of_the_application_does_not_hold_the_sites_port(folder: Path, workers: str) -> None:
    (folder / "demo.py").write_text(FORKING)
    port = free_port()
    words = ["--status", f"tcp:{port}:interface=127.0.0.1", "--port", "0", "--workers", workers, "demo:app"]
    with started([*COMMANDS["python -m"], *words], folder) as child:
        main = child.port()
        assert get(port, "/health/live")[1] == b"alive\n"
        forked = int(get(main)[1])
        try:
            assert child.end() == 0
            assert alive(forked)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), PATIENCE)
        finally:
            os.kill(forked, signal.SIGKILL)


def test_the_gauges_of_a_worker_that_is_gone_are_forgotten(folder: Path) -> None:
    (folder / "demo.py").write_text(COUNTING)
    (folder / "metrics").mkdir()
    with house(folder, PROMETHEUS_MULTIPROC_DIR=str(folder / "metrics")) as (child, site):
        for _ in range(10):
            get(child.port())
        text = site.get("/metrics/application")[1]
        assert "shop_served_total 10.0" in text
        assert "shop_alive 2.0" in text
        victim = site.pids()[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(site.pids()) == 2 and victim not in site.pids())
        until(lambda: "shop_alive 2.0" in site.get("/metrics/application")[1])
        assert "shop_served_total 10.0" in site.get("/metrics/application")[1]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--status", "tcp:0"], "--status is 'tcp:0': it has to be an endpoint that only this machine reaches, as"),
        (["--mount", "/status=status:"], "--mount is '/status=status:': --status-token has to be set"),
        (["--status", "unix:/no/such/place/s.sock"], "can not listen on unix:/no/such/place/s.sock: No such file"),
        (["--status-token", "file:/no/such"], "--status-token: /no/such: No such file or directory"),
    ],
)
@pytest.mark.once
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_mistake_is_one_line_at_the_start(folder: Path, words: list[str], line: str, workers: str) -> None:
    done = ended([*COMMANDS["python -m"], "--port", "0", "--workers", workers, *words, "demo:app"], folder)
    assert done.returncode == 1
    assert line in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_application_is_called_by_the_words_that_named_it(folder: Path, workers: str) -> None:
    (folder / "demo.py").write_text(OBJECT)
    with house(folder, "--workers", workers) as (_, site):
        assert site.json()["server"]["application"] == "demo:app"
