"""Is a worker replaced in time, and not all of them at once? And does a dump of stacks say who does what?"""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from twisted_wsgiref._observe.memory import resident
from twisted_wsgiref._observe.record import Record
from twisted_wsgiref._observe.stacks import describe_threads, requests_of
from twisted_wsgiref._process.recycling import Recycling

RECORD = Record.refused(None, 400, 0, 0.0)


@pytest.mark.parametrize(("part", "limit"), [(0.9, 90), (1.0, 100), (1.1, 110)])
def test_requests_are_counted_to_a_limit_that_is_spread(part: float, limit: int) -> None:
    asked: list[tuple[float, float]] = []
    wear = Recycling(100, 0, spread=lambda low, high: asked.append((low, high)) or part)  # type: ignore[func-returns-value]
    for _ in range(limit - 1):
        wear.observe_facts(RECORD)
    assert wear.reason() == ""
    wear.observe_facts(RECORD)
    assert wear.reason() == f"it has served {limit} requests"
    assert asked == [(0.9, 1.1)]


def test_memory_is_looked_at() -> None:
    now = [100 << 20]
    wear = Recycling(0, 200 << 20, rss=lambda: now[0])
    assert wear.reason() == ""
    now[0] = 250 << 20
    assert wear.reason() == "it has 250 MiB of memory"


@pytest.mark.parametrize(("part", "limit"), [(0.9, 3240.0), (1.1, 3960.0)])
def test_age_has_a_limit_that_is_spread(part: float, limit: float) -> None:
    now = [1000.0]
    wear = Recycling(0, 0, 3600.0, spread=lambda low, high: part, clock=lambda: now[0])
    now[0] += limit - 1
    assert wear.reason() == ""
    now[0] += 1.5
    assert wear.reason() == f"it is {limit:.0f} s old"


def test_without_limits_nothing_wears_out() -> None:
    wear = Recycling(0, 0)
    for _ in range(1000):
        wear.observe_facts(RECORD)
    assert wear.reason() == ""


def test_the_memory_of_this_process_is_plausible() -> None:
    assert 5 << 20 < resident() < 5 << 30


def test_the_smallest_limit_is_one_request() -> None:
    wear = Recycling(1, 0, spread=lambda low, high: low)
    wear.observe_facts(RECORD)
    assert wear.reason()


def job(line: str) -> Any:
    return SimpleNamespace(head=SimpleNamespace(request_line=line))


def test_a_thread_is_shown_with_its_request_and_its_stack() -> None:
    entered, leave = threading.Event(), threading.Event()

    def wait_here() -> None:
        entered.set()
        leave.wait()

    thread = threading.Thread(target=wait_here, name="wsgi-1-1")
    thread.start()
    entered.wait()
    try:
        requests = requests_of([(thread, job("GET /a HTTP/1.1"))])
        everything, only = describe_threads(requests), describe_threads(requests, only=True)
    finally:
        leave.set()
        thread.join()
    assert "thread wsgi-1-1 runs GET /a HTTP/1.1\n" in everything
    assert "in wait_here" in only
    assert "thread MainThread\n" in everything
    assert "MainThread" not in only


def test_a_request_line_can_not_forge_a_line_of_the_log() -> None:
    me = threading.current_thread()
    text = describe_threads(requests_of([(me, job("GET /\x1b[2J\nfake HTTP/1.1"))]), only=True)
    assert "\x1b" not in text
    assert "\nfake" not in text


def test_a_job_that_is_no_request_is_named_by_its_kind() -> None:
    me = threading.current_thread()
    assert requests_of([(me, SimpleNamespace())]) == {me.ident: "SimpleNamespace"}
