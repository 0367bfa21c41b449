"""Asks this server and others the same questions of HTTP and WSGI: ``python -m benchmarks.conformance``.

Each server is started from the environment of the comparison (see README.md), as a child process with four threads and
otherwise its defaults, and is talked to over raw sockets. Writes docs/conformance.md. Every wait is bounded.

The command line, and who is asked what. The messages are those of tests/corpus (`messages`), the questions are
in `questions` and `endurance`; what becomes of the answers is in `table`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from benchmarks.conformance import table
from benchmarks.conformance.endurance import ENDURANCE
from benchmarks.conformance.messages import send_all
from benchmarks.conformance.questions import QUESTIONS, Question, Verdict
from benchmarks.conformance.subject import Subject
from benchmarks.conformance.table import Result
from benchmarks.harness.environment import CHECKOUT, Environment, interpreter, prepare, versions
from benchmarks.harness.peers import OURS, SERVERS, Server, Variant
from benchmarks.harness.script import run
from benchmarks.harness.serving import ServerFailed
from tests.real.raw_client import NotHTTP

# The same server with another parser is no server more.
_LEFT_OUT = ("gunicorn[fast]",)
_PAGE = CHECKOUT / "docs" / "conformance.md"


def main(words: Sequence[str] | None = None) -> int:
    """Ask, write, and return 1 if our own server failed at anything, else 0."""
    options = _options(words)
    environment = prepare(options.environment, options.python, options.renew)
    servers = _chosen(options.servers, environment)
    if options.tls:
        # The page in docs/ is of plain connections.
        options.output = Path("-") if options.output == _PAGE else options.output
        servers = [server for server in servers if server.listen_tls]
    with ThreadPoolExecutor(options.parallel) as pool:
        try:
            results = list(pool.map(lambda server: examine(environment, server, options.tls), servers))
        except BaseException:
            Subject.are_over = True  # the threads are waited for: each ends at its next question
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    text = table.write(results, versions(environment), interpreter(environment))
    if options.output == Path("-"):
        print(text)
    else:
        options.output.write_text(text, "utf-8")
        print(f"written: {options.output}", file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps([asdict(result) for result in results], indent=1), "utf-8")
    failures = [line for result in results if result.name == OURS for line in table.failures(result)]
    for line in failures:
        print(f"{OURS}: {line}")
    return 1 if failures else 0


def examine(environment: Environment, server: Server, tls: bool = False) -> Result:
    """Return all that `server` answered."""
    result = Result(server.name, server.note, {})
    with (
        tempfile.TemporaryDirectory(prefix="conformance-") as folder,
        Subject(environment, server, Path(folder), Variant(tls=tls)) as subject,
    ):
        for question in QUESTIONS:
            result.verdicts[question.__name__] = _ask(question, subject, fresh=False)
        for question in ENDURANCE:
            result.verdicts[question.__name__] = _ask(question, subject, fresh=True)
        subject.start()
        result.fates = send_all(subject)
    good = sum(verdict.good for verdict in result.verdicts.values())
    print(f"{server.name}: {good} of {len(result.verdicts)} questions as they should be", file=sys.stderr)
    return result


def _ask(question: Question, subject: Subject, *, fresh: bool) -> Verdict:
    """Return the verdict, from a server that is well before it is asked. Raises `SystemExit` if all is over."""
    if Subject.are_over:
        raise SystemExit
    try:
        if fresh or subject.process is None or not subject.is_well():
            subject.start()
        return question(subject)
    except (NotHTTP, OSError, ServerFailed, ValueError) as error:
        return Verdict(False, f"{type(error).__name__}: {error}"[:120])


def _chosen(names: str | None, environment: Environment) -> list[Server]:
    known = [server for server in SERVERS if server.requirement not in environment.missing]
    if not names:
        return [server for server in known if server.name not in _LEFT_OUT]
    wanted = set(names.split(","))
    unknown = wanted - {server.name for server in known}
    if unknown:
        raise SystemExit(f"{', '.join(sorted(unknown))}: not known; there are {', '.join(each.name for each in known)}")
    return [server for server in known if server.name in wanted]


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.conformance", description="Ask servers the same questions."
    )
    add = parser.add_argument
    add("--servers", help="names, separated by commas (default: all)")
    add("--output", type=Path, default=_PAGE, help="- for standard output")
    add("--tls", action="store_true", help="over TLS, those that speak it; printed, unless --output is given")
    add("--json", type=Path, help="write all answers here too")
    add("--parallel", type=int, default=4, help="servers asked at the same time (default: 4)")
    add("--environment", type=Path, default=CHECKOUT / ".bench", help="folder of its own (default: .bench)")
    add("--python", default=sys.executable, help="the interpreter of the servers (default: this one)")
    add("--renew", action="store_true", help="install the newest servers")
    return parser.parse_args(words)


if __name__ == "__main__":
    run(main)
