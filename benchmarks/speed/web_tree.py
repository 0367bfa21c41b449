"""An application in a tree of `twisted.web`: our `WSGIResource` beside Twisted's own, each in a `Site` of its own.

Run it as ``python -m benchmarks.speed.web_tree``; it needs wrk. Both servers have four threads and run on the first
core; wrk drives them in turn from the last. A third, the bare one, is the yardstick: a resource that answers hello in
``render``, without threads or WSGI. Both do its work, but for how it writes its answer. With
``--serve ours PORT hello`` it is one of the servers itself.
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
from benchmarks.harness.script import run
from benchmarks.harness.serving import Running, pinned
from benchmarks.harness.workloads import WORKLOADS, Workload
from benchmarks.harness.wrk import drive, require_wrk
from tests.real.children import free_port

_ROOT: Final = Path(__file__).resolve().parents[2]
_KINDS: Final = ("ours", "twisted", "bare")
_LOADS: Final = ("hello", "browser", "one", "generator")
_APPLICATIONS: Final[dict[str, Any]] = {"hello": hello, "generator": generator}


def serve(kind: str, port: int, application: str) -> None:
    """Serve until a signal comes."""
    from twisted.internet import reactor as installed
    from twisted.python.threadpool import ThreadPool
    from twisted.web.resource import Resource
    from twisted.web.server import Site
    from twisted.web.wsgi import WSGIResource as TwistedResource

    from twisted_wsgiref.resource import WSGIResource

    reactor: Any = installed
    resource: Any
    if kind == "ours":
        resource = WSGIResource(_APPLICATIONS[application])
    elif kind == "bare":
        resource = Resource()
        resource.isLeaf = True
        resource.render = _answer_hello
    else:
        threads = ThreadPool(4, 4)
        threads.start()
        reactor.addSystemEventTrigger("after", "shutdown", threads.stop)
        resource = TwistedResource(reactor, threads, _APPLICATIONS[application])
    reactor.listenTCP(port, Site(resource), interface="127.0.0.1")
    reactor.run()


def _answer_hello(request: Any) -> bytes:
    request.setHeader(b"content-type", b"text/plain")
    return b"".join(hello({}, lambda *answer: None))


def measure(workload: Workload, rounds: int, seconds: int) -> str:
    """Return a line of figures: requests a second of both, and the ratios, round by round; for hello a second line,
    of the bare resource.
    """
    kinds = _KINDS if workload.application == "hello" else _KINDS[:2]
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    costs: dict[str, list[float]] = {kind: [] for kind in kinds}
    last = (os.cpu_count() or 1) - 1
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        servers = {}
        for kind in kinds:
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
    own, other = _KINDS[:2]
    lines = [f"{workload.text:50} ours {_median(rates[own]):7.0f}/s  twisted {_median(rates[other]):7.0f}/s"]
    lines[0] += f"  ratio {_ratio(rates[own], rates[other]):.2f}  cpu ratio {_ratio(costs[other], costs[own]):.2f}"
    for kind in kinds[2:]:
        most, cpu = _ratio(rates[kind], rates[other]), _ratio(costs[other], costs[kind])
        lines.append(f"{'':50} {kind} {_median(rates[kind]):7.0f}/s{'':19}  ratio {most:.2f}  cpu ratio {cpu:.2f}")
    return "\n".join(lines)


_median: Final = statistics.median


def _ratio(above: list[float], below: list[float]) -> float:
    return _median(one / two for one, two in zip(above, below, strict=True))


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
    run(main)
