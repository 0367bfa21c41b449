"""What a worker waits for: a signal of its own, which another thread gives.

A lock would do. But who releases a lock goes on, and holds the interpreter: a worker that the kernel prefers wakes,
finds it taken, and sleeps again, which is four thread switches for one. A write to a descriptor gives the interpreter
up while the kernel wakes the other.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable
from typing import Final, Protocol
from weakref import WeakSet

# One signal, as an event descriptor counts it.
_ONE: Final = (1).to_bytes(8, sys.byteorder)
# The longest that is waited at a time, in seconds: `poll` counts milliseconds in 31 bits. Nobody minds to be done then.
_LONGEST: Final = 1e6


class WakeSignal(Protocol):
    """As a `threading.Lock` that is held: one waits for it, another releases it, once for each wait."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Wait until it is given, for `timeout` seconds at most, -1: without an end. Return whether it was."""

    def release(self) -> None:
        """Give it. Called in any thread."""


class _EventSignal:
    """A signal by an event descriptor, closed with the last reference: whoever can give it writes to no other file."""

    __slots__ = ("__weakref__", "_descriptor")

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC)
        _signals.add(self)

    def renew(self) -> None:
        """Be the signal of this process alone. Called in the child of a fork: else it would take its parent's."""
        os.close(self._descriptor)
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if timeout >= 0:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            if not poll.poll(min(timeout, _LONGEST) * 1000):
                return False
        # Not `os.eventfd_read`: that is not tried again where a signal interrupts it.
        os.read(self._descriptor, len(_ONE))
        return True

    def release(self) -> None:
        os.write(self._descriptor, _ONE)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        descriptor = getattr(self, "_descriptor", None)
        if descriptor is not None:
            close(descriptor)


# An application may fork, and a child that does not end goes on in its worker's thread.
_signals: Final[WeakSet[_EventSignal]] = WeakSet()


def _renew_all() -> None:
    for signal in list(_signals):
        signal.renew()


if hasattr(os, "eventfd"):
    os.register_at_fork(after_in_child=_renew_all)


def make_wake_signal() -> WakeSignal:
    """Return a signal; a lock where there are no event descriptors, or none is to be had now."""
    if hasattr(os, "eventfd"):
        try:
            return _EventSignal()
        except OSError:
            pass
    lock = threading.Lock()
    lock.acquire()
    return lock
