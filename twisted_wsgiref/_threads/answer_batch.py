"""Answers that leave together, while more requests wait than there are threads, and `schedule` says so.

A client that sleeps is woken by the answer it gets: the kernel calls another processor, which costs the sender as much
as all else that it does for an answer. Of several answers in a row only the first does. And each `send` offers the
interpreter to another thread. While requests wait for a thread anyway, and their sockets are not read (`poller`), the
answers that are ready wait for each other: not for more than a few, and not for longer than that hold lasts. So do
those that the reactor's thread makes while it reads one socket after another, until that turn is over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from .marks import NO_GIL, fence

# So many leave together: from 8 on the gain is the same, and a client should have begun to read before all are made.
_MOST: Final = 16


class Kept(Protocol):
    """What has ended, but for its answer, which is kept."""

    def depart(self) -> None:
        """Send the answer, and give the connection back. Called in any thread, once."""


class AnswerBatch:
    """The answers of a service that are ready, and wait for others while ``held``.

    No lock guards this (`marks`): a worker first adds its answer and then looks whether all are still held, and whoever
    ends the hold says so first and then looks for answers. `failed` is told of what sending one raised, which it should
    not.
    """

    __slots__ = ("_failed", "_waiting", "held")

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        #: Whether answers wait for each other. Set in the reactor's thread, to False by `release`; read in any.
        self.held = False
        self._waiting: deque[Kept] = deque()

    def release(self) -> None:
        """Have all leave that is ready; from now on each leaves at once. Called in the reactor's thread."""
        self.held = False
        if NO_GIL:
            fence()
        self.leave()

    # ---- In any thread -----------------------------------------------------------------------------------------

    def add(self, answer: Kept) -> None:
        """Have `answer` leave with others, or at once. Called in the thread that has made it."""
        self._waiting.append(answer)
        if NO_GIL:
            fence()
        if not self.held or len(self._waiting) >= _MOST:
            self.leave()

    def leave(self) -> None:
        """Send all answers that are ready."""
        while self._waiting:
            try:
                answer = self._waiting.popleft()
            except IndexError:
                return  # another thread was faster
            try:
                answer.depart()
            except BaseException as error:  # in a thread that has other work to do
                self._failed(error)
