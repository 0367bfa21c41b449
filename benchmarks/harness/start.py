"""A server of a workload, started on the core that servers have, and the traffic that the workload asks for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.harness import handshakes, wrk
from benchmarks.harness.environment import CHECKOUT, Environment
from benchmarks.harness.front import Front
from benchmarks.harness.peers import Server
from benchmarks.harness.serving import Running, pinned
from benchmarks.harness.workloads import APPLICATIONS, Workload
from benchmarks.harness.wrk import Figures
from tests.real.children import free_port

SERVER_CORE = 0


def client_core() -> int:
    """Return the core that the traffic comes from: the last one."""
    return (os.cpu_count() or 1) - 1


@contextlib.contextmanager
def start(
    environment: Environment,
    server: Server,
    workload: Workload,
    folder: Path,
    *,
    label: str = "",
    tree: Path = CHECKOUT,
    options: Sequence[str] = (),
) -> Iterator[Running]:
    """Start `server` with the application of `workload`, without waiting for it; at the end it is gone.

    `label` names its files in `folder`. The package is that of `tree`; the applications are this checkout's.
    `options` follow the server's own words. An nginx in front, if the workload wants one, has the client's core.
    """
    label = label or server.name
    port, path = free_port(), folder / f"{label}.sock"
    words = server.words(
        workload.variant, f"{APPLICATIONS}:{workload.application}", port, {**environment.places, "path": path}
    )
    variables = {"PYTHONPATH": f"{tree}{os.pathsep}{CHECKOUT}", "BENCH_FILE": str(environment.file)}
    with contextlib.ExitStack() as stack:
        public = port
        if workload.variant.front:
            upstream = f"unix:{path}" if workload.variant.unix else f"127.0.0.1:{port}"
            public = stack.enter_context(Front(upstream, folder / f"{label}.nginx", client_core())).port
        core = SERVER_CORE if workload.pinned else None
        yield stack.enter_context(
            Running([*pinned(core), *words, *options], public, folder / f"{label}.log", variables)
        )


def drive(workload: Workload, port: int, seconds: int, core: int | None, folder: Path) -> Figures:
    """Return what `seconds` of `workload` gave. Raises `ServerFailed`."""
    client = handshakes.shake if workload.handshakes else wrk.drive
    return client(workload, port, seconds, core, folder)
