"""An application on a port while a test runs: started at once, ended at once, also with clients that are idle.

What lives here: where the reactor comes from, and how the end is hurried. Each function says which thread calls.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Final, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.python.threadable import isInIOThread

from twisted_wsgiref._connection.protocol import WSGIProtocol
from twisted_wsgiref._connection.transports import close
from twisted_wsgiref._twisted.private import loop_of
from twisted_wsgiref._twisted.reactor import Reactor, repeating, the_reactor
from twisted_wsgiref.service import WSGIService
from twisted_wsgiref.settings import Settings

from .lone_reactor import LoneReactor, call_in

if TYPE_CHECKING:
    from twisted.internet.address import IPv4Address, IPv6Address
    from twisted.internet.interfaces import IListeningPort
    from twisted.python.failure import Failure

    from twisted_wsgiref.types import WSGIApplication

_T = TypeVar("_T")

# What a test leaves in flight at its end nobody waits for: a client that is still connected gets this long, in seconds.
GRACE: Final = 1.0
_OF_SERVICE: Final[tuple[str, ...]] = ("mounts", "handler_class", "observers", "name")
# While the end is under way, idle connections are closed so often, in seconds.
_HURRY: Final = 0.002


def parted(given: dict[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """Return of the keywords `given` to a test's server what is its service's, and what are settings."""
    of_service = {name: given[name] for name in _OF_SERVICE if name in given}
    return of_service, {name: value for name, value in given.items() if name not in of_service}


class Running:
    """A service on one port of `host`, in the thread of `reactor`, where all of this is called."""

    def __init__(
        self, application: WSGIApplication, host: str, port: int, given: dict[str, object], reactor: Reactor
    ) -> None:
        service, settings = parted(given)
        # An object and no text, for which Twisted would look for plugins: that takes time, and may install a reactor.
        kind = TCP6ServerEndpoint if ":" in host else TCP4ServerEndpoint
        endpoint = kind(reactor, port, interface=host)
        self._host = host
        self._reactor = reactor
        # They judge what a test gives.
        made: Callable[..., WSGIService] = WSGIService
        judged: Callable[..., Settings] = Settings
        words = {"grace": GRACE, **settings}
        self._service = made(application, endpoint, judged(**words), reactor=reactor, **service)

    def start(self) -> Deferred[str]:
        """Listen; fires with the URL, without a slash at its end, or fails with `ListenError`."""
        self._service.startService()
        return self._service.whenListening.addCallbacks(self._url, self._fail)

    def _url(self, ports: list[IListeningPort]) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{cast('IPv4Address | IPv6Address', ports[0].getHost()).port}"

    def _fail(self, failure: Failure) -> Deferred[str]:
        return self.stop().addCallback(lambda _: failure)

    def stop(self) -> Deferred[None]:
        """Answer what is in flight, for the grace at most, and close everything; fires when that is done."""
        hurry = repeating(self._close_idle, self._reactor)
        stopped = self._service.stopService()
        hurry.start(_HURRY)

        def over(result: _T) -> _T:
            hurry.stop()
            return result

        return stopped.addBoth(over)

    def _close_idle(self) -> None:
        # A stop waits for requests that are on their way; at the end of a test there are none.
        for connection in list(self._service._factory.connections):
            if isinstance(connection, WSGIProtocol) and not connection.is_unanswered:
                close(connection.transport)


@contextmanager
def running(
    application: WSGIApplication,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    reactor: Reactor | None = None,
    **given: object,
) -> Iterator[str]:
    """Serve within the block, as `twisted_wsgiref.testing.serve` says. Called in any thread but the reactor's."""
    lone = None
    if reactor is None:
        reactor = _reactor_elsewhere()
    elif not reactor.running:
        raise RuntimeError("the reactor that serve() was given does not run: without one it runs one of its own")
    elif reactor is sys.modules.get("twisted.internet.reactor") and isInIOThread():
        raise RuntimeError(
            "serve() would wait for the reactor in the reactor's own thread, for ever: use serving() in a coroutine, "
            "or give it no reactor"
        )
    if reactor is None:
        lone = LoneReactor()
        reactor = lone.reactor
    its: Reactor = reactor
    process = os.getpid()
    try:
        made: list[Running] = []

        def start() -> Deferred[str]:
            made.append(Running(application, host, port, given, its))
            return made[0].start()

        url = call_in(its, start)
        try:
            yield url
        finally:
            if os.getpid() == process:  # else this is the child of a fork, in which nobody runs the reactor
                call_in(its, made[0].stop)
    finally:
        if lone is not None and os.getpid() == process:
            lone.end()


def _reactor_elsewhere() -> Reactor | None:
    """Return the process's reactor if another thread runs it, as crochet's does; the caller's own would never turn."""
    found = sys.modules.get("twisted.internet.reactor")
    reactor = cast("Reactor | None", found)
    return None if reactor is None or not reactor.running or isInIOThread() else reactor


class Serving:
    """A server that a coroutine starts and stops: ``async with`` gives the URL, ``await`` the server, with ``url``.

    On the reactor that runs the coroutine; one of asyncio alone, without Twisted's reactor on its loop, is served by a
    reactor in a thread of its own. Called in the thread of the coroutine.
    """

    url: str = ""

    def __init__(self, application: WSGIApplication, host: str, port: int, given: dict[str, object]) -> None:
        self._told = (application, host, port, given)
        self._here: Running | None = None
        self._elsewhere: AbstractContextManager[str] | None = None

    def __await__(self) -> Generator[object, None, Serving]:
        return self._start().__await__()

    async def _start(self) -> Serving:
        loop = _loop_of_task()
        if loop is None or _serves(loop):
            self._here = Running(*self._told, the_reactor())
            self.url = await _result_of(self._here.start(), loop)
        else:
            application, host, port, given = self._told
            begun: Callable[..., AbstractContextManager[str]] = running
            self._elsewhere = begun(application, host=host, port=port, **given)
            self.url = await asyncio.to_thread(self._elsewhere.__enter__)
        return self

    async def stop(self) -> None:
        """Stop it; a second time does nothing."""
        here, self._here = self._here, None
        elsewhere, self._elsewhere = self._elsewhere, None
        if here is not None:
            await _result_of(here.stop(), _loop_of_task())
        elif elsewhere is not None:
            await asyncio.to_thread(elsewhere.__exit__, None, None, None)

    async def __aenter__(self) -> str:
        return (await self._start()).url

    async def __aexit__(self, *raised: object) -> None:
        await self.stop()


def _loop_of_task() -> asyncio.AbstractEventLoop | None:
    """Return the loop of the task of asyncio that calls; None in a coroutine of Twisted's, on whatever reactor."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs
        return None
    return None if task is None else task.get_loop()


def _serves(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether the process's reactor is one on `loop`. None is installed by the question."""
    return loop_of(sys.modules.get("twisted.internet.reactor")) is loop


async def _result_of(deferred: Deferred[_T], loop: asyncio.AbstractEventLoop | None) -> _T:
    return await (deferred if loop is None else deferred.asFuture(loop))
