"""An application in a tree of `twisted.web`: a resource, as Twisted's own `WSGIResource`, with our handler and workers.

For a program that has a `twisted.web.server.Site` already. A program that starts from the application has more of the
server's promises with `WSGIService`, which speaks HTTP itself: docs/resource.md says which. All is called in the
reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, cast, overload
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from ._connection.factory import SWEEP
from ._connection.web_request import WebRequest
from ._threads.borrowed_pool import BorrowedPool, Threads
from ._threads.pool import Pool
from .service import WSGIService

if TYPE_CHECKING:
    from typing import TypedDict

    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from typing_extensions import Unpack

    from ._gateway.handler import WSGIHandler
    from ._observe.record import FactsObserver, Record
    from ._threads.schedule import Schedule
    from .settings import Settings
    from .types import WSGIApplication

    class _Options(TypedDict, total=False):
        """What both ways to make a resource take, by name; the defaults are those of `WSGIService`."""

        settings: Settings | None
        handler_class: type[WSGIHandler]
        observers: Sequence[Callable[[Record], object] | FactsObserver]
        name: str | None
        multiprocess: bool
        clock: Callable[[], float]


# How often a stop looks whether the last answers have left, in seconds.
_TURN: Final = 0.02


class _Request(Protocol):
    """A request of `twisted.web` on its way through a tree."""

    prepath: list[bytes]
    postpath: list[bytes]


@implementer(IResource)
class WSGIResource:
    """A resource whose requests, and all below it that no child takes, are answered by `application`.

    ``WSGIResource(application)``, or with the arguments of Twisted's own: ``WSGIResource(reactor, threadpool,
    application)``.

    `application`: a callable as PEP 3333 describes it. No default.

    `settings`: a `Settings`. None, the default: ``Settings()``. What of it holds here is in docs/resource.md.

    `reactor`: provides what Twisted's own do. None, the default: the process's reactor, imported now.

    `threadpool`: a `twisted.python.threadpool.ThreadPool` in whose threads the application is called. It is not started
    and not stopped here, and ``threads``, ``threads_max`` and ``threads_idle`` of the settings are not used. None, the
    default: threads of its own, which start with the first request.

    `handler_class`, `observers`, `name`, `multiprocess`, `clock`: as for `WSGIService`.

    Raises as `WSGIService`, and `TypeError` for other numbers of positional arguments than one or three.

    The threads end when the reactor stops, or with `stop`; none is joined. Requests in flight are answered before, for
    at most the settings' ``grace``.
    """

    __module__ = "twisted_wsgiref.resource"

    @overload
    def __init__(
        self,
        application: WSGIApplication,
        *,
        reactor: object = None,
        threadpool: Threads | None = None,
        **given: Unpack[_Options],
    ) -> None: ...

    @overload
    def __init__(
        self, reactor: object, threadpool: Threads, application: WSGIApplication, **given: Unpack[_Options]
    ) -> None: ...

    def __init__(self, *arguments: object, **given: object) -> None:
        if len(arguments) == 3:
            given["reactor"], given["threadpool"], given["application"] = arguments
        elif len(arguments) == 1:
            (given["application"],) = arguments
        elif arguments or "application" not in given:
            raise TypeError(
                f"WSGIResource got {len(arguments)} arguments without names: it takes an application, or a reactor, a "
                "threadpool and an application"
            )
        application = cast("WSGIApplication", given.pop("application"))
        threadpool = cast("Threads | None", given.pop("threadpool", None))
        settings = cast("Settings | None", given.pop("settings", None))
        #: Whether no child was put: then all below is the application's.
        self.isLeaf = True
        self._children: dict[bytes, object] = {}
        self._rest = _Rest(self)
        self._channels: WeakKeyDictionary[object, WebRequest] = WeakKeyDictionary()
        self._service = _Unheard(application, settings, threadpool, given)
        self._server = self._service.settings.server_header.encode("latin-1")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._service!r}>"

    # ---- IResource ---------------------------------------------------------------------------------------------

    def render(self, request: object) -> int:
        """Have the application answer `request`. Returns `NOT_DONE_YET`."""
        service = self._service
        service.begin()
        channel = getattr(request, "channel", None)
        # In HTTP/1 a channel has one request at a time; in HTTP/2 each has a channel, which has no transport.
        again = getattr(channel, "transport", None) is not None
        known = self._channels.get(channel) if again else None
        if known is None or not known.is_free:
            known = WebRequest(service.factory, self._server, service.request_over)
            if again:
                self._channels[channel] = known
        known.begin(request)
        return NOT_DONE_YET

    def putChild(self, path: bytes, child: object) -> None:
        """Have `child` take all below the segment `path`, which is decoded; an empty one is for a slash at the end.

        Raises `TypeError` if `path` is not `bytes`, and `ValueError` if it has a slash.
        """
        if not isinstance(path, bytes):
            raise TypeError(f"the path of a child is {path!r}: it has to be bytes")
        if b"/" in path:
            raise ValueError(f"the path of a child is {path!r}: it has to be one segment, without a slash")
        self._children[path] = child
        self.isLeaf = False

    def getChildWithDefault(self, path: bytes, request: _Request) -> object:
        """Return the child for `path`, or the application, to which the segment then belongs."""
        child = self._children.get(path)
        if child is not None:
            return child
        request.prepath.pop()
        request.postpath.insert(0, path)
        return self._rest

    # ---- The end -----------------------------------------------------------------------------------------------

    def stop(self) -> Deferred[None]:
        """Answer what is in flight, and let the threads end; fires at the latest after the grace.

        The reactor's stop does it by itself. Tests, and a program that takes the resource away, call it. A request that
        comes later starts the threads again.
        """
        return self._service.end()


@implementer(IResource)
class _Rest:
    """What a resource with children is to the paths that none of them takes."""

    isLeaf = True

    def __init__(self, resource: WSGIResource) -> None:
        self.render = resource.render

    def getChildWithDefault(self, path: bytes, request: object) -> object:
        """Return this: all below is the application's."""
        return self

    def putChild(self, path: bytes, child: object) -> None:
        """Raise `TypeError`: children are put to the resource itself."""
        raise TypeError("put the child to the WSGIResource itself")


class _Unheard(WSGIService):
    """The threads and the rules of a resource: a service that listens nowhere, and runs while requests come.

    Between requests it has nothing left with the reactor.
    """

    def __init__(
        self,
        application: WSGIApplication,
        settings: Settings | None,
        threadpool: Threads | None,
        given: dict[str, object],
    ) -> None:
        if threadpool is not None:
            self.make_pool = partial(_lend, threadpool, WSGIService.make_pool)
        self._next_sweep: IDelayedCall | None = None
        self._trigger: object = None
        self._leaving: list[object] = []  # transports that end with an answer, since we stop
        begin: Callable[..., None] = super().__init__
        # What twisted.web has made of a request can not be passed on: the field goes to whoever is in front.
        begin(application, [], settings and replace(settings, sendfile_root=()), **given)
        self.settings = self._settings
        self.factory = self._factory

    def _make_poller(self, schedule: Schedule) -> None:
        return None  # what is read, twisted.web reads

    def begin(self) -> None:
        """Run, if that is not so yet, until the reactor stops."""
        if not self.running:
            self.startService()
            self._trigger = self._reactor.addSystemEventTrigger("before", "shutdown", self._reactor_stops)
        if self._next_sweep is None:
            self._next_sweep = self._reactor.callLater(SWEEP, self._sweep_on)

    def end(self) -> Deferred[None]:
        """Stop; fires when all is answered, or the grace over."""
        trigger, self._trigger = self._trigger, None
        if trigger is not None:
            self._reactor.removeSystemEventTrigger(trigger)
        return self.stopService() if self.running else succeed(None)

    def _reactor_stops(self) -> Deferred[None]:
        self._trigger = None
        return self.end().addCallback(self._wait_until_sent, self._reactor.seconds() + self._settings.linger)

    def _wait_until_sent(self, result: None, end: float) -> Deferred[None] | None:
        """Wait until the last answers have left: what a transport still has is lost when the reactor stops."""
        self._leaving = [each for each in self._leaving if getattr(each, "connected", False)]
        if not self._leaving or self._reactor.seconds() >= end:
            return None
        # A Deferred that it returns is waited for.
        again = cast("Callable[..., None]", self._wait_until_sent)
        return deferLater(cast("IReactorTime", self._reactor), _TURN, again, None, end)

    def request_over(self, transport: object) -> None:
        """Leave nothing with the reactor after the last request."""
        if self.factory.draining and transport is not None:
            self._leaving.append(transport)
        if not self.factory.connections:
            self._workers.close()
            if self._next_sweep is not None:
                self._next_sweep.cancel()
                self._next_sweep = None

    def _sweep_on(self) -> None:
        self._next_sweep = None
        self._look_after()
        if self.factory.connections and self._next_sweep is None:
            self._next_sweep = self._reactor.callLater(SWEEP, self._sweep_on)

    def _sweep_every(self, seconds: float) -> None:
        pass  # while there are requests: `begin` sees to it


def _lend(threadpool: Threads, make: Callable[..., Pool], name: str, **how: object) -> Pool:
    """Return a pool of the threads of `threadpool`; of our own, if it is for the disk."""
    if name.endswith("-disk"):
        return make(name, **how)
    borrow: Callable[..., Pool] = BorrowedPool
    return borrow(threadpool, how["limit"], how["failed"])
