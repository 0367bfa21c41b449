"""Resources that begin and end with the server: those that provide Twisted's `IService`.

That is how a part of a Twisted program hears of a start and of a stop; a resource has no word of its own for it. A
part of another service is not ours to start. Called in the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, cast

from twisted.application.service import IService

from twisted_wsgiref._observe.log import logger

_log = logger(__name__)


class Resident(Protocol):
    """What is called of an `IService`."""

    def startService(self) -> object:
        """Begin."""

    def stopService(self) -> object:
        """End."""


def resident_of(resource: object) -> Resident | None:
    """Return `resource` as what is started and stopped with the server; None if it is not ours to do so."""
    if not IService.providedBy(resource) or getattr(resource, "parent", None) is not None:
        return None
    return cast("Resident", resource)


class Residents:
    """Starts and stops those that it was given. What they raise is logged, and holds nobody up."""

    def __init__(self) -> None:
        self._all: list[Resident] = []
        self._running = False

    def settle(self, residents: Iterable[Resident]) -> None:
        """Look after `residents` from now on, and no longer after those of before."""
        before, self._all = self._all, list(residents)
        if self._running:
            for each in before:
                if each not in self._all:
                    call_service(each.stopService)
            for each in self._all:
                if each not in before:
                    call_service(each.startService)

    def start(self) -> None:
        """Start them all, unless they run."""
        if not self._running:
            self._running = True
            for each in self._all:
                call_service(each.startService)

    def stop(self) -> None:
        """Tell them all that the server stops. Nobody waits for the Deferred that one may return."""
        if self._running:
            self._running = False
            for each in reversed(self._all):
                call_service(each.stopService)


def call_service(call: Callable[[], object]) -> None:
    """Call a method of a resource as a service. What it raises, at once or later, is logged."""
    try:
        result = call()
    except Exception:
        _log.failure("a mounted resource failed to start or to stop")
        return
    catch = getattr(result, "addErrback", None)
    if catch is not None:
        catch(lambda failure: _log.failure("a mounted resource failed to start or to stop", failure))
