"""Is every thread's stack told, with and without the GIL?"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from twisted_wsgiref._observe import stacks
from twisted_wsgiref._threads.pool import WorkerPool


@pytest.fixture(params=[False, True], ids=["GIL", "no GIL"])
def gil(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "NO_GIL", request.param)


@pytest.fixture
def waiting() -> Iterator[threading.Thread]:
    entered, leave = threading.Event(), threading.Event()

    def outer() -> None:
        inner()

    def inner() -> None:
        entered.set()
        leave.wait()

    thread = threading.Thread(target=outer, name="wsgi-1-1")
    thread.start()
    entered.wait()
    yield thread
    leave.set()
    thread.join()


def test_every_thread_is_told_by_its_name_the_innermost_call_last(gil: None, waiting: threading.Thread) -> None:
    text = stacks.describe_threads({waiting.ident or 0: "GET /a HTTP/1.1"})
    assert "thread MainThread\n" in text
    own = text.partition("thread wsgi-1-1 runs GET /a HTTP/1.1\n")[2].partition("\nthread ")[0]
    assert 0 < own.index("in outer") < own.index("in inner")
    assert "test_stacks.py" in own
    assert "most recent call" not in text


def test_only_those_that_run_a_request_are_told_if_that_is_asked_for(gil: None, waiting: threading.Thread) -> None:
    text = stacks.describe_threads({waiting.ident or 0: "GET /a HTTP/1.1"}, only=True)
    assert text.startswith("thread wsgi-1-1 runs GET /a HTTP/1.1\n")
    assert "MainThread" not in text
    assert stacks.describe_threads({}, only=True) == ""


def test_idle_threads_of_ours_have_one_line(gil: None) -> None:
    pool = WorkerPool("shop", minimum=2, maximum=2, idle=1.0, limit=1, failed=lambda error: None)
    pool.start()
    try:
        text = ""
        for _ in range(1000):  # until both have come to wait
            text = stacks.describe_threads({})
            if "2 idle threads: shop-1, shop-2" in text:
                break
        assert text.endswith("\n2 idle threads: shop-1, shop-2")
        assert "jobs.py" not in text
    finally:
        pool.stop()


def test_the_name_that_a_newer_version_writes_is_no_part_of_a_stack() -> None:
    text = (
        'Thread 0x00007f1c2a7fc6c0 [wsgi-1-1] (most recent call first):\n  File "a.py", line 2 in inner\n'
        '  File "a.py", line 1 in outer\n\nCurrent thread 0x0000000000000010 (most recent call first):\n'
        '  File "b.py", line 3 in <module>\n'
    )
    assert dict(stacks._read_stacks(text)) == {
        0x7F1C2A7FC6C0: '  File "a.py", line 1 in outer\n  File "a.py", line 2 in inner',
        0x10: '  File "b.py", line 3 in <module>',
    }


@pytest.mark.parametrize("enabled", [True, False])
def test_no_round_of_the_garbage_collector_comes_while_frames_are_listed(
    enabled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    collecting: list[bool] = []
    listed = sys._current_frames

    def list_frames() -> dict[int, FrameType]:
        collecting.append(gc.isenabled())
        return listed()

    monkeypatch.setattr(stacks, "NO_GIL", False)
    monkeypatch.setattr(sys, "_current_frames", list_frames)
    if not enabled:
        gc.disable()
    try:
        stacks.describe_threads({})
        assert (collecting, gc.isenabled()) == ([False], enabled)
    finally:
        gc.enable()
