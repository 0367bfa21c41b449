"""Do the unit, the image and the manifest of docs/deploying.md start what they say; are its tables what the code does?

nginx and HAProxy have files of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from twisted_wsgiref._process.command_line import Options
from twisted_wsgiref._process.supervisor import CUT_SHORT, FAILED
from twisted_wsgiref.settings import Settings

from .children import PATIENCE, Child, environment, free_ports, get, started
from .proxies import PAGE, filled, page_block

pytestmark = [
    pytest.mark.once,
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="caught signals are looked up in /proc"),
]

TOKEN = "TWISTED_WSGIREF_STATUS_TOKEN"
SERVING = re.compile(r"serving shop.wsgi:application on ")
SHOP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the shop"]
"""
# What systemd does before it starts a unit: the socket is descriptor 3, and the environment says so to this process.
ACTIVATE = """
import os, socket, sys
sock = socket.create_server((sys.argv[1], 0))
os.dup2(sock.fileno(), 3)
if sock.fileno() != 3:
    sock.close()
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="shop.socket", LISTEN_PID=str(os.getpid()))
print("listening on", socket.socket(fileno=os.dup(3)).getsockname()[1], flush=True)
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "wsgi.py").write_text(SHOP)
    return tmp_path


def unit(name: str) -> dict[str, str]:
    """Return the settings of the unit; the same key is not in two sections of ours."""
    lines = page_block("ini", f"/etc/systemd/system/{name}").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def container_words(language: str, title: str, start: str) -> list[str]:
    """Return the words of the one line that begins with `start`, a list in JSON."""
    (line,) = (line.strip() for line in page_block(language, title).splitlines() if line.strip().startswith(start))
    return json.loads(line.removeprefix(start))


def manifest(key: str) -> int:
    """Return the one number that `key` has in the manifest."""
    (number,) = re.findall(rf"\b{key}: (\d+)", page_block("yaml", "shop.yaml"))
    return int(number)


@contextlib.contextmanager
def notified(folder: Path) -> Iterator[socket.socket]:
    """Listen for what systemd is told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(folder / "notify"))
        sock.settimeout(PATIENCE)
        yield sock


def heard(sock: socket.socket, state: str) -> None:
    """Wait until systemd is told of `state`."""
    for _ in range(1000):
        if state in sock.recv(4096).decode().split("\n"):
            return
    raise TimeoutError(state)


def test_the_unit_is_ready_when_it_serves_on_systemds_socket_reloads_and_stops(folder: Path) -> None:
    words = shlex.split(filled(unit("shop.service")["ExecStart"], {"/srv/shop/.venv/bin/python": sys.executable}))
    # `auto` is one on a machine with one core, and then there is nothing to reload.
    words[words.index("auto")] = "2"
    host, _ = unit("shop.socket")["ListenStream"].split(":")
    command = [sys.executable, "-c", ACTIVATE, host, *words]
    assert unit("shop.service")["Type"] == "notify"
    with (
        notified(folder) as told,
        started(command, folder, environment(NOTIFY_SOCKET=str(folder / "notify"))) as child,
    ):
        port = int(child.wait_for(re.compile(r"listening on (\d+)"))[1])
        child.wait_for(SERVING)
        heard(told, "READY=1")
        assert get(port)[1] == b"the shop"
        kill = re.fullmatch(r"/bin/kill -(\w+) \$MAINPID", unit("shop.service")["ExecReload"])
        child.process.send_signal(getattr(signal, f"SIG{kill[1]}"))
        heard(told, "RELOADING=1")
        heard(told, "READY=1")
        assert get(port)[1] == b"the shop"
        assert child.end() == 0, child.said
        heard(told, "STOPPING=1")
    assert "Traceback" not in child.said


def test_systemd_waits_longer_than_we_do() -> None:
    found = unit("shop.service")
    assert int(found["TimeoutStartSec"]) > Settings().start_timeout
    assert int(found["TimeoutStopSec"]) > Settings().grace + 1
    assert int(unit("shop.socket")["Backlog"]) == Settings().backlog


@pytest.mark.parametrize(
    ("language", "title", "start"), [("dockerfile", "Dockerfile", "CMD "), ("yaml", "shop.yaml", "command: ")]
)
def test_a_container_serves_and_stops(language: str, title: str, start: str, folder: Path) -> None:
    python, *words = container_words(language, title, start)
    (port,) = free_ports(1)
    words[words.index("tcp:8000")] = f"tcp:{port}"
    given = {}
    if "--status" in words:
        words[words.index("tcp:9180")] = "tcp:0"
        given = {TOKEN: "s3cret"}
    assert python == "python"
    with started([sys.executable, *words], folder, environment(**given)) as child:
        child.wait_for(SERVING)
        assert get(port)[1] == b"the shop"
        assert child.end() == 0, child.said


def test_the_probes_of_a_pod_are_answered(folder: Path) -> None:
    text = page_block("yaml", "shop.yaml")
    probes = re.findall(r"(\w+)Probe:\n +httpGet: {path: (\S+), port: (\d+)}", text)
    assert f"name: {TOKEN}\n" in text
    _, *words = container_words("yaml", "shop.yaml", "command: ")
    assert {f"tcp:{port}" for _, _, port in probes} <= set(words)
    ports = dict(zip({port for _, _, port in probes}, free_ports(2), strict=True))
    words = [f"tcp:{ports[word.removeprefix('tcp:')]}" if word.startswith("tcp:") else word for word in words]
    with started([sys.executable, *words], folder, environment(**{TOKEN: "s3cret"})) as child:
        child.wait_for(SERVING)
        said = {}
        for kind, path, port in probes:
            with contextlib.closing(HTTPConnection("127.0.0.1", ports[port], timeout=20)) as connection:
                connection.request("GET", path, headers={"Host": f"10.1.2.3:{port}"})  # as the cluster asks a pod
                answer = connection.getresponse()
                said[kind] = (answer.status, answer.read())
    assert said == {"readiness": (200, b"ready\n"), "liveness": (200, b"alive\n")}
    assert "/healthz" not in child.said


def test_the_cluster_waits_longer_than_we_do() -> None:
    (pause,) = re.findall(r'preStop:\n\s+exec: {command: \["sleep", "(\d+)"\]}', page_block("yaml", "shop.yaml"))
    assert manifest("terminationGracePeriodSeconds") > int(pause) + Settings().grace + 1
    words = container_words("yaml", "shop.yaml", "command: ")
    options = Options()
    options.environ = {TOKEN: "s3cret"}
    options.parseOptions(words[words.index("twisted_wsgiref") + 1 :])
    (endpoint,) = options["endpoints"]
    assert f"containerPort: {endpoint.removeprefix('tcp:')}\n" in page_block("yaml", "shop.yaml")


def table(heading: str) -> list[str]:
    """Return the first column of the table below `heading`."""
    text = PAGE.read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    return rows[2:]


def caught(child: Child) -> set[str]:
    """Return the signals for which the process has handlers."""
    status = Path(f"/proc/{child.process.pid}/status").read_text()
    mask = int(re.search(r"^SigCgt:\s+(\w+)$", status, re.MULTILINE)[1], 16)
    return {each.name for each in signal.Signals if mask >> (each - 1) & 1}


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("log", ["-", "off"])
def test_each_signal_of_the_table_has_a_handler(workers: str, log: str, folder: Path) -> None:
    names = {name for row in table("Signals") for name in row.split(", ")} - {"SIGKILL to the parent"}
    words = ["-m", "twisted_wsgiref", "--port", "0", "--workers", workers, "--access-log", log, "shop.wsgi:application"]
    with started([sys.executable, *words], folder) as child:
        child.wait_for(SERVING)
        get(child.port())
        if workers == "1":
            names -= {"SIGHUP", "SIGTTIN", "SIGTTOU"}
        assert names - caught(child) == set()
        if workers == "1":
            assert "SIGHUP" not in caught(child)
        assert child.end() == 0, child.said


def test_the_table_of_statuses_is_that_of_the_code() -> None:
    numbers = [each for each in table("Exit statuses") if each.isdigit()]
    assert numbers == ["0", str(FAILED), str(CUT_SHORT)]


@pytest.mark.parametrize(
    "words", [["no.such:app"], ["--no-such-option"], ["--threads", "none", "shop.wsgi"], ["--listen", "tcp:1:2:3:4"]]
)
def test_what_can_not_start_ends_with_1(words: list[str], folder: Path) -> None:
    with started([sys.executable, "-m", "twisted_wsgiref", *words], folder) as child:
        assert child.process.wait(PATIENCE) == FAILED, child.said
