"""Whoever waits for room in an answer queue: threads, which sleep, and others, which are called."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Room:
    """Who waits for room, until it is opened. Called with the queue's lock held, but for what says otherwise."""

    __slots__ = ("_calls", "_threads")

    def __init__(self) -> None:
        self._threads: list[threading.Lock] = []
        self._calls: list[Callable[[], None]] = []

    def make_wait(self) -> Callable[[], object]:
        """Return what a thread is to call, with the lock free: it comes back once there is room."""
        lock = threading.Lock()
        lock.acquire()
        self._threads.append(lock)
        return lock.acquire

    def add(self, call: Callable[[], None]) -> None:
        """Have `call` called once there is room."""
        self._calls.append(call)

    def open(self) -> list[Callable[[], None]]:
        """Have all threads go on; return what is to be called, with the lock free, by the reactor's thread."""
        for lock in self._threads:
            lock.release()
        return self._calls
