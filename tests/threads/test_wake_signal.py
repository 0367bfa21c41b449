"""Does a signal wake whoever waits for it, once for each time that it is released, whatever it is made of?"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import PATIENCE
from twisted_wsgiref._threads.wake_signal import WakeSignal, make_wake_signal

has_descriptors = pytest.mark.skipif(not hasattr(os, "eventfd"), reason="there are no event descriptors here")


def refuse(*_: object) -> int:
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.fixture(params=[pytest.param("descriptor", marks=has_descriptors), "lock", "exhausted"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], WakeSignal]:
    """Give a maker of signals: with and without descriptors, and where none is left."""
    if request.param == "lock":
        monkeypatch.delattr(os, "eventfd", raising=False)
    elif request.param == "exhausted":
        monkeypatch.setattr(os, "eventfd", refuse, raising=False)
    return make_wake_signal


def test_it_is_heard_before_and_while_one_waits(make: Callable[[], WakeSignal]) -> None:
    wake = make()
    wake.release()
    assert wake.acquire(True, PATIENCE)
    thread = threading.Thread(target=wake.release)
    thread.start()
    assert wake.acquire()
    thread.join()


def test_each_release_wakes_once(make: Callable[[], WakeSignal]) -> None:
    wake = make()
    for _ in range(3):
        wake.release()
        assert wake.acquire(True, 0)
        assert not wake.acquire(True, 0)


def test_nobody_waits_for_longer_than_was_said(make: Callable[[], WakeSignal]) -> None:
    wake = make()
    begin = time.monotonic()
    assert not wake.acquire(True, 0.01)
    assert time.monotonic() - begin >= 0.009


def test_a_very_long_wait_is_one_too(make: Callable[[], WakeSignal]) -> None:
    wake = make()
    wake.release()
    assert wake.acquire(True, 3e6)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="there are no such signals here")
@pytest.mark.parametrize("timeout", [-1.0, PATIENCE])
def test_a_signal_does_not_end_a_wait(make: Callable[[], WakeSignal], timeout: float) -> None:
    wake = make()
    heard: list[bool] = []
    handled: list[int] = []
    previous = signal.signal(signal.SIGUSR1, lambda number, frame: handled.append(number))
    try:
        thread = threading.Thread(target=lambda: heard.append(wake.acquire(True, timeout)))
        thread.start()
        for _ in range(20):
            signal.pthread_kill(thread.ident or 0, signal.SIGUSR1)
            time.sleep(0.001)  # that it waits by then makes no difference to the outcome
        assert thread.is_alive()
        assert handled
        wake.release()
        thread.join(PATIENCE)
        assert heard == [True]
    finally:
        signal.signal(signal.SIGUSR1, previous)


_FORKS = """
import os
from twisted_wsgiref._threads.wake_signal import make_wake_signal
wake = make_wake_signal()
mine, theirs = os.pipe()
child = os.fork()
if not child:
    os.read(mine, 1)
    heard = wake.acquire(True, 0)
    wake.release()
    os._exit(heard or not wake.acquire(True, 0))
wake.release()
os.write(theirs, b"x")
assert os.waitpid(child, 0)[1] == 0
assert wake.acquire(True, 0)
assert not wake.acquire(True, 0)
"""


@has_descriptors
def test_a_signal_of_a_child_wakes_the_child_alone() -> None:
    done = subprocess.run([sys.executable, "-c", _FORKS], timeout=PATIENCE, check=False)
    assert done.returncode == 0


@has_descriptors
def test_its_descriptor_is_closed_with_the_last_reference() -> None:
    wake: Any = make_wake_signal()
    descriptor = wake._descriptor
    assert not os.get_inheritable(descriptor)
    del wake
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
