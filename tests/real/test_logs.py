"""Does what an application says reach the output of a real server as it was said, in one process and from workers?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest

from .children import COMMANDS, PATIENCE, SERVING, environment, get, started

pytestmark = pytest.mark.slow

APP = """
import json, logging, sys

logging.getLogger("shop").warning("imported")

def application(environ, start_response):
    if environ["PATH_INFO"] == "/silent":
        raise KeyError("x" * 1000)
    print(json.dumps({"printed": 1}), flush=True)
    environ["wsgi.errors"].write(json.dumps({"errors": 2}) + "\\n")
    logging.getLogger("shop").warning("an empty basket")
    logging.getLogger("shop").info("nobody asks")
    if environ["PATH_INFO"] == "/fails":
        raise KeyError("basket")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


@pytest.mark.parametrize("workers", [[], ["--workers", "2"]], ids=["one process", "workers"])
def test_with_json_every_line_is_an_object_with_its_level(folder: Path, workers: list[str]) -> None:
    words = ["--port", "0", "--log-format", "json", "--access-log-format", "json", *workers, "shop"]
    with started([*COMMANDS["python -m"], *words], folder) as child:
        port = child.port()
        get(port)
        answer, _ = get(port, "/fails?secret")
        assert answer.status == 500
        assert child.end() == 0
    told = [json.loads(line) for line in child.said.splitlines()]
    assert told.count({"printed": 1}) == 2
    assert told.count({"errors": 2}) == 2
    shop = [each for each in told if each.get("logger") == "shop"]
    assert {each["message"] for each in shop} == {"imported", "an empty basket"}
    assert {each["level"] for each in shop} == {"warn"}
    (failed,) = [each for each in told if "exception.type" in each]
    assert (failed["level"], failed["exception.type"]) == ("error", "KeyError")
    assert (failed["http.request.method"], failed["url.path"]) == ("GET", "/fails")
    assert failed["exception.stacktrace"].startswith("Traceback (most recent call last):\n")
    assert ("worker" in failed) == bool(workers)
    requests = [each for each in told if "http.response.status_code" in each]
    assert sorted(each["http.response.status_code"] for each in requests) == [200, 500]


@pytest.mark.parametrize("workers", [[], ["--workers", "2"]], ids=["one process", "workers"])
def test_with_text_what_an_application_writes_is_left_as_it_is(folder: Path, workers: list[str]) -> None:
    with started([*COMMANDS["python -m"], "--port", "0", *workers, "shop"], folder) as child:
        get(child.port())
        assert child.end() == 0
    lines = child.said.splitlines()
    assert '{"printed": 1}' in lines
    assert '{"errors": 2}' in lines
    assert [line for line in lines if line.endswith("[shop#warn] an empty basket")] != []


def test_a_daemon_of_twistds_logs_each_line_of_a_worker_with_its_level(folder: Path) -> None:
    log = folder / "twistd.log"
    words = [*COMMANDS["twistd"][:-2], "-n", "--logfile", str(log), "wsgiref", "--port", "0", "--workers", "2"]
    with started([*words, "--access-log", "off", "shop"], folder) as child:
        end = time.monotonic() + PATIENCE
        while not (log.exists() and SERVING.search(log.read_text())) and time.monotonic() < end:
            time.sleep(0.01)
        found = SERVING.search(log.read_text())
        assert found is not None, child.look()
        get(int(found["port"]), "/fails")
        assert child.end() == 0
    text = log.read_text()
    assert "[shop#warn] worker 1: imported" in text
    assert "[wsgi.errors#error] worker " in text
    assert '{"errors": 2}' in text


def test_a_reader_that_stops_holds_up_no_request(folder: Path) -> None:
    # Standard output and error are one pipe, as in a container, and it holds 64 KiB.
    command = [*COMMANDS["python -m"], "--bind", "127.0.0.1:0", "--stall", "0", "shop"]
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            assert process.stdout is not None
            read = b""
            while (found := SERVING.search(read.decode())) is None:
                read += os.read(process.stdout.fileno(), 4096)
            took, failures = [], 500
            # From now on nobody reads. The application's own prints would block it, so it has none.
            client = HTTPConnection(found["host"], int(found["port"]), timeout=PATIENCE)
            for _ in range(failures):
                start = time.perf_counter()
                client.request("GET", "/silent")
                assert client.getresponse().read() != b""
                took.append(time.perf_counter() - start)
            client.close()
            assert sorted(took)[failures * 9 // 10] < 0.25  # who waits for the reader does so for 0.5 s at a time
            process.terminate()
            rest = b""
            for _ in range(60):  # slower than a process ends that waits for no reader
                rest += os.read(process.stdout.fileno(), 4096)
                time.sleep(0.01)
            rest += process.stdout.read()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    assert (read + rest).count(b"GET /silent HTTP/1.1 failed") > 100  # more than the pipe holds were kept
    assert (read + rest).count(b'"GET /silent HTTP/1.1" 500') == failures


def test_a_log_that_nobody_takes_is_waited_for_within_the_grace(folder: Path) -> None:
    # Each request was answered, so the end is a good one, with no stack in the log.
    listener, writer = os.pipe()
    log = folder / "server.log"
    words = ["--bind", "127.0.0.1:0", "--grace", "0.6", "shop"]
    with (
        log.open("wb") as file,
        subprocess.Popen(
            [*COMMANDS["python -m"], *words], cwd=folder, env=environment(), stdout=writer, stderr=file
        ) as process,
    ):
        try:
            latest = time.monotonic() + PATIENCE
            while (found := SERVING.search(log.read_text())) is None and time.monotonic() < latest:
                time.sleep(0.02)
            assert found is not None
            client = HTTPConnection(found["host"], int(found["port"]), timeout=PATIENCE)
            for _ in range(10):
                client.request("GET", "/silent?" + "x" * 7000)  # more than the pipe holds, which nobody reads
                assert client.getresponse().read() != b""
            client.close()
            process.terminate()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            os.close(listener)
            os.close(writer)
    assert "thread MainThread" not in log.read_text()


LAST_RESORT = """
import os, signal
from twisted_wsgiref._process.pulse import end_within

os.set_blocking(2, False)
try:
    while True:
        os.write(2, b"x" * 4096)
except BlockingIOError:
    os.set_blocking(2, True)
end_within(0.05, 3, "it has not ended")
while True:
    signal.pause()
"""


def test_the_last_resort_comes_though_nobody_reads_standard_error(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LAST_RESORT], cwd=folder, env=environment(), stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.wait(PATIENCE) == 3
        finally:
            process.kill()


@pytest.mark.parametrize("command", ["twistd", "twist"])
def test_below_twistd_the_format_is_twistds(folder: Path, command: str) -> None:
    with started([*COMMANDS[command], "--port", "0", "--log-format", "json", "shop"], folder) as child:
        assert child.wait() == 1
    assert "--log-format is 'json': twistd and twist write their own log" in child.said
