"""Does the pool run every job it takes, on as many threads as it may have, and never hold up who puts or stops?"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from tests.support import PATIENCE
from twisted_wsgiref._threads import pool as pool_module
from twisted_wsgiref._threads.jobs import Jobs
from twisted_wsgiref._threads.pool import WorkerPool
from twisted_wsgiref._threads.wake_signal import make_wake_signal

_names = itertools.count()


class Job:
    """Says that it runs, and waits until it is let go."""

    def __init__(self, error: BaseException | None = None, *, waits: bool = False) -> None:
        self.running = threading.Event()
        self.go = threading.Event()
        self.done = threading.Event()
        self.thread: threading.Thread | None = None
        self._error = error
        if not waits:
            self.go.set()

    def run(self) -> None:
        self.thread = threading.current_thread()
        self.running.set()
        self.go.wait(PATIENCE)
        self.done.set()
        if self._error is not None:
            raise self._error


@pytest.fixture
def make() -> Iterator[Callable[..., WorkerPool]]:
    pools: list[WorkerPool] = []

    def make_pool(minimum: int = 1, maximum: int = 0, idle: float = 30.0, limit: int = 100, **how: Any) -> WorkerPool:
        failures: list[BaseException] = how.get("failures", [])
        name = f"pool{next(_names)}"
        pool = WorkerPool(
            name, minimum=minimum, maximum=maximum, idle=idle, limit=limit, failed=how.get("failed", failures.append)
        )
        pool.name = name  # type: ignore[attr-defined]
        pools.append(pool)
        pool.start()
        return pool

    yield make_pool
    for pool in pools:
        pool.stop()
    until(lambda: not any(threads_of(pool) for pool in pools))


def threads_of(pool: WorkerPool) -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith(pool.name + "-")]  # type: ignore[attr-defined]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        time.sleep(0.001)
        if time.monotonic() > end:
            raise RuntimeError("it never came about")


def test_threads_are_named_after_the_service_and_are_daemons(make: Any) -> None:
    pool = make(minimum=3)
    threads = threads_of(pool)
    assert sorted(each.name for each in threads) == [f"{pool.name}-{number}" for number in (1, 2, 3)]
    assert all(each.daemon for each in threads)


def test_jobs_run_in_their_order(make: Any) -> None:
    order: list[int] = []

    class Numbered:
        def __init__(self, number: int) -> None:
            self.number = number

        def run(self) -> None:
            order.append(self.number)

    pool = make(minimum=1, limit=1000)
    assert pool.put([Numbered(number) for number in range(300)]) == ()
    assert pool.put([Numbered(number) for number in range(300, 600)]) == ()
    until(lambda: len(order) == 600)
    assert order == list(range(600))


def test_a_fixed_pool_stays_as_it_is(make: Any) -> None:
    pool = make(minimum=2)
    jobs = [Job(waits=True) for _ in range(5)]
    pool.put(jobs)
    until(lambda: sum(job.running.is_set() for job in jobs) == 2)
    assert len(threads_of(pool)) == 2
    assert len(pool._queue.waiting) == 3
    assert {job for _, job in pool.running()} == {job for job in jobs if job.running.is_set()}
    for job in jobs:
        job.go.set()
    until(lambda: all(job.done.is_set() for job in jobs))
    until(lambda: pool.running() == [])


def test_a_pool_grows_to_its_maximum_and_shrinks_again(make: Any) -> None:
    pool = make(minimum=1, maximum=4, idle=0.05)
    jobs = [Job(waits=True) for _ in range(6)]
    for job in jobs:
        pool.put([job])
    until(lambda: sum(job.running.is_set() for job in jobs) == 4)
    assert len(threads_of(pool)) == 4
    for job in jobs:
        job.go.set()
    until(lambda: all(job.done.is_set() for job in jobs))
    until(lambda: len(threads_of(pool)) == 1)
    last = Job()
    pool.put([last])
    until(last.done.is_set)


def test_a_pool_that_starts_with_none_runs_jobs_all_the_same(make: Any) -> None:
    pool = make(minimum=0, maximum=1, idle=0.01)
    for _ in range(20):
        job = Job()
        pool.put([job])
        until(job.done.is_set)
        time.sleep(0.01)  # about as long as the thread waits: the worst moment to put


def test_no_job_is_lost_when_its_thread_is_about_to_end(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = make(minimum=0, maximum=1, idle=0.001)
    jobs = []
    for _ in range(2000):
        job = Job()
        jobs.append(job)
        pool.put([job])
        job.done.wait(0.001)
    until(lambda: all(job.done.is_set() for job in jobs))


def test_jobs_beyond_the_limit_are_refused(make: Any) -> None:
    pool = make(minimum=1, limit=3)
    busy = Job(waits=True)
    pool.put([busy])
    until(busy.running.is_set)
    jobs = [Job() for _ in range(5)]
    assert list(pool.put(jobs)) == jobs[3:]
    assert list(pool.put([jobs[4]])) == [jobs[4]]
    busy.go.set()
    until(lambda: all(job.done.is_set() for job in jobs[:3]))
    assert not jobs[3].running.is_set()


def test_threads_that_are_free_are_room_too(make: Any) -> None:
    pool = make(minimum=4, limit=1)
    jobs = [Job(waits=True) for _ in range(7)]
    refused = list(pool.put(jobs))
    assert 2 <= len(refused) <= 6
    for job in jobs:
        job.go.set()
    until(lambda: all(job.done.is_set() for job in jobs if job not in refused))


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), KeyboardInterrupt(), MemoryError()], ids=repr)
def test_a_job_that_raises_costs_no_thread(make: Any, error: BaseException) -> None:
    failures: list[BaseException] = []
    pool = make(minimum=1, failures=failures)
    last = Job()
    pool.put([Job(error), Job(error), last])
    until(last.done.is_set)
    assert failures == [error, error]
    assert len(threads_of(pool)) == 1


def test_threads_may_end_while_stop_tells_them_to() -> None:
    pool = WorkerPool("ending", minimum=4, maximum=4, idle=1, limit=10, failed=print)

    class Ending(Jobs):
        """Comes back from `wake` when somebody has acted on it already."""

        def wake(self) -> bool:
            woken = super().wake()
            if woken and threading.current_thread() is threading.main_thread():
                until(lambda: len(pool._doing) < 4)
            return woken

    pool._queue = Ending()
    pool.start()
    pool.stop()
    until(lambda: not [each for each in threading.enumerate() if each.name.startswith("ending-")])


def test_stop_comes_back_at_once_even_if_a_thread_hangs(make: Any) -> None:
    pool = make(minimum=2)
    stuck, waiting = Job(waits=True), Job()
    pool.put([stuck])
    until(stuck.running.is_set)
    pool.put([waiting])
    pool.stop()
    pool.stop()
    until(waiting.done.is_set)  # what is queued is done
    until(lambda: threads_of(pool) == [stuck.thread])
    assert list(pool.put([waiting])) == [waiting]
    pool.sweep()
    assert threads_of(pool) == [stuck.thread]
    stuck.go.set()
    until(lambda: threads_of(pool) == [])


def test_a_pool_can_be_started_again(make: Any) -> None:
    pool = make(minimum=2)
    stuck = Job(waits=True)
    pool.put([stuck])
    until(stuck.running.is_set)
    pool.stop()
    pool.start()
    jobs = [Job() for _ in range(10)]
    assert list(pool.put(jobs)) == []
    until(lambda: all(job.done.is_set() for job in jobs))
    until(lambda: len([each for each in threads_of(pool) if each is not stuck.thread]) == 2)
    stuck.go.set()
    until(lambda: len(threads_of(pool)) == 2)


def test_a_finished_job_is_not_kept(make: Any) -> None:
    import weakref

    pool = make(minimum=1)
    job = Job()
    watched = weakref.ref(job)
    pool.put([job])
    until(job.done.is_set)
    del job
    until(lambda: watched() is None)


def test_one_job_wakes_one_worker(make: Any) -> None:
    pool = make(minimum=4)
    until(lambda: len(pool._queue.idle) == 4)
    jobs = [Job(waits=True) for _ in range(3)]
    for number, job in enumerate(jobs, 1):
        pool.put([job])
        until(job.running.is_set)
        assert len(pool._queue.idle) == 4 - number
    for job in jobs:
        job.go.set()
    until(lambda: len(pool._queue.idle) == 4)
    again = Job()
    pool.put([again])
    until(again.done.is_set)
    assert again.thread is not None


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_no_job_is_left_lying(make: Any, threads: int) -> None:
    # Batches end, and workers fall idle, at every moment of the next `put`.
    pool = make(minimum=threads, limit=1000)
    for size in itertools.islice(itertools.cycle((1, 2, 7, 1, 30)), 500):
        jobs = [Job() for _ in range(size)]
        pool.put(jobs)
        jobs[-1].done.wait(PATIENCE)
        until(lambda jobs=jobs: all(job.done.is_set() for job in jobs))


def test_jobs_that_block_all_run_at_once(make: Any) -> None:
    pool = make(minimum=5)
    jobs = [Job(waits=True) for _ in range(5)]
    pool.put(jobs)
    until(lambda: all(job.running.is_set() for job in jobs))
    for job in jobs:
        job.go.set()


def test_it_says_when_no_more_than_one_job_waits(make: Any) -> None:
    pool = make(minimum=2)
    said: list[threading.Thread] = []
    jobs = [Job(waits=True) for _ in range(6)]
    assert not pool.when_low(lambda: said.append(threading.current_thread()), 1)
    pool.put(jobs[:4])
    until(jobs[1].running.is_set)
    assert not pool.when_low(lambda: said.append(threading.current_thread()), 2)
    pool.put(jobs[4:])
    assert pool.when_low(lambda: said.append(threading.current_thread()), 2)
    assert len(pool._queue.waiting) == 4
    for number in (0, 1):
        jobs[number].go.set()
        until(jobs[number + 2].running.is_set)
    assert not said
    jobs[2].go.set()
    until(lambda: said)
    assert said[0] in threads_of(pool)
    for job in jobs:
        job.go.set()
    until(lambda: all(job.done.is_set() for job in jobs))
    assert len(said) == 1


def test_nobody_waits_for_few_jobs_in_vain(make: Any) -> None:
    # However the looks of both sides fall, there is a call for each True.
    pool = make(minimum=1)
    said: SimpleQueue[None] = SimpleQueue()
    for _ in range(300):
        pool.put([Job() for _ in range(3)])
        if pool.when_low(lambda: said.put(None), 1):
            said.get(timeout=PATIENCE)
    assert said.empty()


def test_what_is_queued_waits_for_the_wake(make: Any) -> None:
    pool = make(minimum=2)
    until(lambda: len(pool._queue.idle) == 2)
    jobs = [Job(), Job()]
    assert list(pool.queue(jobs)) == []
    assert len(pool._queue.idle) == len(pool._queue.waiting) == 2
    assert pool.wake()
    until(lambda: all(job.done.is_set() for job in jobs))
    assert not pool.wake()


def test_a_wake_that_was_missed_is_made_up_for(make: Any, enough: list[bool]) -> None:
    pool = make(minimum=1)
    until(lambda: len(pool._queue.idle) == 1)
    first, second = Job(), Job()
    pool.queue([first])
    pool.put([second])
    until(second.done.is_set)
    assert first.done.is_set()


def test_nothing_runs_before_the_start() -> None:
    pool = WorkerPool("unstarted", minimum=1, maximum=4, idle=1, limit=10, failed=print)
    job = Job()
    assert list(pool.put([job])) == []
    pool.sweep()
    assert not [each for each in threading.enumerate() if each.name.startswith("unstarted-")]
    pool.start()
    until(job.done.is_set)
    pool.stop()


# ---- While one worker is enough ------------------------------------------------------------------------------------


@pytest.fixture
def enough(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Give what decides whether one worker is enough: the last item."""
    verdicts = [True]
    queue = WorkerPool.queue
    monkeypatch.setattr(WorkerPool, "queue", lambda pool, jobs: queue(pool, jobs, verdicts[-1]))
    yield verdicts
    verdicts.append(False)


def test_jobs_behind_another_wake_nobody(make: Any, enough: list[bool]) -> None:
    pool = make(minimum=4)
    until(lambda: len(pool._queue.idle) == 4)
    jobs = [Job(waits=True) for _ in range(3)]
    pool.put(jobs[:2])
    until(jobs[0].running.is_set)
    pool.put(jobs[2:])
    assert len(pool._queue.idle) == 3
    for job in jobs:
        job.go.set()
    until(lambda: all(job.done.is_set() for job in jobs))
    assert len({job.thread for job in jobs}) == 1


def test_the_others_are_woken_once_one_is_not_enough(make: Any, enough: list[bool]) -> None:
    pool = make(minimum=4)
    jobs = [Job(waits=True) for _ in range(4)]
    pool.put(jobs)
    until(jobs[0].running.is_set)
    assert [job.running.is_set() for job in jobs] == [True, False, False, False]
    pool.spare_none()
    until(lambda: all(job.running.is_set() for job in jobs))
    for job in jobs:
        job.go.set()


def test_workers_that_are_at_something_long_are_not_waited_for(make: Any, enough: list[bool]) -> None:
    # Three stream; the fourth took the last job, and is idle.
    pool = make(minimum=4)
    enough.append(False)
    long = [Job(waits=True) for _ in range(3)]
    pool.put(long)
    until(lambda: all(job.running.is_set() for job in long))
    quick = Job()
    pool.put([quick])
    until(lambda: quick.done.is_set() and len(pool._queue.idle) == 1)
    enough.append(True)
    for _ in range(5):
        jobs = [Job() for _ in range(3)]
        pool.put(jobs)
        until(lambda jobs=jobs: all(job.done.is_set() for job in jobs))
        until(lambda: len(pool._queue.idle) == 1)
    for job in long:
        job.go.set()


def test_of_several_at_work_one_goes_on(make: Any, enough: list[bool]) -> None:
    pool = make(minimum=3)
    enough.append(False)
    first = [Job(waits=True) for _ in range(3)]
    pool.put(first)
    until(lambda: all(job.running.is_set() for job in first))
    enough.append(True)
    rest = [Job(waits=True) for _ in range(4)]
    pool.put(rest)
    for job in first:
        job.go.set()
    until(lambda: len(pool._queue.idle) == 2)  # though three jobs wait
    until(rest[0].running.is_set)
    assert not rest[1].running.is_set()
    for job in rest:
        job.go.set()
    until(lambda: all(job.done.is_set() for job in rest))
    assert len({job.thread for job in rest}) == 1


def test_a_pool_grows_only_where_one_is_not_enough(make: Any, enough: list[bool]) -> None:
    pool = make(minimum=0, maximum=3)
    jobs = [Job(waits=True) for _ in range(3)]
    pool.put(jobs[:1])
    until(jobs[0].running.is_set)
    pool.put(jobs[1:])
    assert len(threads_of(pool)) == 1
    pool.spare_none()
    until(lambda: all(job.running.is_set() for job in jobs))
    assert len(threads_of(pool)) == 3
    for job in jobs:
        job.go.set()


def test_stop_has_all_work_that_is_left(make: Any, enough: list[bool]) -> None:
    pool = make(minimum=3)
    jobs = [Job(waits=True) for _ in range(3)]
    pool.put(jobs)
    until(jobs[0].running.is_set)
    pool.stop()
    until(lambda: all(job.running.is_set() for job in jobs))
    for job in jobs:
        job.go.set()
    until(lambda: not threads_of(pool))


@pytest.mark.parametrize("threads", [2, 5])
def test_no_job_is_left_lying_whenever_one_is_enough(make: Any, enough: list[bool], threads: int) -> None:
    pool = make(minimum=threads, limit=10_000)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number, size in enumerate(itertools.islice(itertools.cycle((1, 2, 7, 1, 30)), 1000)):
            enough.append(number % 7 < 5)
            jobs = [Job() for _ in range(size)]
            pool.put(jobs)
            if number % 3:
                continue
            # No look is taken: where all jobs are quick, none may need one.
            until(lambda jobs=jobs: all(job.done.is_set() for job in jobs))
    finally:
        sys.setswitchinterval(before)
    until(lambda: not pool._queue.waiting and pool.running() == [])


def test_who_was_to_be_spared_is_not_once_that_is_over(
    make: Any, enough: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = Jobs.wait
    on_its_way, go_on = threading.Event(), threading.Event()

    def wait_slowly(jobs: Jobs, signal: Any, timeout: float, spared: bool) -> bool:
        if spared and not on_its_way.is_set():
            on_its_way.set()
            go_on.wait(PATIENCE)
        return wait(jobs, signal, timeout, spared)

    monkeypatch.setattr(Jobs, "wait", wait_slowly)
    pool = make(minimum=2)
    enough.append(False)
    first, long, behind = Job(waits=True), Job(waits=True), Job()
    for job in (first, long):
        pool.put([job])
        until(job.running.is_set)
    enough.append(True)
    pool.put([behind])
    first.go.set()
    assert on_its_way.wait(PATIENCE)
    pool.spare_none()  # there is nobody to be woken yet
    go_on.set()
    until(behind.done.is_set)
    long.go.set()


def test_a_thread_that_can_not_be_started_is_tried_again(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[BaseException] = []
    pool = make(minimum=0, maximum=2, failures=failures)
    job = Job()
    with monkeypatch.context() as full:

        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        full.setattr(threading.Thread, "start", refuse)
        assert list(pool.put([job])) == []
    assert [str(failure) for failure in failures] == ["can't start new thread"]
    pool.sweep()
    until(job.done.is_set)


# ---- Whoever was forgotten -----------------------------------------------------------------------------------------


class _Lossy:
    """A wake signal of which the first release is lost."""

    def __init__(self, signal: Any) -> None:
        self._signal = signal
        self.acquire = signal.acquire
        self.lost = False

    def release(self) -> None:
        if self.lost:
            self._signal.release()
        self.lost = True


def _lock() -> Any:
    lock = threading.Lock()
    lock.acquire()
    return lock


@pytest.mark.parametrize("make_signal", [make_wake_signal, _lock])
@pytest.mark.parametrize("idle", [30.0, 0.05])
def test_a_worker_whose_wake_was_lost_is_woken_by_the_second_sweep(
    make: Any, monkeypatch: pytest.MonkeyPatch, make_signal: Any, idle: float
) -> None:
    signals: list[_Lossy] = []

    def make_lossy() -> Any:
        signals.append(_Lossy(make_signal()))
        return signals[-1]

    monkeypatch.setattr(pool_module, "make_wake_signal", make_lossy)
    pool = make(minimum=0 if idle < 1 else 1, maximum=1, idle=idle)
    if idle < 1:
        pool._add_thread()  # one that waits for a limited time only
    until(lambda: len(pool._queue.idle) == 1)
    job = Job()
    pool.put([job])
    assert signals[0].lost
    if idle < 1:
        time.sleep(2 * idle)  # it waits without an end now: it knows that somebody was to wake it
    assert [pool.sweep(), job.done.is_set(), pool.sweep()] == [False, False, True]
    until(job.done.is_set)
    assert not pool.sweep()
    again = Job()
    pool.put([again])
    until(again.done.is_set)


def test_a_job_that_nobody_was_woken_for_is_run_after_the_second_sweep(make: Any) -> None:
    pool = make(minimum=2)
    until(lambda: len(pool._queue.idle) == 2)
    job = Job()
    pool._queue.waiting.append(job)
    assert [pool.sweep(), pool.sweep()] == [False, True]
    until(job.done.is_set)


def test_jobs_that_wait_for_busy_workers_are_not_forgotten(make: Any) -> None:
    pool = make(minimum=1)
    jobs = [Job(waits=True) for _ in range(3)]
    pool.put(jobs)
    until(jobs[0].running.is_set)
    assert not any(pool.sweep() for _ in range(3))
    for job in jobs:
        job.go.set()


def test_jobs_behind_the_one_worker_that_is_enough_are_forgotten_if_nobody_looks(make: Any, enough: list[bool]) -> None:
    pool = make(minimum=3)
    jobs = [Job(waits=True) for _ in range(3)]
    pool.put(jobs)
    until(jobs[0].running.is_set)
    assert [pool.sweep(), pool.sweep()] == [False, True]
    until(lambda: all(job.running.is_set() for job in jobs))
    for job in jobs:
        job.go.set()


def test_jobs_that_are_taken_between_sweeps_are_not_forgotten(make: Any) -> None:
    pool = make(minimum=2)
    until(lambda: len(pool._queue.idle) == 2)
    for _ in range(4):
        job = Job()
        pool._queue.waiting.append(job)
        assert not pool.sweep()
        pool._queue.wake()
        until(job.done.is_set)


@pytest.mark.parametrize("make_signal", [make_wake_signal, _lock])
def test_a_ring_too_many_does_no_harm(make: Any, monkeypatch: pytest.MonkeyPatch, make_signal: Any) -> None:
    # The worker had been woken after all: the system had not let it go yet.
    monkeypatch.setattr(pool_module, "make_wake_signal", make_signal)
    pool = make(minimum=1)
    (signal,) = pool._signals.values()
    for _ in range(50):
        job = Job(waits=True)
        pool.put([job])
        until(job.running.is_set)
        pool._queue.ring(signal)
        job.go.set()
        until(job.done.is_set)
        until(lambda: pool._queue.idle == [signal])
    last = Job()
    pool.put([last])
    until(last.done.is_set)
