"""Is the C library asked to keep what was freed, where it can be asked and nobody else has said anything?"""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from twisted_wsgiref._ops.allocator import keep_freed_memory


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


def test_the_process_s_own_library_is_asked() -> None:
    has_the_knob = hasattr(ctypes.CDLL(None), "mallopt")
    assert keep_freed_memory({}) is has_the_knob
