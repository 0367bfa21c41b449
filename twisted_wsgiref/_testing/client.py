"""A client of `treq` and the server that answers it, in memory: no socket, no thread, no time.

The server is the one that serves in earnest: its connections, its parser, its queue, its handler, its deadlines. Only
its threads are a `SteppedPool`, and its clock stands. All is called in the thread of the test, the application too.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from io import BytesIO
from typing import TYPE_CHECKING, Final, TypeVar

from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.task import Cooperator
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool
from twisted.web.error import SchemeNotSupported
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from twisted_wsgiref.service import WSGIService
from twisted_wsgiref.settings import SettingError, Settings

from .memory import Network, StandingReactor, Towards
from .serving import parted
from .stepped import SteppedPool

if TYPE_CHECKING:
    from treq.response import _Response as Response
    from twisted.web.client import URI

    from twisted_wsgiref._threads.pool import Pool
    from twisted_wsgiref.types import WSGIApplication

_T = TypeVar("_T")

#: The host of a request whose URL is only a path.
HOST: Final = "http://localhost"
# Whatever takes so many turns without a rest never comes to one.
_MOST_TURNS: Final = 1_000_000
_METHODS: Final = ("get", "head", "post", "put", "patch", "delete")


@implementer(IAgentEndpointFactory)
class _Endpoints:
    def __init__(self, network: Network) -> None:
        self._network = network

    def endpointForURI(self, uri: URI) -> Towards:
        if uri.scheme not in (b"http", b"https"):
            raise SchemeNotSupported(f"the scheme of a URL is {uri.scheme!r}: it has to be http or https")
        return Towards(self._network, uri.scheme == b"https", uri.port)


class Client:
    """Asks `application`, of which nothing runs but by `step`, `settle`, `advance` and `result`.

    `request`, and a method for each method of HTTP, are those of `treq`, whose URL may be a path alone (of the host
    ``localhost``); each returns a Deferred. Files can not be uploaded, since `treq` reads them with the process's
    reactor.
    """

    def __init__(self, application: WSGIApplication, given: dict[str, object]) -> None:
        service, words = parted(given)
        judged: Callable[..., Settings] = Settings
        settings = judged(**words)
        if settings.stream_input:
            raise SettingError(
                "stream_input is on: an application that waits for its input would wait in the test's own thread, for "
                "ever; use twisted_wsgiref.testing.serve()"
            )
        self._grace = settings.grace
        self._reactor = StandingReactor()
        self._network = Network()
        self._pools: list[SteppedPool] = []
        self._service = self._make_service(application, settings, service)
        self._service.startService()
        # As the process's own, but by this clock.
        cooperator = Cooperator(scheduler=lambda call: self._reactor.callLater(0, call))
        reactor = self._reactor
        self._web = HTTPClient(
            Agent.usingEndpointFactory(reactor, _Endpoints(self._network), HTTPConnectionPool(reactor)),
            data_to_body_producer=lambda data: FileBodyProducer(BytesIO(data), cooperator=cooperator),
        )

    def _make_service(self, application: WSGIApplication, settings: Settings, given: dict[str, object]) -> WSGIService:
        pools = self._pools

        new: Callable[..., SteppedPool] = SteppedPool

        def make(*names: object, **how: object) -> Pool:
            pools.append(new(*names, **how))
            return pools[-1]

        class SteppedService(WSGIService):
            make_pool: Callable[..., Pool] = staticmethod(make)

        made: Callable[..., WSGIService] = SteppedService
        reactor = self._reactor
        return made(application, [self._network], settings, reactor=reactor, clock=reactor.seconds, **given)

    # ---- What is asked -----------------------------------------------------------------------------------------

    def request(self, method: str, url: str, **given: object) -> Deferred[Response]:
        """Ask; the Deferred fires with the response, in some later turn. The arguments are those of `treq.request`."""
        if given.get("files") is not None:
            raise TypeError("a client in memory can not upload files: use twisted_wsgiref.testing.serve()")
        given.setdefault("reactor", self._reactor)  # whose time a timeout is measured by
        ask: Callable[..., Deferred[Response]] = self._web.request
        return ask(method, HOST + url if url.startswith("/") else url, **given)

    def get(self, url: str, **given: object) -> Deferred[Response]:
        """Ask by GET."""
        return self.request("GET", url, **given)

    def head(self, url: str, **given: object) -> Deferred[Response]:
        """Ask by HEAD."""
        return self.request("HEAD", url, **given)

    def post(self, url: str, data: object = None, **given: object) -> Deferred[Response]:
        """Ask by POST."""
        return self.request("POST", url, data=data, **given)

    def put(self, url: str, data: object = None, **given: object) -> Deferred[Response]:
        """Ask by PUT."""
        return self.request("PUT", url, data=data, **given)

    def patch(self, url: str, data: object = None, **given: object) -> Deferred[Response]:
        """Ask by PATCH."""
        return self.request("PATCH", url, data=data, **given)

    def delete(self, url: str, **given: object) -> Deferred[Response]:
        """Ask by DELETE."""
        return self.request("DELETE", url, **given)

    # ---- The turns that the test takes -------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many requests wait for a thread."""
        return self._pools[0].waiting

    def turn(self) -> bool:
        """Move bytes, and make the calls that are due, once; run no application. Return whether anything happened."""
        moved = self._network.move()
        called = self._reactor.turn()
        for disk in self._pools[1:]:
            if disk.waiting:
                disk.step()
                moved = True
        return moved or called

    def arrive(self) -> int:
        """Take turns until nothing moves any more, and run no application; return how many requests wait for it."""
        self._rest(work=False)
        return self.waiting

    def step(self) -> None:
        """Have the application answer the request that has waited longest. Raises `RuntimeError` if none waits."""
        if not self.waiting and not self.arrive():
            raise RuntimeError("no request waits for the application: ask something first")
        self._pools[0].step()

    def settle(self) -> None:
        """Take turns, and have the application answer, until nothing happens any more."""
        self._rest(work=True)

    def _rest(self, *, work: bool) -> None:
        for _ in range(_MOST_TURNS):
            if not self.turn():
                if not (work and self.waiting):
                    return
                self._pools[0].step()
        raise RuntimeError("the server never comes to rest")

    def advance(self, seconds: float, *, work: bool = True) -> None:
        """Let time pass, a quarter of a second at a time at most, and all happen that is due.

        Without `work`, as if every thread were busy: no application runs.
        """
        left = seconds
        while left > 0:
            self._reactor.advance(min(0.25, left))
            left -= 0.25
            self._rest(work=work)

    def result(self, awaited: Deferred[_T] | Coroutine[Deferred[object], object, _T]) -> _T:
        """Settle, and return what `awaited` gives; raise what it raises, and `RuntimeError` if it still waits then."""
        results: list[_T | Failure] = []
        deferred = awaited if isinstance(awaited, Deferred) else Deferred.fromCoroutine(awaited)
        deferred.addBoth(results.append)
        self.settle()
        if not results:
            raise RuntimeError("nothing happens any more, and there is no result: perhaps time has to pass (advance)")
        result = results[0]
        if isinstance(result, Failure):
            result.raiseException()
        return result

    # ---- The end -----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop the server; what is not answered is cut off. A second time it does nothing."""
        if self._service.running:
            for connection in self._network.connections:
                connection.client.abortConnection()
            self._rest(work=False)  # a connection that is lost is not waited for
            stopped = self._service.stopService()
            self._rest(work=False)
            if not stopped.called:
                self.advance(self._grace, work=False)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()
