"""A TLS connection for each request, by `openssl s_time`: full handshakes, or sessions that go on.

`wrk` can not be told which of both. Each process of `s_time` has one connection at a time, and asks by HTTP/1.0.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.harness.serving import ServerFailed, pinned
from benchmarks.harness.workloads import Workload
from benchmarks.harness.wrk import Figures, children_cpu

# `s_time` looks at a clock of whole seconds.
_LATE = 30
_COUNT = re.compile(r"^(\d+) connections in \d+ real seconds", re.MULTILINE)
# It prints one of these for each connection: a session that goes on, or a full handshake.
_MARKS = {"reuse": "r", "new": "*"}


def shake(workload: Workload, port: int, seconds: int, core: int | None, folder: Path) -> Figures:
    """Return the figures of about `seconds` of `workload`. Raises `ServerFailed` if a connection fails.

    It raises that, too, if the server makes full handshakes of a workload whose sessions should go on.
    """
    if shutil.which("openssl") is None:
        raise SystemExit("openssl is not here: `apt install openssl`, `brew install openssl`")
    words = [
        *pinned(core),
        *("openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-www", "/", "-time", str(seconds)),
        f"-{workload.handshakes}",
    ]
    before, begun = children_cpu(), time.monotonic()
    count, texts = 0, []
    with tempfile.TemporaryDirectory(dir=folder) as place:
        outputs = [Path(place, str(number)) for number in range(workload.connections)]
        clients = [_client(words, output) for output in outputs]
        for client, output in zip(clients, outputs, strict=True):
            try:
                client.wait(seconds + _LATE)
            except subprocess.TimeoutExpired:
                client.kill()
                client.wait()
            text = output.read_text("latin-1")
            found = _COUNT.findall(text)
            if client.returncode or not found:
                raise ServerFailed(f"openssl s_time said: {text.strip()[-500:]}")
            count += int(found[-1])
            texts.append(text)
    lasted = time.monotonic() - begun
    mark, other = _MARKS[workload.handshakes], _MARKS["new" if workload.handshakes == "reuse" else "reuse"]
    strange = sum(_marks(text, other) for text in texts)
    if strange > sum(_marks(text, mark) for text in texts) // 100:
        raise ServerFailed(f"{strange} handshakes were not as asked for ({workload.handshakes})")
    return Figures(count, lasted, count / lasted, 0.0, 0.0, 0, (children_cpu() - before) / lasted)


def _client(words: list[str], output: Path) -> subprocess.Popen[bytes]:
    with output.open("wb") as stream:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT)


def _marks(text: str, mark: str) -> int:
    return sum(len(line) for line in text.splitlines() if line and not line.strip(f"{mark}"))
