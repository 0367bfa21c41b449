"""An application in a tree of `twisted.web`: our `WSGIResource` beside Twisted's own, each in a `Site` of its own.

Run it as ``python -m benchmarks.speed.web_tree``; it needs wrk. Both servers have four threads and run on the first
core; wrk drives them in turn from the last. With ``--serve ours PORT`` it is one of the two itself.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.applications import generator, hello
from benchmarks.harness.serving import Running, pinned
from benchmarks.harness.workloads import WORKLOADS, Workload
from benchmarks.harness.wrk import drive, require_wrk
from tests.real.children import free_port

_ROOT: Final = Path(__file__).resolve().parents[2]
_KINDS: Final = ("ours", "twisted")
_LOADS: Final = ("hello", "browser", "one", "generator")
_APPLICATIONS: Final[dict[str, Any]] = {"hello": hello, "generator": generator}


def serve(kind: str, port: int, application: str) -> None:
    """Serve until a signal comes."""
    from twisted.internet import reactor as installed
    from twisted.python.threadpool import ThreadPool
    from twisted.web.server import Site
    from twisted.web.wsgi import WSGIResource as TwistedResource

    from twisted_wsgiref.resource import WSGIResource

    reactor: Any = installed
    resource: Any
    if kind == "ours":
        resource = WSGIResource(_APPLICATIONS[application])
    else:
        threads = ThreadPool(4, 4)
        threads.start()
        reactor.addSystemEventTrigger("after", "shutdown", threads.stop)
        resource = TwistedResource(reactor, threads, _APPLICATIONS[application])
    reactor.listenTCP(port, Site(resource), interface="127.0.0.1")
    reactor.run()


def measure(workload: Workload, rounds: int, seconds: int) -> str:
    """Return a line of figures: requests a second of both, and the ratios, round by round."""
    rates: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    costs: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    last = (os.cpu_count() or 1) - 1
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        servers = {}
        for kind in _KINDS:
            port = free_port()
            words = [sys.executable, "-m", __spec__.name, "--serve", kind, str(port), workload.application]
            output = folder / f"{kind}.txt"
            variables = {"PYTHONPATH": str(_ROOT)}
            servers[kind] = server = stack.enter_context(Running([*pinned(0), *words], port, output, variables))
            server.wait_until_ready(workload.length)
        for number in range(rounds + 1):
            for kind, server in servers.items():
                before = server.usage().cpu
                figures = drive(workload, server.port, seconds if number else 1, last, folder)
                if number:  # the first is a warm-up
                    rates[kind].append(figures.rate)
                    costs[kind].append((server.usage().cpu - before) / figures.requests)
    ratio = statistics.median(ours / theirs for ours, theirs in zip(*rates.values(), strict=True))
    cpu = statistics.median(theirs / ours for ours, theirs in zip(*costs.values(), strict=True))
    ours, theirs = (statistics.median(rates[kind]) for kind in _KINDS)
    return f"{workload.text:50} ours {ours:7.0f}/s  twisted {theirs:7.0f}/s  ratio {ratio:.2f}  cpu ratio {cpu:.2f}"


def main() -> None:
    """Measure, or be one of the servers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--workloads", default=",".join(_LOADS), help=f"some of {', '.join(_LOADS)}")
    parser.add_argument("--serve", nargs=3, metavar=("KIND", "PORT", "APPLICATION"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        kind, port, application = options.serve
        serve(kind, int(port), application)
        return
    require_wrk()
    for workload in WORKLOADS:
        if workload.name in options.workloads.split(","):
            print(measure(workload, options.rounds, options.seconds), flush=True)


if __name__ == "__main__":
    main()
