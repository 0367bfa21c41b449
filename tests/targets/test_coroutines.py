"""Does a coroutine run whichever reactor there is, and wait for Deferreds and for asyncio alike?"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar, copy_context
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from twisted_wsgiref._targets.coroutines import run

colour: ContextVar[str] = ContextVar("colour", default="none")


def test_without_asyncio_it_waits_for_deferreds_in_the_context_of_its_maker() -> None:
    seen: list[Any] = []
    first: Deferred[str] = Deferred()

    async def work() -> None:
        seen.append(await first)
        seen.append(colour.get())

    token = colour.set("red")
    context = copy_context()
    colour.reset(token)
    run(work(), context, seen.append)
    assert seen == []
    first.callback("fired")
    assert seen == ["fired", "red", None]


def test_in_a_task_of_asyncio_it_waits_for_both() -> None:
    seen: list[Any] = []

    async def work() -> None:
        seen.append(await succeed("at once"))
        later: Deferred[str] = Deferred()
        asyncio.get_running_loop().call_soon(later.callback, "later")
        seen.append(await later)
        await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.sleep(0), 5)  # which needs a task
        seen.append(colour.get())
        try:
            await fail(ZeroDivisionError())
        except ZeroDivisionError:
            seen.append("raised")
        raise LookupError

    async def main() -> None:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        token = colour.set("red")
        context = copy_context()
        colour.reset(token)
        run(work(), context, done.set_result)
        error = await asyncio.wait_for(done, 10)
        assert isinstance(error, LookupError)

    asyncio.run(main())
    assert seen == ["at once", "later", "red", "raised"]


def test_cancelled_in_a_task_the_deferred_is_cancelled_too() -> None:
    cancelled: list[Any] = []
    never: Deferred[None] = Deferred(cancelled.append)

    async def work() -> None:
        await never

    async def main() -> None:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        cancel = run(work(), copy_context(), done.set_result)
        await asyncio.sleep(0)
        cancel()
        assert isinstance(await asyncio.wait_for(done, 10), asyncio.CancelledError)

    asyncio.run(main())
    assert cancelled == [never]
