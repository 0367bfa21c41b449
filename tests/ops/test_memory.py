"""Is memory settled for a server, where nobody else has said anything?"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from twisted_wsgiref._ops.memory import keep_freed_memory, settle


class Library:
    """A C library that notes what it was asked."""

    def __init__(self, taken: int = 1) -> None:
        self.asked: dict[int, int] = {}
        self._taken = taken

    def mallopt(self, knob: int, value: int) -> int:
        self.asked[knob] = value
        return self._taken


def test_more_is_kept_than_a_large_body_takes() -> None:
    library = Library()
    assert keep_freed_memory({}, library) is True
    assert set(library.asked) == {-1, -3}
    assert all(value >= 1024 * 1024 for value in library.asked.values())


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"])
def test_who_has_set_something_knows_better(name: str) -> None:
    library = Library()
    assert keep_freed_memory({name: "1"}, library) is False
    assert library.asked == {}


def test_a_library_without_the_knob_and_one_that_refuses_are_left_alone() -> None:
    without: Any = object()
    assert keep_freed_memory({}, without) is False
    assert keep_freed_memory({}, Library(taken=0)) is False


def test_a_python_without_ctypes_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctypes", None)
    assert keep_freed_memory({}) is False


def test_the_process_s_own_library_is_asked() -> None:
    has_the_knob = hasattr(ctypes.CDLL(None), "mallopt")
    assert keep_freed_memory({}) is has_the_knob


@pytest.fixture
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_young_objects_are_collected_more_seldom_and_old_ones_frozen() -> None:
    before = gc.get_threshold()
    settle()
    assert gc.get_threshold() == (10_000, *before[1:])
    assert gc.get_freeze_count() > 1000


@pytest.mark.usefixtures("collector")
def test_what_the_application_has_set_stays() -> None:
    gc.set_threshold(5, 6, 7)
    settle()
    assert gc.get_threshold()[:2] == (5, 6)
