"""The answers of all servers as one page of Markdown, and our own failures as lines. Asks nobody anything."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.conformance.endurance import ENDURANCE
from benchmarks.conformance.messages import (
    CLASSES,
    REFUSED,
    REFUSED_OPEN,
    SERVED,
    TWICE,
    WAITED,
    Fate,
    Fates,
    class_of,
)
from benchmarks.conformance.questions import QUESTIONS, Verdict
from tests.corpus import HOSTILE, TRUNCATED, VALID


@dataclass
class Result:
    """All answers of one server; verdicts by the question's name."""

    name: str
    note: str
    verdicts: dict[str, Verdict]
    fates: Fates | None = None


_INTRODUCTION = """# Conformance

<!-- Made by `python -m benchmarks.conformance`; run it to make this page anew. -->

A script of this project asks this server and others the same questions over raw sockets. Each server is installed from
PyPI and started as its users start it, with one process, four threads and otherwise its defaults. The script judges the
fate of a message by the notes of the application and by the bytes that came back on the wire.

{facts}

    python -m benchmarks.conformance                   # makes an environment in .bench, then asks: about five minutes
    python -m benchmarks.conformance --servers twisted_wsgiref --output -

Other servers have other aims: some are made to stand behind a strict proxy, some leave a part of the protocol to the
application. A message that a server does not refuse is no vulnerability by itself. It becomes one if a proxy in front
of the server reads the same bytes differently.
"""

_WAITING = """If an application makes its answer block by block for a client that reads nothing, the server has to wait
or to keep it. In this server the thread waits, at most for `--send-timeout`; a list or a file holds no thread.

"""

_MESSAGES = """
## Hostile messages

{count} messages that RFC 9112 and RFC 9110 forbid, or that published advisories are about (`tests/corpus`, with the
clause for each). The table gives the number that a server refused: by an error or a closed connection, without calling
the application or serving anything after the message. Below it is the fate of the others:

- *served*: the application was called, and read the body without an error;
- *twice*: the application was called once more, for a request that was hidden in the message or put behind it;
- *open*: the message was refused, but the connection went on;
- *waited*: the message was neither answered nor its connection closed within 0.6 s, as if it were incomplete; if the
  machine is busy, a server may only be late.

By the letter of the RFC a server may choose whether to refuse some of them: a bare LF as a line end, an empty line
before a request, two equal Content-Length, an unknown minor version. Their clauses say so.
"""

_LETTERS = {REFUSED: "·", REFUSED_OPEN: "open", WAITED: "waited", SERVED: "**served**", TWICE: "**twice**"}


# What comes with the checkout or with Python.
_OF_ITSELF = {"twisted_wsgiref": "this checkout", "wsgiref": "Python's own"}


def write(results: Sequence[Result], versions: dict[str, str], python: str) -> str:
    """Return the page."""
    names = [result.name for result in results]
    parts = [
        _INTRODUCTION.format(facts=_facts(results, versions, python)),
        "\n## Answers\n\n",
        _table("question", names, (_asked(results, question) for question in QUESTIONS)),
        "\n## Slow clients, many clients, and the end\n\n",
        _WAITING,
        _table("question", names, (_asked(results, question) for question in ENDURANCE)),
        _MESSAGES.format(count=len(HOSTILE)),
        "\n",
        _table("class", names, (_class_row(results, class_) for class_ in CLASSES)),
        "\n## Broken-off and right messages\n\n",
        _table("messages", names, _other_rows(results)),
        "\n## Each hostile message\n\n<details><summary>· refused; otherwise its fate</summary>\n\n",
        _table("message", ["clause", *names], _message_rows(results)),
        "\n</details>\n",
    ]
    return "".join(parts)


def failures(result: Result) -> list[str]:
    """Return a line for all that `result` is not as it should be."""
    lines = [f"{name}: {verdict.seen}" for name, verdict in result.verdicts.items() if not verdict.good]
    fates = result.fates
    if fates is None:
        return lines
    for message in HOSTILE:
        fate = fates.hostile[message.name]
        if fate.outcome != REFUSED or not fate.expected:
            statuses = " or ".join(map(str, message.statuses))
            lines.append(f"{message.name} ({message.clause}): {fate.outcome}, {fate.status}; expected {statuses}")
    lines += [f"broken off, {name}: taken for whole" for name, fate in fates.truncated.items() if not fate.expected]
    lines += [
        f"right, {name}: {fate.outcome}, {fate.status}" for name, fate in fates.valid.items() if not fate.expected
    ]
    return lines


def _facts(results: Sequence[Result], versions: dict[str, str], python: str) -> str:
    packages = {"uwsgi": "pyuwsgi", "twisted.web": "Twisted"}
    lines = [f"- {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}, {platform.system()}, {python}, "]
    lines[0] += f"{os.cpu_count()} cores"
    for result in results:
        package = packages.get(result.name, result.name)
        version = f"{package} {versions[package]}" if package in versions else _OF_ITSELF.get(package, "")
        note = f": {result.note}" if result.note and "raised" not in result.note else ""
        lines.append(f"- {result.name}: {version}{note}")
    return "\n".join(lines)


def _asked(results: Sequence[Result], question: Callable[..., object]) -> list[str]:
    cells = [(question.__doc__ or "").strip()]
    for result in results:
        verdict = result.verdicts[question.__name__]
        cells.append("yes" if verdict.good else f"**no**: {_plain(verdict.seen)}")
    return cells


def _class_row(results: Sequence[Result], class_: str) -> list[str]:
    cells = [class_]
    for result in results:
        counts = _fates(result).count(class_)
        refused, total = counts.pop(REFUSED, 0), sum(counts.values())
        others = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))
        cells.append(f"{refused} of {refused + total}" + (f"<br>{others}" if others else ""))
    return cells


def _other_rows(results: Sequence[Result]) -> Iterable[list[str]]:
    def row(text: str, number: int, pick: Callable[[Fates], dict[str, Fate]]) -> list[str]:
        counts = (sum(fate.expected for fate in pick(_fates(result)).values()) for result in results)
        return [text, *(f"{count} of {number}" for count in counts)]

    yield row("broken off in the middle: not taken for whole", len(TRUNCATED), lambda fates: fates.truncated)
    yield row("right ones: served, with path, query and body as sent", len(VALID), lambda fates: fates.valid)


def _message_rows(results: Sequence[Result]) -> Iterable[list[str]]:
    for class_ in CLASSES:
        for message in HOSTILE:
            if class_of(message) == class_:
                fates = (_fates(result).hostile[message.name] for result in results)
                yield [message.name, _plain(message.clause), *(_LETTERS[fate.outcome] for fate in fates)]


def _fates(result: Result) -> Fates:
    if result.fates is None:
        raise ValueError(f"{result.name} was sent no messages")
    return result.fates


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _table(first: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {first} | {' | '.join(names)} |", "| --- " * (len(names) + 1) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"
