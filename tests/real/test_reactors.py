"""Is the walk the same under twist, under other reactors, and on uvloop's loop?"""

from __future__ import annotations

import re
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .children import COMMANDS, SOON, Stopwatch, environment
from .wires import MIB, WIRES, Upload, client, complaints, gate, read_digest, served

pytestmark = pytest.mark.slow

TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
TWIST = COMMANDS["twist"][:-1]
ON_UVLOOP = (
    "import uvloop; from twisted.internet import asyncioreactor; asyncioreactor.install(uvloop.new_event_loop()); "
    "from twisted.scripts.twistd import run; run()"
)
RUNS = {
    "twist": [*TWIST, "wsgiref"],
    "twist on asyncio": [*TWIST, "--reactor=asyncio", "wsgiref"],
    "asyncio": [*TWISTD, "--reactor=asyncio", "-n", "wsgiref"],
    "poll": [*TWISTD, "--reactor=poll", "-n", "wsgiref"],
    "uvloop": [sys.executable, "-c", ON_UVLOOP, "-n", "wsgiref"],
}


@pytest.mark.parametrize("run", RUNS)
def test_upload_stream_file_and_stop_with_a_request_in_flight(run: str, tmp_path: Path) -> None:
    if run == "uvloop":
        pytest.importorskip("uvloop")
    large = tmp_path / "large.bin"
    large.write_bytes(b"0123456789abcdef" * 65536 * 3)
    words = [*RUNS[run], "--app", "tests.real.flask_app:app"]
    upload = Upload(8, {"note": "n"})
    env = environment(LARGE_FILE=str(large), GATE=str(tmp_path / "gate"))
    with gate(tmp_path / "gate") as let_go, served(words, tmp_path, env, tmp_path) as server:
        for name in WIRES:
            with client(server.wires[name]) as web:
                assert web.get("/").text == "hello"
                answer = web.open("POST", "/upload", upload, upload.fields)
                assert answer.headers["X-Digest"] == upload.digest
                assert read_digest(answer) == (8 * MIB, upload.digest)
                assert web.get("/stream?lines=500&last=end").text.endswith("499 end")
                assert web.get("/file").body == large.read_bytes()
                assert web.get("/where").json()["url"] == f"{web.wire.origin}/"
        assert complaints(server.child) == []
        with (
            client(server.wires["tcp"]) as web,
            client(server.wires["tls"]) as secure,
            ThreadPoolExecutor(2) as threads,
        ):
            asked = [threads.submit(each.get, "/wait") for each in (web, secure)]
            server.child.wait_for(re.compile(r"in flight(?s:.*)in flight"))
            server.child.process.send_signal(signal.SIGTERM)
            server.child.wait_for(re.compile(r"TLS Port \d+ Closed"))
            let_go()
            let_go()
            assert [each.result().text for each in asked] == ["answered", "answered"]
            watch = Stopwatch()
            assert server.child.wait(SOON) == 0
            assert watch.undisturbed() < 1.0, server.child.said
