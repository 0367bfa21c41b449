"""Traffic by `wrk`: one bounded run against one port of the loopback interface, and the figures it gave."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.serving import ServerFailed, fetch, pinned
from benchmarks.harness.workloads import Workload

HOW_TO_INSTALL = "wrk is not here: `apt install wrk`, `brew install wrk`, or https://github.com/wg/wrk"
# An answer that takes longer than this many seconds is an error.
_TIMEOUT = 5

_DONE = """
done = function(summary, latency)
  io.write(string.format(
    "\\nFIGURES {\\"requests\\": %d, \\"seconds\\": %.6f, \\"octets\\": %.0f, \\"p50\\": %.0f, \\"p99\\": %.0f, " ..
    "\\"status\\": %d, \\"connect\\": %d, \\"read\\": %d, \\"write\\": %d, \\"timeout\\": %d}\\n",
    summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50), latency:percentile(99),
    summary.errors.status, summary.errors.connect, summary.errors.read, summary.errors.write, summary.errors.timeout))
end
"""


@dataclass(frozen=True)
class Figures:
    """What one run gave: requests a second, microseconds, errors; `client_cpu` is wrk's share of its core."""

    requests: int
    seconds: float
    rate: float
    p50: float
    p99: float
    errors: int
    client_cpu: float


def require_wrk() -> None:
    """Do nothing if there is a wrk. Raises `SystemExit`."""
    if shutil.which("wrk") is None:
        raise SystemExit(HOW_TO_INSTALL)


def drive(workload: Workload, port: int, seconds: int, core: int | None, folder: Path) -> Figures:
    """Return what `seconds` of `workload` gave. Raises `ServerFailed` where there was no answer at all."""
    script = folder / f"{workload.name}.lua"
    script.write_text(_script(workload))
    scheme = "https" if workload.variant.tls else "http"
    words = [
        *pinned(core),
        *("wrk", "--threads", "1", "--connections", str(workload.connections), "--duration", f"{seconds}s"),
        *("--timeout", f"{_TIMEOUT}s", "--script", str(script), f"{scheme}://127.0.0.1:{port}/"),
    ]
    before = children_cpu()
    with _Busy(port, workload.busy):
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 30, check=False)
        except subprocess.TimeoutExpired:
            raise ServerFailed("wrk did not end: the server hangs") from None
    return _figures(done, seconds, children_cpu() - before)


def _script(workload: Workload) -> str:
    lines = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in workload.fields.items()]
    if workload.body:
        lines += ['wrk.method = "POST"', f'wrk.body = string.rep("x", {workload.body})']
    return "\n".join(lines) + _DONE


def _figures(done: subprocess.CompletedProcess[str], seconds: int, cpu: float) -> Figures:
    for line in done.stdout.splitlines():
        if line.startswith("FIGURES "):
            found = json.loads(line.removeprefix("FIGURES ").replace("nan", "0"))
            break
    else:
        raise ServerFailed(f"wrk said: {(done.stderr or done.stdout).strip()[-500:]}")
    errors = sum(found[kind] for kind in ("status", "connect", "read", "write", "timeout"))
    if not found["requests"]:
        raise ServerFailed(f"no answer in {seconds} s, {errors} errors")
    return Figures(
        requests=found["requests"],
        seconds=found["seconds"],
        rate=found["requests"] / found["seconds"],
        p50=found["p50"],
        p99=found["p99"],
        errors=errors,
        client_cpu=cpu / found["seconds"],
    )


def children_cpu() -> float:
    """Return the seconds of CPU time of the children that have ended."""
    # Servers are still running, so wrk is the only child that ends, and is counted, while a run lasts.
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class _Busy:
    """Keeps `count` CPU-bound requests running, one after the other on each of `count` threads."""

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(count)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()
        if self._threads:
            time.sleep(0.3)  # until they compute

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(15)  # longer than the time-out of a request

    def _ask(self) -> None:
        while not self._ended.is_set():
            try:
                fetch(self._port, path="/busy")
            except Exception:  # a server that fails shows it in the figures
                self._ended.wait(0.1)
