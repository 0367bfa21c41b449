"""What a worker waits for: a bell of its own, which another thread rings.

A lock would do. But who releases a lock goes on, and holds the interpreter: a worker that the kernel prefers wakes,
finds it taken, and sleeps again, which is four thread switches for one. A write to a descriptor gives the interpreter
up while the kernel wakes the other.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from typing import Protocol


class Bell(Protocol):
    """As a `threading.Lock` that is held: one waits for it, another releases it, once for each wait."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Wait until it is rung, for `timeout` seconds at most, -1: without an end. Return whether it was."""

    def release(self) -> None:
        """Ring it. Called in any thread."""


class _EventBell:
    """A bell over an event descriptor, which is closed with the last reference: who can ring it rings no other file."""

    __slots__ = ("_descriptor",)

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if timeout >= 0:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            if not poll.poll(timeout * 1000):
                return False
        os.eventfd_read(self._descriptor)
        return True

    def release(self) -> None:
        os.eventfd_write(self._descriptor, 1)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        descriptor = getattr(self, "_descriptor", None)
        if descriptor is not None:
            close(descriptor)


def make_bell() -> Bell:
    """Return a bell; a lock where there are no event descriptors, or none is to be had now."""
    if hasattr(os, "eventfd"):
        try:
            return _EventBell()
        except OSError:
            pass
    lock = threading.Lock()
    lock.acquire()
    return lock
