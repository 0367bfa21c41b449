"""The status site's page for people: the numbers of `Sums` as tables, which the page's own script keeps moving.

What lives here: one HTML document without anything from elsewhere. What may not: the numbers, which are `_observe`'s,
and who may see them, which is `status`'s. The server writes all tables, so the page says the same without a script.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Final

from twisted_wsgiref._observe.exposition import slowest
from twisted_wsgiref._observe.sums import Sums, Told, WorkerState, age_of

# As the JSON has them. The script knows the same names.
_CLASSES: Final = ("2xx", "3xx", "4xx", "5xx", "1xx", "gone")
_MIB: Final = 1024 * 1024
_NONE: Final = "\N{EN DASH}"
# Whoever reads the page in a terminal is shown no control characters of a client's.
_SHOWN: Final = dict.fromkeys((*range(32), *range(127, 160)), "?")
_SILENT: Final = 5.0  # a worker that has said nothing for so many seconds is told


@cache
def _document() -> str:
    return files(__package__).joinpath("status_page.html").read_text("utf-8")


@cache
def policy() -> str:
    """Return the Content-Security-Policy of the page: its own style and script, and questions to this site only."""
    return (
        f"default-src 'none'; style-src {_hash('style')}; script-src {_hash('script')}; img-src data:; "
        "connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash(element: str) -> str:
    """Return the source of the page's only `element` of this name, as CSP has it (CSP level 2, section 4.2.4)."""
    text = _document().partition(f"<{element}>")[2].partition(f"</{element}>")[0]
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def status_page(sums: Sums, server: Mapping[str, object]) -> bytes:
    """Return the page that says `sums`, and what is told of the `server`: its application and its version."""
    return (
        # The style and the script have no $: each in the document is a place.
        Template(_document())
        .substitute(
            application=escape(str(server.get("application") or "application")),
            version=escape(str(server.get("version", ""))),
            ready_word="yes" if sums.ready else "no",
            state="\N{CHECK MARK} ready" if sums.ready else "\N{BALLOT X} not ready",
            why="" if sums.ready else escape(sums.reason),
            when=f"up {_age(sums.now - sums.since)}",
            tiles=_tiles(sums),
            workers=_workers(sums.workers),
            answers=_counts("Answers since the start", "status", _by_class(sums)),
            refused=_counts("Refused since the start", "reason", sums.refused),
            connections=_counts("Connections", "state", sums.connections),
            slowest=_slowest(slowest(sums)),
        )
        .encode()
    )


def _by_class(sums: Sums) -> dict[str, int]:
    counts = dict.fromkeys(_CLASSES, 0)
    for (_, kind), count in sums.requests.items():
        counts[kind] += count
    return counts


def _tiles(sums: Sums) -> str:
    lasted = max(sums.now - sums.since, 1.0)
    total = sum(sums.requests.values())
    mean = _seconds(sums.durations.sum / sums.durations.total) if sums.durations.total else _NONE
    queued = sum(each.queued for each in sums.workers)
    oldest = max((each.oldest for each in sums.workers), default=0.0)
    busy = f"{sum(each.busy for each in sums.workers)} of {sum(each.most_threads for each in sums.workers)}"
    tiles = (
        ("rate", "Requests a second", f"{total / lasted:,.1f}", "mean since the start"),
        ("p50", "Median duration", _NONE, f"mean {mean}"),
        ("p99", "p99 of duration", _NONE, "99 of 100 are faster"),
        ("threads", "Threads", busy, "busy"),
        ("queue", "Queue", f"{queued:,}", f"oldest {_seconds(oldest)}" if queued else "waiting"),
        ("failed", "Errors", _NONE, f"{_by_class(sums)['5xx']:,} answers 5xx in all"),
    )
    return "".join(
        f'<li data-name="{name}"><dl><dt>{title}</dt><dd><b>{value}</b><small>{note}</small></dd></dl></li>'
        for name, title, value, note in tiles
    )


def _workers(workers: Iterable[WorkerState]) -> str:
    heads = ("worker", "process", "state", "age", "memory", "threads busy", "queue", "connections", "requests", "lag")
    rows = []
    for each in workers:
        state = "saturated" if each.saturated else each.state
        if each.silent > _SILENT:
            state = f"silent for {_age(each.silent)}"
        row = (each.number, each.pid, state, _age(each.age), f"{each.memory / _MIB:.1f} MiB")
        busy = f"{each.busy} of {each.most_threads}"
        rows.append((*row, busy, each.queued, each.connections, each.requests, _seconds(each.lag)))
    return _table("Workers", heads, rows, {0: "left", 2: "left"})


def _slowest(requests: Iterable[Told]) -> str:
    heads = ("for", "method", "path", "client", "worker", "thread")
    rows = [
        (_seconds(age_of(each)), each["method"], each["path"], each["client"] or _NONE, each["worker"], each["thread"])
        for each in requests
    ]
    classes = {1: "left", 2: "left long", 3: "left", 5: "left"}
    none = (_NONE, "", "no request runs", "", "", "")
    return _table("Requests that run now, the oldest first", heads, rows or [none], classes)


def _counts(caption: str, head: str, counts: Mapping[str, int]) -> str:
    rows = [(name.replace("_", " "), count) for name, count in counts.items()]
    return _table(caption, (head, "number"), rows, {0: "left"})


def _table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]], classes: Mapping[int, str]) -> str:
    def row(cells: Sequence[object], head: bool) -> str:
        parts = []
        for at, cell in enumerate(cells):
            text = (
                f"{cell:,}"
                if isinstance(cell, int) and heads[at] not in ("process", "worker")
                else escape(str(cell).translate(_SHOWN))
            )
            kind = f' class="{classes[at]}"' if at in classes else ""
            if head:
                parts.append(f'<th scope="col"{kind}>{text}</th>')
            else:
                parts.append(f"<td{kind}>{text}</td>" if at else f'<th scope="row"{kind}>{text}</th>')
        return f"<tr>{''.join(parts)}</tr>"

    body = "".join(row(cells, False) for cells in rows)
    return f"<caption>{escape(caption)}</caption><thead>{row(heads, True)}</thead><tbody>{body}</tbody>"


def _seconds(value: float) -> str:
    if value < 0.01:
        return f"{value * 1000:.1f} ms"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def _age(value: float) -> str:
    minutes, seconds = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
