"""A body whose blocks are made in the reactor's thread: what an application returns to have its own thread free.

What lives here: the value, and the way back for whoever iterates it after all, as middleware does. What may not: how it
is run, which is a room above (`_targets.streams`).
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterable, Callable, Iterator
from contextvars import Context, copy_context
from inspect import isasyncgenfunction
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakSet

from twisted_wsgiref._threads.once import Once, claim

if TYPE_CHECKING:
    from twisted.internet.interfaces import IConsumer


class Host(Protocol):
    """Who has bodies run for the requests of a service. Called in a worker's thread."""

    def lend(self, body: AsyncBody, thread: threading.Thread) -> Iterator[bytes] | None:
        """Return the blocks of `body` for the request that `thread` runs; None if it runs none of this service's."""


class BodyProducer(Protocol):
    """What has the blocks of a body written: all that is asked of an `IBodyProducer`."""

    def startProducing(self, consumer: IConsumer, /) -> object:
        """Write to `consumer`; return a Deferred that fires at the end."""


#: The services of this process.
hosts: Final[WeakSet[Host]] = WeakSet()


class AsyncBody:
    """The body of an answer, made in the reactor's thread. An application returns it, and its thread is free at once.

    `source`: an asynchronous iterable of `bytes`; or a callable that is called with an `IConsumer`, and has a producer
    write to it; or an object with ``startProducing``, as `IBodyProducer` describes it. The coroutines may wait for
    Deferreds, and with an asyncio reactor for all that asyncio has. They run in the context of whoever makes this. No
    default.

    The head of the answer leaves with the first block, also an empty one. Whatever `source` raises is logged; the
    client gets 500, or loses its connection if the head is out. If the client leaves, what `source` waits for is
    cancelled, and its ``aclose`` or ``stopProducing`` called.

    Iterated by middleware it gives the same blocks, and holds the thread.

    Raises `TypeError` if `source` is neither. May be made in any thread.
    """

    __module__ = "twisted_wsgiref"

    def __init__(self, source: AsyncIterable[bytes] | Callable[[IConsumer], object] | BodyProducer) -> None:
        if isasyncgenfunction(source):
            raise TypeError(f"AsyncBody got the function {source.__name__}: call it, and give what it returns")
        if not (hasattr(source, "__aiter__") or hasattr(source, "startProducing") or callable(source)):
            raise TypeError(
                f"AsyncBody got {source!r:.100}: it has to be an asynchronous iterable of bytes, or a callable that "
                "takes a consumer"
            )
        self.source = source
        self.context: Context = copy_context()
        self._unused: Once = [None]
        self._blocks: Iterator[bytes] | None = None
        self._rest = b""

    def take(self) -> None:
        """Have `source` run by whoever calls this. Raises `RuntimeError` if that was done before."""
        if not claim(self._unused):
            raise RuntimeError("the AsyncBody is used up: each answer needs one of its own")

    # ---- For whoever iterates it, in a worker's thread ---------------------------------------------------------

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Return the next block, once it is made. Raises `ClientGone` if the client leaves, and what `source` does."""
        if self._blocks is None:
            self.take()
            self._blocks = self._borrow()
        return next(self._blocks)

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most `size` of them if that is positive; none at the end.

        So a response for files can have it: Django's ``FileResponse``, ``wsgi.file_wrapper``.
        """
        while not self._rest:
            block = next(self, None)
            if block is None:
                return b""
            self._rest = block
        size = size if size > 0 else len(self._rest)
        block, self._rest = self._rest[:size], self._rest[size:]
        return block

    def close(self) -> None:
        """Make nothing more for whoever iterates it."""
        claim(self._unused)
        close = getattr(self._blocks, "close", None)
        if close is not None:
            close()

    def _borrow(self) -> Iterator[bytes]:
        thread = threading.current_thread()
        for host in list(hosts):
            blocks = host.lend(self, thread)
            if blocks is not None:
                return blocks
        raise RuntimeError(
            "an AsyncBody was iterated where no request of twisted_wsgiref runs: return it from an application that "
            "twisted_wsgiref serves, or iterate it in the thread of the request"
        )
