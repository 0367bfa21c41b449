"""Does a bell wake who waits for it, once for each time that it is rung, whatever it is made of?"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import PATIENCE
from twisted_wsgiref._gateway.bell import Bell, make_bell

has_descriptors = pytest.mark.skipif(not hasattr(os, "eventfd"), reason="there are no event descriptors here")


def refuse(*_: object) -> int:
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.fixture(params=[pytest.param("descriptor", marks=has_descriptors), "lock", "exhausted"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Bell]:
    """Give what makes a bell, with and without descriptors, and where none is left."""
    if request.param == "lock":
        monkeypatch.delattr(os, "eventfd", raising=False)
    elif request.param == "exhausted":
        monkeypatch.setattr(os, "eventfd", refuse, raising=False)
    return make_bell


def test_it_is_heard_before_and_while_one_waits(make: Callable[[], Bell]) -> None:
    bell = make()
    bell.release()
    assert bell.acquire(True, PATIENCE)
    thread = threading.Thread(target=bell.release)
    thread.start()
    assert bell.acquire()
    thread.join()


def test_each_ring_is_heard_once(make: Callable[[], Bell]) -> None:
    bell = make()
    for _ in range(3):
        bell.release()
        assert bell.acquire(True, 0)
        assert not bell.acquire(True, 0)


def test_nobody_waits_for_longer_than_was_said(make: Callable[[], Bell]) -> None:
    bell = make()
    begin = time.monotonic()
    assert not bell.acquire(True, 0.01)
    assert time.monotonic() - begin >= 0.009


@has_descriptors
def test_its_descriptor_is_closed_with_the_last_reference() -> None:
    bell: Any = make_bell()
    descriptor = bell._descriptor
    assert not os.get_inheritable(descriptor)
    del bell
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
