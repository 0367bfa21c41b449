"""A coroutine in the reactor's thread, whichever reactor runs: as a Deferred, or as a task of asyncio's loop.

A task is what asyncio's own parts ask for (timeouts, the current task), and a Deferred is what it waits for as well.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import cast

from twisted.internet.defer import Deferred


def run(
    coroutine: Coroutine[object, object, None], context: Context, done: Callable[[BaseException | None], object]
) -> Callable[[], object]:
    """Run `coroutine` in a copy of `context`, then call `done` with what it raised; return what cancels it.

    It may be over when this returns. Called in the reactor's thread.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        # Without a loop of asyncio it can wait for Deferreds alone.
        waits = cast("Coroutine[Deferred[object], object, None]", coroutine)
        deferred: Deferred[None] = context.run(Deferred.fromCoroutine, waits)
        deferred.addCallbacks(lambda _: done(None), lambda failure: done(failure.value))
        return deferred.cancel
    task = context.run(loop.create_task, _mixed(coroutine, loop))
    task.add_done_callback(lambda task: done(asyncio.CancelledError() if task.cancelled() else task.exception()))
    return task.cancel


async def _mixed(coroutine: Coroutine[object, object, None], loop: asyncio.AbstractEventLoop) -> None:
    """Run `coroutine` as a part of a task of `loop`, and have it wait for Deferreds, too."""
    await _steps(coroutine, loop)


@types.coroutine
def _steps(
    coroutine: Coroutine[object, object, None], loop: asyncio.AbstractEventLoop
) -> Generator[object, object, None]:
    value: object = None
    error: BaseException | None = None
    while True:
        try:
            waited = coroutine.send(value) if error is None else coroutine.throw(error)
        except StopIteration:
            return
        value = error = None
        try:
            if isinstance(waited, Deferred):
                yield from _fired(waited, loop).__await__()
            else:
                value = yield waited
        except BaseException as raised:
            error = raised
            if isinstance(waited, Deferred) and not waited.called:
                # What its canceller raises instead is of no use: the task is cancelled.
                waited.addErrback(lambda _: None)
                waited.cancel()


def _fired(deferred: Deferred[object], loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
    """Return a future that is done once `deferred` has fired, whose result stays as it is."""
    future: asyncio.Future[None] = loop.create_future()

    def fired(result: object) -> object:
        if not future.done():
            future.set_result(None)
        return result

    deferred.addBoth(fired)
    return future
