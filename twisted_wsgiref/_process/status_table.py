"""The numbers of a status site as a table for a terminal: pure functions of two looks at them.

Here live what the site tells, as types, and the lines. No socket and no terminal may live here. Whatever comes from
clients, such as a path, is made printable: a terminal obeys what it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypedDict

_MIB: Final = 1024 * 1024


class Server(TypedDict):
    """What is served, since when, and whether it is ready."""

    version: str
    application: str
    since: float
    ready: bool
    reason: str


class Outcome(TypedDict):
    """How many requests of a method had a status of a kind, such as ``5xx``."""

    method: str
    status: str
    count: int


class Count(TypedDict):
    """Requests in all, and by their outcome."""

    total: int
    by_outcome: list[Outcome]


class Histogram(TypedDict):
    """Of each bound how many took no longer; a bound of None is infinite."""

    buckets: list[tuple[float | None, int]]


class Threads(TypedDict):
    """How many threads run a request, and how many there may be."""

    busy: int
    max: int


class Queue(TypedDict):
    """How many requests wait for a thread, and how many may."""

    length: int
    limit: int
    oldest: float


class Worker(TypedDict):
    """One process."""

    number: int
    pid: int
    state: str
    age: float
    silent: float
    memory: int
    busy: int
    max: int
    queued: int
    connections: int
    requests: int
    saturated: bool
    lag: float


class Numbers(TypedDict):
    """``/status.json``, as far as it is shown."""

    now: float
    server: Server
    requests: Count
    duration: Histogram
    refused: dict[str, int]
    threads: Threads
    queue: Queue
    connections: dict[str, int]
    workers: list[Worker]


class Request(TypedDict):
    """One request that runs."""

    method: str
    path: str
    client: str | None
    age: float
    worker: int


class Requests(TypedDict):
    """``/requests``, as far as it is shown."""

    requests: list[Request]


def lines(now: Numbers, before: Numbers | None, running: Sequence[Request], width: int, height: int) -> list[str]:
    """Return at most `height` lines of at most `width` characters for the numbers of `now`.

    Rates and percentiles are of the time since `before`, None: since the server was started. A site of another version
    may raise `KeyError`, `TypeError` or `ValueError`.
    """
    found = [*_head(now, before), "", *_workers(now, before)]
    if running:
        found += ["", f"{'NR':>3} {'AGE':>7} {'CLIENT':<15} REQUEST"]
        for each in sorted(running, key=lambda request: request["age"], reverse=True):
            found.append(
                f"{each['worker']:>3} {seconds(each['age']):>7} {printable(each['client'] or '-'):<15} "
                f"{printable(each['method'])} {printable(each['path'])}"
            )
    return [line[:width].rstrip() for line in found[:height]]


def _head(now: Numbers, before: Numbers | None) -> list[str]:
    server, threads, queue = now["server"], now["threads"], now["queue"]
    since = server["since"] if before is None else before["now"]
    span = max(now["now"] - since, 1e-9)
    total = now["requests"]["total"]
    done = total - (0 if before is None else before["requests"]["total"])
    failed = sum(each["count"] for each in now["requests"]["by_outcome"] if each["status"].startswith("5"))
    of = "since the start" if before is None else f"in the last {span:.1f} s"
    quantiles = "  ".join(f"p{part:g} {_quantile(now, before, part / 100)}" for part in (50, 95, 99))
    waits = f", the oldest for {seconds(queue['oldest'])}" if queue["length"] else ""
    refused = sum(now["refused"].values())
    return [
        f"{printable(server['application'])}   {'ready' if server['ready'] else 'NOT READY: ' + server['reason']}   "
        f"up {seconds(now['now'] - server['since'])}   twisted_wsgiref {server['version']}",
        f"requests {total:,}   5xx {failed:,}   refused {refused:,}",
        f"{of}: {max(0, done) / span:,.1f}/s   {quantiles}",
        f"threads {threads['busy']} of {threads['max']} busy   queue {queue['length']} of {queue['limit']}{waits}   "
        f"connections {sum(now['connections'].values()):,}",
    ]


def _workers(now: Numbers, before: Numbers | None) -> list[str]:
    found = [
        f"{'NR':>3} {'PID':>7} {'STATE':<9} {'AGE':>7} {'MIB':>5} {'THREADS':>7} {'QUEUE':>5} {'CONNS':>5} "
        f"{'REQUESTS':>9} {'PER S':>7} {'LAG':>6}"
    ]
    earlier = {} if before is None else {(each["number"], each["pid"]): each for each in before["workers"]}
    for each in sorted(now["workers"], key=lambda worker: worker["number"]):
        then = earlier.get((each["number"], each["pid"]))
        span = each["age"] if then is None or before is None else now["now"] - before["now"]
        rate = (each["requests"] - (0 if then is None else then["requests"])) / max(span, 1e-9)
        state = "saturated" if each["saturated"] else each["state"]
        threads = f"{each['busy']}/{each['max']}"
        found.append(
            f"{each['number']:>3} {each['pid']:>7} {state:<9} {seconds(each['age']):>7} {each['memory'] / _MIB:>5.0f} "
            f"{threads:>7} {each['queued']:>5} {each['connections']:>5} {each['requests']:>9} {max(0.0, rate):>7.1f} "
            f"{seconds(each['lag']):>6}"
        )
    return found


def _quantile(now: Numbers, before: Numbers | None, part: float) -> str:
    """Return the time in which this `part` of the requests was answered, as Prometheus takes it from buckets."""
    buckets = [(bound, count) for bound, count in now["duration"]["buckets"]]
    if before is not None:
        earlier = [count for _, count in before["duration"]["buckets"]]
        buckets = [(bound, count - then) for (bound, count), then in zip(buckets, earlier, strict=True)]
    total = buckets[-1][1] if buckets else 0
    if total <= 0:
        return "-"
    low, under = 0.0, 0
    for bound, count in buckets:
        if count >= part * total:
            if bound is None:
                return f">{seconds(low)}"
            return seconds(low + (bound - low) * (part * total - under) / max(1, count - under))
        low, under = bound or low, count
    return "-"


def seconds(value: float) -> str:
    """Return a time as people read it, in at most seven characters: ``12 ms``, ``9.5 s``, ``41 s``, ``3h 12m``."""
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 99.5:
        return f"{value:.1f} s" if value < 9.95 else f"{value:.0f} s"
    minutes = int(value // 60)
    hours, days = minutes // 60, minutes // 1440
    if days:
        return f"{days}d {hours % 24}h"
    return f"{hours}h {minutes % 60}m" if hours else f"{minutes}m {int(value % 60)}s"


def printable(text: str) -> str:
    """Return `text` without anything that a terminal would obey."""
    return "".join(each if each.isprintable() else "?" for each in text)
