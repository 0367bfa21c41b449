"""Is it told who is busy with what, and once if nobody is left?"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from tests.support import GET, PATIENCE, hello, serving
from twisted_wsgiref._observe.busy import BusyWatch, labels, summary
from twisted_wsgiref._observe.work import Work

ME = threading.current_thread()


def work(line: str, seconds: float, client: str | None = "10.0.0.1", expired: bool = False, gone: bool = False) -> Work:
    return Work(ME, line, seconds, client, expired, gone)


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        if "threads busy" in (text := str(formatEvent(event))) or "free again" in text:
            lines.append(("W " if event["log_level"] is LogLevel.warn else "") + text)

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


@pytest.mark.parametrize(
    ("works", "waiting", "line"),
    [
        ([], 0, "0 of 8 threads busy, 0 requests waiting"),
        (
            [work("GET /y HTTP/1.1", 2.04), work("GET /x HTTP/1.1", 41.2)],
            1,
            "2 of 8 threads busy, 1 request waiting; the oldest runs GET /x HTTP/1.1 of 10.0.0.1 since 41 s",
        ),
        (
            [work("GET /\x1b\nx HTTP/1.1", 0.0, None)],
            0,
            r"1 of 8 threads busy, 0 requests waiting; the oldest runs 'GET /\x1b\nx HTTP/1.1' since 0.0 s",
        ),
    ],
)
def test_all_threads_have_one_line(works: list[Work], waiting: int, line: str) -> None:
    assert summary(works, 8, waiting) == line


@pytest.mark.parametrize(
    ("one", "label"),
    [
        (work("GET /x HTTP/1.1", 3.0), "GET /x HTTP/1.1 of 10.0.0.1 since 3.0 s"),
        (work("GET /x HTTP/1.1", 3.0, expired=True), "GET /x HTTP/1.1 of 10.0.0.1 since 3.0 s, whose time is over"),
        (work("GET /x HTTP/1.1", 3.0, gone=True), "GET /x HTTP/1.1 of 10.0.0.1 since 3.0 s, whose client has left"),
    ],
)
def test_a_thread_has_its_request_age_and_client(one: Work, label: str) -> None:
    assert labels([one]) == {ME.ident: label}


def test_a_warning_comes_once_for_each_time_that_no_thread_is_left(said: list[str]) -> None:
    watch = BusyWatch()
    busy = [work("GET /x HTTP/1.1", 41.0), work("GET /y HTTP/1.1", 1.0)]
    watch.look(100.0, busy[:1], 2, 0)
    watch.look(101.0, [busy[0], work("GET /y HTTP/1.1", 0.9)], 2, 0)
    assert said == []
    watch.look(102.0, busy, 2, 3)
    watch.look(103.0, busy, 2, 4)
    watch.look(104.0, [busy[0], work("GET /z HTTP/1.1", 0.1)], 2, 4)
    watch.look(105.0, busy, 2, 4)
    assert said == [
        "W every thread is busy: 2 of 2 threads busy, 3 requests waiting; the oldest runs GET /x HTTP/1.1 of 10.0.0.1 "
        "since 41 s"
    ]
    watch.look(112.0, busy[:1], 2, 0)
    watch.look(113.0, [], 2, 0)
    assert said[1:] == ["a thread is free again, 10 s after that"]
    watch.look(114.0, busy, 2, 0)
    assert len(said) == 3


def test_a_service_looks_with_its_sweep(said: list[str]) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        entered.set()
        leave.wait(PATIENCE)
        return hello(environ, start_response)

    with serving(slow, threads=1) as server:
        server.connect().send(GET)
        server.settle(work=False)
        thread = server.step_in_thread()
        assert entered.wait(PATIENCE)
        assert server.service.busy().startswith("1 of 1 threads busy, 0 requests waiting; the oldest runs GET / HTTP")
        server.advance(5, work=False)
        assert len(said) == 1
        assert said[0].startswith(
            "W every thread is busy: 1 of 1 threads busy, 0 requests waiting; the oldest runs GET "
        )
        leave.set()
        server.settle_while(thread)
        server.advance(2)
        assert len(said) == 2
