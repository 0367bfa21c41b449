"""Do the pool and its stepped twin, on which whole services are tested, do the same?"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import PATIENCE
from twisted_wsgiref._threads.pool import Pool, WorkerPool
from twisted_wsgiref.testing import SteppedPool

_names = itertools.count()


class Twin:
    """One of the two, and how to have its jobs run."""

    def __init__(self, kind: Any, minimum: int, maximum: int, limit: int) -> None:
        self.failures: list[BaseException] = []
        self.pool: Pool = kind(
            f"twin{next(_names)}", minimum=minimum, maximum=maximum, idle=30.0, limit=limit, failed=self.failures.append
        )
        self._real = kind is WorkerPool
        self.pool.start()
        self.settle(lambda: len(self.pool._queue.idle) == minimum)  # type: ignore[attr-defined]

    def settle(self, condition: Callable[[], bool]) -> None:
        """Have jobs run until `condition` holds; of the stepped one, all of them."""
        if not self._real:
            while self.pool.jobs:  # type: ignore[attr-defined]
                self.pool.step()  # type: ignore[attr-defined]
            return
        end = time.monotonic() + PATIENCE
        while not condition():
            time.sleep(0.001)
            if time.monotonic() > end:
                raise RuntimeError("it never came about")


Make = Callable[..., Twin]


@pytest.fixture(params=[WorkerPool, SteppedPool])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    made: list[Twin] = []

    def make_twin(minimum: int = 1, maximum: int = 0, limit: int = 100) -> Twin:
        made.append(Twin(request.param, minimum, maximum, limit))
        return made[-1]

    yield make_twin
    for twin in made:
        twin.pool.stop()


class Job:
    def __init__(self, run: Callable[[], object]) -> None:
        self.run: Any = run


def jobs(count: int, into: list[int]) -> list[Job]:
    return [Job(lambda number=number: into.append(number)) for number in range(count)]  # type: ignore[misc]


def test_jobs_run_in_their_order(make: Make) -> None:
    twin, order = make(), list[int]()
    assert not twin.pool.put(jobs(50, order))
    twin.settle(lambda: len(order) == 50)
    assert order == list(range(50))


def test_what_idle_threads_take_does_not_count_as_queued(make: Make) -> None:
    twin, order = make(minimum=2, limit=3), list[int]()
    refused = twin.pool.put(jobs(6, order))
    assert len(refused) == 1
    twin.settle(lambda: len(order) == 5)


def test_a_stopped_pool_takes_nothing_until_it_is_started_again(make: Make) -> None:
    twin, order = make(), list[int]()
    twin.pool.stop()
    assert len(twin.pool.put(jobs(2, order))) == 2
    twin.pool.start()
    assert not twin.pool.put(jobs(2, order))
    twin.settle(lambda: len(order) == 2)


def test_a_thread_that_waits_is_woken_and_that_is_said(make: Make) -> None:
    twin, order = make(), list[int]()
    assert not twin.pool.wake()
    twin.pool.queue(jobs(1, order))
    assert twin.pool.wake()
    twin.settle(lambda: len(order) == 1)


def test_nobody_is_woken_while_the_only_thread_works(make: Make) -> None:
    twin, order = make(), list[int]()
    said: list[bool] = []

    def work() -> None:
        twin.pool.queue(jobs(1, order))
        said.append(twin.pool.wake())

    twin.pool.put([Job(work)])
    twin.settle(lambda: len(order) == 1)
    assert said == [False]


def test_few_jobs_are_low_at_once(make: Make) -> None:
    twin, order = make(minimum=2), list[int]()
    twin.pool.queue(jobs(2, order))
    assert not twin.pool.when_low(lambda: order.append(-1), 2)
    twin.pool.wake()
    twin.settle(lambda: len(order) == 2)
    assert sorted(order) == [0, 1]


def test_many_jobs_are_low_once_one_waits(make: Make) -> None:
    twin, order = make(), list[int]()
    twin.pool.queue(jobs(4, order))
    assert twin.pool.when_low(lambda: order.append(-1), 1)
    twin.pool.wake()
    twin.settle(lambda: len(order) == 5)
    assert order == [0, 1, -1, 2, 3]


@pytest.mark.parametrize("error", [ValueError("on purpose"), SystemExit(3)])
def test_what_a_job_raises_is_told_and_ends_nothing(make: Make, error: BaseException) -> None:
    twin, order = make(), list[int]()

    def fail() -> None:
        raise error

    twin.pool.put([Job(fail), *jobs(1, order)])
    twin.settle(lambda: len(order) == 1)
    assert twin.failures == [error]


def test_a_job_at_work_is_told_with_its_thread(make: Make) -> None:
    twin = make()
    seen: list[Any] = []

    def look() -> None:
        seen.append((twin.pool.running(), threading.current_thread()))

    job = Job(look)
    twin.pool.put([job])
    twin.settle(lambda: bool(seen))
    ((running, thread),) = seen
    assert running == [(thread, job)]


def test_a_pool_of_none_grows_with_its_first_job(make: Make) -> None:
    twin, order = make(minimum=0, maximum=1), list[int]()
    assert twin.pool.size == 1
    twin.pool.put(jobs(2, order))
    twin.settle(lambda: len(order) == 2)


def test_what_was_queued_and_found_no_thread_gets_one_later(make: Make) -> None:
    twin, order = make(minimum=0, maximum=2), list[int]()
    twin.pool.queue(jobs(2, order))
    twin.pool.sweep()
    twin.settle(lambda: len(order) == 2)
