"""Requests whose thread knows their id while it runs them, for what is logged meanwhile.

Imported only by a service that identifies requests. Called in a worker's thread.
"""

from __future__ import annotations

from twisted_wsgiref._observe.current import begin_request

from .suspended import SuspendedExchange
from .wsgi_exchange import WSGIExchange


class IdentifiedExchange(WSGIExchange):
    """As `WSGIExchange`."""

    __slots__ = ()

    def run(self) -> None:
        """Answer the request, or go on with that."""
        begin_request(self.head.request_id)
        try:
            super().run()
        finally:
            begin_request("")


class IdentifiedSuspendedExchange(IdentifiedExchange, SuspendedExchange):
    """As `SuspendedExchange`: each thread that goes on with it knows the id."""

    __slots__ = ()
