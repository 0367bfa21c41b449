"""``wsgi.input`` of a request whose body is still arriving: the reactor puts, the application reads as it comes.

One of the rooms with a lock; it guards a list, never a wait for the network.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from io import RawIOBase
from threading import Condition, get_ident
from typing import TYPE_CHECKING, final

from .client_gone import ClientGone

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


@final
class InputPipe(RawIOBase):
    """The raw end of a bounded pipe; `io.BufferedReader` makes lines and sizes of it.

    `room` is called, in the reading thread, when the reactor was told to pause and may go on.
    """

    def __init__(self, capacity: int, room: Callable[[InputPipe], None]) -> None:
        super().__init__()
        self._capacity = capacity
        self._room = room
        #: Called in the reading thread before it waits for the first time: for 100 (Continue).
        self.before_wait: Callable[[], None] | None = None
        self._blocks: deque[memoryview] = deque()
        self._held = 0
        self._lost = False
        self._changed = Condition()
        self._reactor = get_ident()  # pipes are made there
        #: How long the body is: nobody knows before its end.
        self.size: int | None = None
        #: The bytes that came so far. Any thread may ask.
        self.received = 0
        #: No more should be put now.
        self.full = False
        #: All of the body has come.
        self.complete = False

    # ---- In the reactor's thread -------------------------------------------------------------------------------

    def put(self, data: bytes) -> None:
        """Add `data`. Once ``full``, no more should come before `room` is called."""
        with self._changed:
            self._blocks.append(memoryview(data))
            self._held += len(data)
            self.received += len(data)
            if self._held >= self._capacity:
                # Only `readinto` takes it back: TLS may still bring bytes after the pause.
                self.full = True
            self._changed.notify()

    def finish(self) -> None:
        """Say that the body is complete."""
        with self._changed:
            self.complete = True
            self._changed.notify_all()

    def lose(self) -> None:
        """Have every further read raise `ClientGone`: the rest will never come."""
        with self._changed:
            self._lost = True
            self._changed.notify_all()

    # ---- In a worker's thread ----------------------------------------------------------------------------------

    def readable(self) -> bool:
        """Return True: this is the end to read from."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill `buffer` with what is there, waiting for the first byte; 0 at the body's end. Raises `ClientGone`."""
        # Not while the lock is held: the buffer may be an object of somebody else's.
        view = memoryview(buffer).cast("B")
        before_wait = self.before_wait
        if before_wait is not None and not self._blocks and not self.complete:
            # Not while the lock is held: the reactor needs it to put what has come, and only the reactor makes room for
            # what is sent.
            self.before_wait = None
            before_wait()
        with self._changed:
            while not self._blocks:
                if self._lost:
                    raise ClientGone
                if self.complete:
                    return 0
                if get_ident() == self._reactor:
                    raise RuntimeError(
                        "wsgi.input was read in the reactor's thread, which would wait for itself: read it in the "
                        "thread of the request"
                    )
                self._changed.wait()
            block = self._blocks.popleft()
            taken = min(len(view), len(block))
            view[:taken] = block[:taken]
            if taken < len(block):
                self._blocks.appendleft(block[taken:])
            self._held -= taken
            resume = self.full and self._held <= self._capacity // 2
            if resume:
                self.full = False
        if resume:
            self._room(self)
        return taken

    # ---- In the child of a fork --------------------------------------------------------------------------------

    def forget(self) -> None:
        """Be lost. The lock may have been held by a thread that is not here, so another takes its place."""
        self._changed = Condition()
        self.lose()
