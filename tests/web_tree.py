"""A site of `twisted.web` with our resource in it, over in-memory transports, moved by the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from twisted.logger import LogEvent, globalLogPublisher
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.stepped import SteppedReactor
from tests.support import Client, Server, checked, hello, taken_down
from twisted_wsgiref import resource as resource_module
from twisted_wsgiref.resource import WSGIResource
from twisted_wsgiref.settings import Settings
from twisted_wsgiref.testing import SteppedPool


class WebServer(Server):
    """A `Server` whose protocol is `twisted.web`'s; ``resource`` is ours, at the root or below ``/app``."""

    def __init__(
        self,
        application: Any,
        *,
        validated: bool = True,
        below: bool = False,
        resource: dict[str, Any] | None = None,
        site: Any = Site,
        **settings: Any,
    ) -> None:
        self.reactor = SteppedReactor()
        self.records: list[Any] = []
        self.log: list[LogEvent] = []
        globalLogPublisher.addObserver(self.log.append)
        given: dict[str, Any] = {"observers": [self.records.append], "clock": self.reactor.clock, **(resource or {})}
        with patch.object(resource_module._Unheard, "make_pool", SteppedPool):
            self.resource = WSGIResource(
                checked(application) if validated else application,
                settings=Settings(**settings),
                reactor=self.reactor,
                **given,
            )
        self.service: Any = self.resource._service
        self.lent = not hasattr(self.service._pool, "jobs")
        nothing = SimpleNamespace(jobs=(), failures=())
        self.pool: Any = nothing if self.lent else self.service._pool
        self.disk: Any = nothing if self.lent else self.service._disk
        root: Any = self.resource
        if below:
            root = Resource()
            root.putChild(b"app", self.resource)
        self.root = root
        self.factory: Any = site(root, reactor=self.reactor)
        self.clients: list[Client] = []
        self.held = False

    def delayed(self) -> list[Any]:
        """Return the calls that our resource has left with the reactor; twisted.web's own are none of ours."""
        ours = []
        for call in self.reactor.getDelayedCalls():
            module = getattr(call.func, "__module__", "") or ""
            if module.startswith("twisted_wsgiref"):
                ours.append(call)
        return ours


@contextmanager
def web_serving(application: Any = hello, **how: Any) -> Iterator[WebServer]:
    """Make a `WebServer`, and take it down; fails as `tests.support.serving` does."""
    with taken_down(WebServer(application, **how)) as server:
        yield server
