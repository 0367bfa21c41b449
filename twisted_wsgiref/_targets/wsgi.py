"""An application that answers on a worker: what most requests of most services go to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from twisted_wsgiref._gateway.environ import enter
from twisted_wsgiref._gateway.exchange import Exchange
from twisted_wsgiref._gateway.wsgi_exchange import Gateway, WSGIExchange
from twisted_wsgiref._observe.log import logger

from .workers import Workers

if TYPE_CHECKING:
    from twisted_wsgiref.types import WSGIApplication, WSGIEnvironment

_log = logger(__name__)


class WSGITarget:
    """A `Target`: has the application of `gateway` answer, in a thread of `workers`.

    Mounted below `prefix`, a decoded path without a slash at its end, the application is told so by SCRIPT_NAME.
    """

    collects = True
    streams = True

    def __init__(self, gateway: Gateway, workers: Workers, prefix: str = "") -> None:
        #: Makes an exchange. By C alone, unless there is a prefix: this is a call for each request.
        self.prepare: Callable[..., WSGIExchange] = partial(_kind_of_exchange(gateway), gateway)
        if prefix:
            self.prepare = partial(_prepare_below, prefix, self.prepare)
        # It is given what `prepare` has made, and nothing else.
        self.start = cast(Callable[[Exchange], None], workers.submit)


def accepted(application: WSGIApplication, validate: bool) -> WSGIApplication:
    """Return `application`, checked against PEP 3333 with `validate`. Raises `TypeError` if it can not be called."""
    if not callable(application):
        raise TypeError(f"the application is {application!r}: it has to be callable")
    if not validate:
        return application
    # Late: few ask for it.
    from twisted_wsgiref.validate import validator

    return validator(application)


def find_guard() -> Callable[[WSGIExchange, WSGIApplication], WSGIApplication]:
    """Return what makes an application one that can be interrupted; if nothing can be now, that is logged."""
    # Late: only a service that has asked for it needs ctypes.
    from twisted_wsgiref._gateway.interrupt import HINDERED, guard, is_hindered

    if is_hindered():
        _log.warn("{line}", line=HINDERED)
    return guard


def _kind_of_exchange(gateway: Gateway) -> type[WSGIExchange]:
    if gateway.identifies:
        # Late, as below: few ask for it.
        from twisted_wsgiref._gateway.identified import IdentifiedExchange, IdentifiedSuspendedExchange

        return IdentifiedSuspendedExchange if gateway.suspends else IdentifiedExchange
    if not gateway.suspends:
        return WSGIExchange
    # Late: few ask for it.
    from twisted_wsgiref._gateway.suspended import SuspendedExchange

    return SuspendedExchange


def _prepare_below(
    prefix: str, prepare: Callable[..., WSGIExchange], head: object, environ: WSGIEnvironment, *rest: object
) -> WSGIExchange:
    enter(environ, prefix)
    return prepare(head, environ, *rest)
