"""Blocks drawn from what an application gave: an asynchronous iterable, or a producer that writes to a consumer.

What lives here: who is asked for the next block, and when, and how it is told to stop. What may not: where blocks go.
Called in the reactor's thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable
from functools import partial
from inspect import iscoroutine
from typing import TYPE_CHECKING, Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProducer
    from twisted.web.iweb import IBodyProducer


class Sink(Protocol):
    """Where blocks go. `ReactorAnswer` is one, and says what each does."""

    def block(self, data: bytes) -> bool:
        """Take a block; return False if there is no room for more now. Raises what nobody can go on after."""

    def when_room(self, call: Callable[[], None]) -> None:
        """Have `call` called once there is room; at once, if there is."""


async def draw(
    source: object, sink: Sink, again: Callable[[Callable[[], None]], object], *, unless: Callable[[], bool]
) -> None:
    """Put all blocks of `source` into `sink`, which is an `AsyncBody`'s; then close it, whatever happens.

    `again` has a function called in a later turn of the reactor. Once `unless` returns True no more are asked for.
    """
    if hasattr(source, "__aiter__"):
        await _iterate(cast("AsyncIterable[object]", source), sink, unless)
    elif not unless():
        await _produce(source, _Consumer(sink, again))


async def _iterate(source: AsyncIterable[object], sink: Sink, unless: Callable[[], bool]) -> None:
    blocks = source.__aiter__()
    try:
        while not unless():
            try:
                block = await blocks.__anext__()
            except StopAsyncIteration:
                return
            if not sink.block(_checked(block)):
                room: Deferred[None] = Deferred()
                sink.when_room(partial(_fire, room))
                await room
    finally:
        close = getattr(blocks, "aclose", None)
        if close is not None:
            await close()


def _fire(room: Deferred[None]) -> None:
    if not room.called:
        room.callback(None)


async def _produce(source: object, consumer: _Consumer) -> None:
    result: object
    try:
        if hasattr(source, "startProducing"):
            producer = cast("IBodyProducer", source)
            consumer.registerProducer(producer, True)
            result = producer.startProducing(consumer)
        else:
            result = cast("Callable[[_Consumer], object]", source)(consumer)
        if iscoroutine(result):
            await result
        else:
            if isinstance(result, Deferred):
                result.addCallbacks(lambda _: consumer.finish(), lambda failure: consumer.fail(failure.value))
            await consumer.done
        consumer.check()
    finally:
        consumer.stop()


def _checked(block: object) -> bytes:
    if type(block) is not bytes:
        raise TypeError(f"the AsyncBody gave a block of type {type(block).__name__}: it has to be bytes")
    return block


@implementer(IConsumer)
class _Consumer:
    """Whom a producer writes to; ``done`` fires when it is through, or can not go on."""

    def __init__(self, sink: Sink, again: Callable[[Callable[[], None]], object]) -> None:
        self.done: Deferred[None] = Deferred()
        self._sink = sink
        self._again = again
        self._producer: IPushProducer | None = None  # a pull producer is never told to pause
        self._streaming = False
        self._full = False
        self._over = False
        self._error: BaseException | None = None

    # ---- Called by the producer --------------------------------------------------------------------------------

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Have `producer` paused and resumed, or without `streaming` asked for each block."""
        if self._producer is not None:
            raise RuntimeError(f"a producer is registered already: {self._producer!r:.100}")
        if self._over:
            producer.stopProducing()
            return
        self._producer = cast(IPushProducer, producer)
        self._streaming = streaming
        if not streaming:
            self._pull()

    def unregisterProducer(self) -> None:
        """Learn that the producer is through: this is the end of the body."""
        self._producer = None
        self.finish()

    def write(self, data: bytes) -> None:
        """Send `data`. What can not be sent ends the body, and the producer is told to stop."""
        if self._over:
            return
        try:
            has_room = self._sink.block(_checked(data))
        except BaseException as error:
            self.fail(error)
            return
        if not has_room and not self._full:
            self._full = True
            if self._producer is not None and self._streaming:
                self._producer.pauseProducing()
            self._sink.when_room(self._resume)

    # ---- For ourselves -----------------------------------------------------------------------------------------

    def _resume(self) -> None:
        self._full = False
        if self._producer is not None and not self._over:
            if self._streaming:
                self._producer.resumeProducing()
            else:
                self._pull()

    def _pull(self) -> None:
        if self._producer is None or self._over or self._full:
            return
        try:
            self._producer.resumeProducing()
        except Exception as error:
            self.fail(error)
        if not self._full:
            self._again(self._pull)  # others have their turn

    def finish(self) -> None:
        """Say that the body is whole."""
        if not self.done.called:
            self.done.callback(None)

    def fail(self, error: BaseException) -> None:
        """Say why it can not become whole."""
        self._error = self._error or error
        self.stop()
        self.finish()

    def check(self) -> None:
        """Raise what has ended the body."""
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Take nothing more, and tell the producer to stop, if it goes on."""
        self._over = True
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
