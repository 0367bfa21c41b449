"""The sums as text: Prometheus' exposition format, and the JSON of the status site.

Pure. The format is that of https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4. docs/metrics.md
says what each metric means, and a test holds that page, the dashboard and the alert rules to the names of this file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

from .sums import Histogram, Sums, Told, WorkerState, age_of

# More requests than these nobody reads at once.
_SLOWEST: Final = 20
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[str, float]


def exposition(sums: Sums) -> str:
    """Return `sums` in Prometheus' text format."""
    return "\n".join([*_families(sums), ""])


def _families(sums: Sums) -> Iterable[str]:
    requests = [(_labels(method=method, status=kind), count) for (method, kind), count in sums.requests.items()]
    yield from _family(
        "wsgi_requests_total", "counter", "Requests that are over, by method and class of status", requests
    )
    yield from _histogram(
        "wsgi_request_duration_seconds", "From a request's last byte in to its answer's last byte out", sums.durations
    )
    yield from _histogram("wsgi_queue_wait_seconds", "Time for which requests waited for a thread", sums.waits)
    yield from _one("wsgi_request_body_bytes_total", "counter", "Bytes of the bodies of requests", sums.bytes_in)
    yield from _one("wsgi_response_body_bytes_total", "counter", "Bytes of the bodies of answers", sums.bytes_out)
    refused = [(_labels(reason=cause), count) for cause, count in sums.refused.items()]
    yield from _family(
        "wsgi_refused_total", "counter", "Requests and connections that were refused or cut off", refused
    )
    workers = sums.workers
    threads = [
        (_labels(state="busy"), sum(each.busy for each in workers)),
        (_labels(state="idle"), sum(each.idle for each in workers)),
    ]
    yield from _family("wsgi_threads", "gauge", "Threads that run an application, and that wait for a request", threads)
    most = sum(each.most_threads for each in workers)
    yield from _one("wsgi_threads_max", "gauge", "Threads that there may be", most)
    queued = sum(each.queued for each in workers)
    yield from _one("wsgi_queue_length", "gauge", "Requests that wait for a thread", queued)
    yield from _one("wsgi_queue_limit", "gauge", "Requests that may wait", sum(each.most_queued for each in workers))
    oldest = max((each.oldest for each in workers), default=0.0)
    yield from _one("wsgi_queue_oldest_seconds", "gauge", "For how long the first of them has waited", oldest)
    states = [(_labels(state=state), count) for state, count in sums.connections.items()]
    yield from _family("wsgi_connections", "gauge", "Connections, by what each waits for", states)
    shaken = [(_labels(result="ok"), sums.shaken), (_labels(result="failed"), sums.unshaken)]
    yield from _family("wsgi_tls_handshakes_total", "counter", "TLS handshakes that are over", shaken)
    yield from _one("wsgi_lost_wakeups_total", "counter", "Wake-ups that the sweep made up for", sums.forgotten)
    yield from _one("wsgi_access_log_dropped_total", "counter", "Lines of the access log that were lost", sums.unlogged)
    yield from _one("wsgi_ready", "gauge", "Whether a request would be served soon", sums.ready)
    yield from _one("wsgi_start_time_seconds", "gauge", "When these counters began, since the epoch", sums.since)
    yield from _one("wsgi_workers_wanted", "gauge", "Worker processes that there should be", sums.wanted)
    yield from _one("wsgi_worker_starts_total", "counter", "Worker processes that were started", sums.started)
    yield from _one("wsgi_worker_deaths_total", "counter", "Worker processes that did not end well", sums.died)
    yield from _of_workers(sums)


def _of_workers(sums: Sums) -> Iterable[str]:
    named = [(f'{{worker="{each.number}"}}', each) for each in sums.workers]
    serving = [(name, each.state == "serving") for name, each in named]
    yield from _family("wsgi_worker_serving", "gauge", "Whether a worker accepts requests", serving)
    memory = [(name, each.memory) for name, each in named]
    yield from _family("wsgi_worker_memory_bytes", "gauge", "Resident memory of a worker", memory)
    ages = [(name, each.age) for name, each in named]
    yield from _family("wsgi_worker_age_seconds", "gauge", "For how long a worker has been there", ages)
    lags = [(name, each.lag) for name, each in named]
    yield from _family("wsgi_reactor_lag_seconds", "gauge", "How late a worker's reactor was, at most, of late", lags)


def _labels(**labels: str) -> str:
    # All values are words of ours: nothing has to be escaped.
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def _one(name: str, kind: str, text: str, value: float) -> Iterable[str]:
    return _family(name, kind, text, [("", value)])


def _family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> Iterable[str]:
    yield f"# HELP {name} {text}."
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        yield f"{name}{labels} {_number(value)}"


def _histogram(name: str, text: str, histogram: Histogram) -> Iterable[str]:
    yield f"# HELP {name} {text}."
    yield f"# TYPE {name} histogram"
    for bound, count in histogram.cumulative():
        yield f'{name}_bucket{{le="{_bound(bound)}"}} {_number(count)}'
    yield f"{name}_sum {_number(histogram.sum)}"
    yield f"{name}_count {_number(histogram.total)}"


def _bound(value: float) -> str:
    return "+Inf" if value == float("inf") else _number(value)


def _number(value: float) -> str:
    number = float(value)
    return str(int(number)) if number.is_integer() else repr(number)


def as_json(sums: Sums, server: Mapping[str, object]) -> str:
    """Return `sums` as the status site's JSON, with what is told of the `server`."""
    return json.dumps(as_values(sums, server), separators=(",", ":"))


def as_values(sums: Sums, server: Mapping[str, object]) -> dict[str, object]:
    """Return what `as_json` writes."""
    workers = sums.workers
    return {
        "now": sums.now,
        "server": {
            **server,
            "since": sums.since,
            "ready": sums.ready,
            "reason": sums.reason,
            "workers_wanted": sums.wanted,
            "worker_starts": sums.started,
            "worker_deaths": sums.died,
        },
        "requests": {
            "total": sum(sums.requests.values()),
            "by_outcome": [
                {"method": method, "status": kind, "count": count} for (method, kind), count in sums.requests.items()
            ],
            "bytes_in": sums.bytes_in,
            "bytes_out": sums.bytes_out,
        },
        "duration": _histogram_values(sums.durations),
        "queue_wait": _histogram_values(sums.waits),
        "refused": sums.refused,
        "threads": {
            "busy": sum(each.busy for each in workers),
            "idle": sum(each.idle for each in workers),
            "max": sum(each.most_threads for each in workers),
        },
        "queue": {
            "length": sum(each.queued for each in workers),
            "limit": sum(each.most_queued for each in workers),
            "oldest": round(max((each.oldest for each in workers), default=0.0), 3),
        },
        "connections": sums.connections,
        "tls_handshakes": {"ok": sums.shaken, "failed": sums.unshaken},
        "lost_wakeups": sums.forgotten,
        "access_log_dropped": sums.unlogged,
        "workers": [_worker_values(each) for each in workers],
        "slowest": slowest(sums),
    }


def slowest(sums: Sums) -> list[Told]:
    """Return the requests that have been running for longest, the oldest first, each with the number of its worker."""
    found: list[Told] = [{**each, "worker": worker.number} for worker in sums.workers for each in worker.running]
    found.sort(key=age_of, reverse=True)
    return found[:_SLOWEST]


def _worker_values(worker: WorkerState) -> dict[str, object]:
    return {
        "number": worker.number,
        "pid": worker.pid,
        "state": worker.state,
        "age": round(worker.age, 1),
        "silent": round(worker.silent, 1),
        "memory": worker.memory,
        "busy": worker.busy,
        "idle": worker.idle,
        "max": worker.most_threads,
        "queued": worker.queued,
        "connections": worker.connections,
        "requests": worker.requests,
        "saturated": worker.saturated,
        "lag": round(worker.lag, 3),
    }


def _histogram_values(histogram: Histogram) -> dict[str, object]:
    # Infinity is no number of JSON: the last bound is null.
    buckets = [[None if bound == float("inf") else bound, int(count)] for bound, count in histogram.cumulative()]
    return {"buckets": buckets, "sum": round(histogram.sum, 6), "count": int(histogram.total)}
