"""Does anything of one request reach another's answer? ``python -m benchmarks.stress.cross_talk --minutes 10``.

Each request has a nonce in its path, query, fields and body, and every byte of its answer is made of it; the
application looks at the request, the client at the answer. Faults are mixed in: clients that reset, drip, close a half
or send what is no request, and applications that raise, or write, hint and read through a request that is over. All
servers are under it at the same time: one process with streamed input, and two workers. Prints a line for each; ends
with status 1 if an answer was wrong, a request was, or one was never answered.

The command line only: `cross_talk_clients` asks, `cross_talk_app` answers.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.harness.script import run
from benchmarks.stress.cross_talk_clients import PATIENCE, Tally, converse
from benchmarks.stress.hostile_server import HostileServer

SERVERS = {"streamed": "--stream-input", "workers": "--workers 2", "plain": ""}
#: More than threads, so that requests wait for each other.
CLIENTS = 16
#: What a report gives, in this order; all that must be none comes last.
KINDS = ("connections", "requests", "right answers", "to be sent again", "bad requests", "broken off", "resets")
FAULTS = ("wrong answers", "unanswered")


def _converse(port: int, seed: str, seconds: float, pipe: Connection) -> None:
    """Be all clients of one server; send what they found."""
    tally, end = Tally(), time.monotonic() + seconds
    threads = [
        threading.Thread(target=converse, args=(port, f"{seed}.{number}", end, tally), daemon=True)
        for number in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        # A connection ends with the patience for its last answer; a few may be read one after another.
        thread.join(max(0.0, end + 4 * PATIENCE - time.monotonic()))
        if thread.is_alive():
            tally.fault("unanswered", "a client never came to its end")
    pipe.send((tally.counts, tally.faults))


class Crowd:
    """Clients of one server, in a process of their own."""

    def __init__(self, port: int, seed: str, seconds: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe(False)
        self._process = context.Process(target=_converse, args=(port, seed, seconds, other), daemon=True)
        self._process.start()
        other.close()
        self._patience = seconds + 5 * PATIENCE

    def read(self) -> tuple[Counter[str], list[str]]:
        """Return what they counted, and what was wrong first."""
        try:
            if self._pipe.poll(self._patience):
                counts, faults = self._pipe.recv()
                return counts, faults
        except EOFError:
            pass
        finally:
            self._process.kill()
            self._process.join(5)
        return Counter(unanswered=1), ["the clients gave no report"]


def report(name: str, server: HostileServer, crowd: Crowd) -> bool:
    """Print what came of it; return whether all was right."""
    counts, faults = crowd.read()
    mismatches = [each for each in server.news() if each["kind"] == "mismatch"]
    bugs = [line for line in server.log_lines() if "bug in" in line]
    alive = server.wait_until_well(PATIENCE) < PATIENCE
    words = [f"{counts[kind]} {kind}" for kind in (*KINDS, *FAULTS)]
    words += [f"{len(mismatches)} wrong requests", f"{len(bugs)} bugs logged", *["serves no more"] * (not alive)]
    print(f"{name}: {', '.join(words)}", flush=True)
    for text in [*faults, *map(str, mismatches[:5]), *bugs[:5]]:
        print(f"  {text}", flush=True)
    return alive and bool(counts["right answers"]) and not (mismatches or bugs or any(counts[kind] for kind in FAULTS))


def main(words: Sequence[str] | None = None) -> int:
    """Run as long as `words` say; return 1 if something was wrong."""
    options = _options(words)
    print(f"seed {options.seed}, {options.minutes:g} minutes", flush=True)
    with contextlib.ExitStack() as stack:
        running: list[tuple[str, HostileServer, Crowd]] = []
        for name in options.servers:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cross-talk-")))
            given = [*SERVERS[name].split(), *options.server.split()]
            server = HostileServer(
                folder, *given, application="benchmarks.stress.cross_talk_app:application", tls=options.tls
            )
            stack.enter_context(server)
            running.append((name, server, Crowd(server.port, f"{name}-{options.seed}", options.minutes * 60)))
        return 0 if all([report(*each) for each in running]) else 1  # noqa: C419 - each is to be printed


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stress.cross_talk", description="Nonces in all requests, and faults mixed in."
    )
    add = parser.add_argument
    add("--minutes", type=float, default=1.0, help="how long, for all servers at the same time (default: 1)")
    add("--seed", type=int, default=random.randrange(10**6), help="for the same choices again (default: by chance)")
    add("--servers", default="streamed,workers", help=f"of {', '.join(SERVERS)} (default: streamed,workers)")
    add("--tls", action="store_true", help="speak TLS, by a certificate that is made for it")
    add("--server", default="", metavar="OPTIONS", help="more for each server, as one word: --server=--access-log=-")
    options = parser.parse_args(words)
    options.servers = options.servers.split(",")
    unknown = [name for name in options.servers if name not in SERVERS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: not known; there are {', '.join(SERVERS)}")
    if not 0 < options.minutes <= 24 * 60:
        parser.error(f"--minutes is {options.minutes:g}: it has to be more than 0, and a day at most")
    return options


if __name__ == "__main__":
    run(main)
