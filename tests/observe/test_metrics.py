"""Does each request count once, in the cell of its outcome, and does no counter ever fall?"""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from twisted_wsgiref._observe import board
from twisted_wsgiref._observe.board import Board
from twisted_wsgiref._observe.exposition import as_values, exposition
from twisted_wsgiref._observe.metrics import Meter
from twisted_wsgiref._observe.sums import Sums, read_board

BOUNDS = (0.01, 0.1, 1.0)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def request(
    method: str = "GET",
    status: int = 200,
    *,
    took: float = 0.0,
    waited: float = 1e-9,
    size: int = 0,
    body: Any = None,
    weight: int = 1,
) -> Any:
    received = Clock.now - took
    return SimpleNamespace(
        weight=weight,
        head=SimpleNamespace(method=method),
        status=status,
        size=size,
        body=body,
        received=received,
        started=received + waited if waited else received,
    )


def read(of: Board) -> Sums:
    return read_board(of, BOUNDS, 100.0, 1e9)


@pytest.fixture
def alone() -> Board:
    return Board.alone(1e9)


@pytest.fixture
def meter(alone: Board) -> Meter:
    return Meter(alone.slot(0), BOUNDS, Clock())


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("method", "status", "counted"),
    [
        ("GET", 200, ("GET", "2xx")),
        ("POST", 404, ("POST", "4xx")),
        ("PROPFIND", 207, ("other", "2xx")),
        ("GET", 0, ("GET", "gone")),
        ("GET", 101, ("GET", "1xx")),
        ("GET", 799, ("GET", "5xx")),
    ],
)
def test_a_request_counts_by_its_method_and_the_class_of_its_status(
    alone: Board, meter: Meter, method: str, status: int, counted: tuple[str, str]
) -> None:
    meter.count(request(method, status))
    assert read(alone).requests == {counted: 1}


@pytest.mark.parametrize(("took", "bucket"), [(0.0, 0), (0.01, 0), (0.011, 1), (0.5, 2), (60.0, 3)])
@pytest.mark.parametrize("waited", [1e-9, 0.05, 0.0])
def test_durations_are_counted_by_their_bounds(
    alone: Board, meter: Meter, took: float, bucket: int, waited: float
) -> None:
    meter.count(request(took=took, waited=waited))
    meter.publish()
    durations = read(alone).durations
    assert [at for at, count in enumerate(durations.counts) if count] == [bucket]
    assert durations.sum == pytest.approx(took, abs=1e-9)


@pytest.mark.parametrize(("waited", "counts"), [(1e-9, (1, 0, 0, 0)), (0.05, (0, 1, 0, 0)), (9.0, (0, 0, 0, 1))])
def test_waits_are_counted_by_their_bounds(alone: Board, meter: Meter, waited: float, counts: tuple[int, ...]) -> None:
    meter.count(request(took=10.0, waited=waited))
    assert read(alone).waits.counts == counts


def test_a_request_that_no_thread_had_has_not_waited(alone: Board, meter: Meter) -> None:
    meter.count(request(took=10.0, waited=0.0))
    sums = read(alone)
    assert sums.waits.total == 0
    assert sums.durations.total == 1


def test_a_request_that_is_measured_for_its_turn_counts_for_all_of_it(alone: Board, meter: Meter) -> None:
    for weight in (0, 3, 0):
        meter.count(request(took=0.5, waited=0.05, size=10, weight=weight))
    meter.publish()
    sums = read(alone)
    assert sums.requests == {("GET", "2xx"): 3}
    assert sums.durations == ((0.01, 0.1, 1.0), (0, 0, 3, 0), 1.5)
    assert sums.waits.counts == (0, 3, 0, 0)
    assert sums.bytes_out == 30


def test_each_large_answer_counts_by_itself(alone: Board, meter: Meter) -> None:
    for weight in (0, 3, 0):
        meter.count(request(size=1 << 20, weight=weight))
    meter.publish()
    assert read(alone).bytes_out == 3 << 20


def test_bytes_are_those_of_the_bodies(alone: Board, meter: Meter) -> None:
    meter.count(request("POST", size=7, body=SimpleNamespace(size=100)))
    meter.count(request("POST", size=0, body=SimpleNamespace(size=None, received=11)))
    meter.publish()
    assert (read(alone).bytes_in, read(alone).bytes_out) == (111, 7)


def test_input_that_never_became_a_request_counts(alone: Board, meter: Meter) -> None:
    meter.count_unread(400, 12)
    meter.refuse(400)
    sums = read(alone)
    assert sums.requests == {("other", "4xx"): 1}
    assert sums.refused["malformed"] == 1


def test_what_has_no_cause_of_its_own_is_refused_for_another(alone: Board, meter: Meter) -> None:
    meter.refuse(599)
    meter.refuse(0, "queue_age")
    refused = read(alone).refused
    assert {cause: count for cause, count in refused.items() if count} == {"other": 1, "queue_age": 1}


def test_a_successor_goes_on_where_a_killed_worker_has_left_the_counters() -> None:
    memory = memoryview(bytearray(board.board_size(2)))
    of = Board(memory, 1e9)
    of.begin(0)
    first = Meter(of.slot(0), BOUNDS, Clock())
    for _ in range(3):
        first.count(request(took=0.5, size=10))
    first.publish()
    of.end(0, well=False)
    between = read(of)
    of.begin(0)
    second = Meter(of.slot(0), BOUNDS, Clock())
    second.count(request(took=0.5, size=10))
    second.publish()
    after = read(of)
    assert between.requests == {("GET", "2xx"): 3}
    assert after.requests == {("GET", "2xx"): 4}
    assert (after.bytes_out, after.durations.sum) == (40, pytest.approx(2.0))
    assert (after.started, after.died) == (2, 1)


def test_threads_that_count_at_once_lose_nothing(alone: Board, meter: Meter) -> None:
    before = sys.getswitchinterval()
    each, done = 3000, threading.Barrier(8)

    def count() -> None:
        done.wait(20)
        for _ in range(each):
            meter.count(request(took=0.5, waited=0.05, size=1))

    threads = [threading.Thread(target=count) for _ in range(8)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(before)
    meter.publish()
    sums = read(alone)
    assert sums.requests == {("GET", "2xx"): 8 * each}
    assert sums.waits.counts == (0, 8 * each, 0, 0)
    assert sums.bytes_out == 8 * each


@pytest.mark.parametrize("bounds", [(), tuple(map(float, range(1, 40)))])
def test_a_histogram_has_as_many_bounds_as_there_is_room_for(alone: Board, bounds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="1 to 32"):
        Meter(alone.slot(0), bounds, Clock())


def test_prometheus_reads_the_text(alone: Board, meter: Meter) -> None:
    meter.count(request("GET", 200, took=0.5, waited=0.05))
    meter.count(request("POST", 503, took=0.0, waited=0.0))
    found = samples(exposition(read(alone)))
    assert found["wsgi_requests_total", (("method", "GET"), ("status", "2xx"))] == 1
    assert found["wsgi_requests_total", (("method", "POST"), ("status", "5xx"))] == 1
    assert found["wsgi_request_duration_seconds_bucket", (("le", "0.01"),)] == 1
    assert found["wsgi_request_duration_seconds_bucket", (("le", "+Inf"),)] == 2
    assert found["wsgi_request_duration_seconds_count", ()] == 2
    assert found["wsgi_queue_wait_seconds_count", ()] == 1


def test_every_counter_is_named_as_one(alone: Board) -> None:
    for family in text_string_to_metric_families(exposition(read(alone))):
        # The parser takes the ending off a counter's name.
        assert family.type in ("counter", "gauge", "histogram"), family.name
        assert family.documentation


def test_a_worker_that_is_gone_has_no_gauges_and_keeps_its_counts() -> None:
    of = Board(memoryview(bytearray(board.board_size(1))), 1e9)
    of.begin(0)
    slot = of.slot(0)
    meter = Meter(slot, BOUNDS, Clock())
    slot.cells[board.STATE], slot.cells[board.NUMBER], slot.cells[board.BUSY] = board.SERVING, 7, 3
    slot.cells[board.SEEN] = 100.0
    meter.count(request())
    assert [worker.number for worker in read(of).workers] == [7]
    assert read(of).ready
    of.end(0, well=True)
    assert read(of).workers == []
    assert not read(of).ready
    assert read(of).requests == {("GET", "2xx"): 1}


def test_text_that_is_being_written_is_none(alone: Board) -> None:
    slot = alone.slot(0)
    slot.cells[board.STATE] = board.SERVING
    slot.write_text(b'[{"age":')
    assert read(alone).workers[0].running == []
    slot.write_text(b'[{"age": 2.0, "method": "GET"}]')
    assert as_values(read(alone), {})["slowest"] == [{"age": 2.0, "method": "GET", "worker": 0}]


@pytest.mark.parametrize(
    ("states", "ready", "reason"),
    [
        ([], False, "starting"),
        ([(board.STARTING, 0, 0.0)], False, "starting"),
        ([(board.SERVING, 0, 0.0)], True, "ready"),
        ([(board.SERVING, 1, 0.0)], False, "saturated: 4 of 4 threads are busy, 2 requests wait, the first for 1.5 s"),
        ([(board.SERVING, 1, 0.0), (board.SERVING, 0, 0.0)], True, "ready"),
        ([(board.DRAINING, 0, 0.0)], False, "draining"),
        ([(board.DRAINING, 0, 0.0), (board.SERVING, 0, 0.0)], True, "ready"),
        ([(board.SERVING, 0, 10.0)], False, "stuck: no reactor turns"),
    ],
)
def test_readiness_is_that_of_all_workers(states: list[tuple[float, int, float]], ready: bool, reason: str) -> None:
    of = Board(memoryview(bytearray(board.board_size(2))), 1e9)
    for number, (state, saturated, silent) in enumerate(states):
        of.begin(number)
        cells = of.slot(number).cells
        cells[board.STATE], cells[board.SATURATED], cells[board.SEEN] = state, saturated, 100.0 - silent
        cells[board.BUSY] = cells[board.MOST_THREADS] = 4
        cells[board.QUEUED], cells[board.OLDEST] = 2, 1.5
    sums = read(of)
    assert (sums.ready, sums.reason) == (ready, reason)


def test_a_parent_that_stops_drains() -> None:
    of = Board.alone(1e9)
    cells = of.slot(0).cells
    cells[board.STATE], cells[board.SEEN] = board.SERVING, 100.0
    of.head[board.STOPPING] = 1.0
    assert (read(of).ready, read(of).reason) == (False, "draining")
