"""A resource that is mounted before it is made.

Nothing of `twisted.web` is imported here. All is called in the reactor's thread.
"""

from __future__ import annotations

from typing import Any

from .residents import Resident, call_service, resident_of


class LateResource:
    """A resource of `twisted.web` that is another one, which is made later: before the first request."""

    def __init__(self) -> None:
        self._resource: Any = None
        self._resident: Resident | None = None
        self._running = False

    def begin(self, resource: Any) -> None:
        """Be `resource` from now on."""
        self._resource = resource
        self._resident = resident_of(resource)
        if self._running and self._resident is not None:
            call_service(self._resident.startService)

    @property
    def isLeaf(self) -> bool:
        """Whether the resource itself answers for all paths below it."""
        return bool(self._resource.isLeaf)

    def getChildWithDefault(self, name: bytes, request: object) -> object:
        """Return the resource at `name` below it."""
        return self._resource.getChildWithDefault(name, request)

    def render(self, request: object) -> object:
        """Answer `request`."""
        return self._resource.render(request)

    # ---- As a `Resident` ---------------------------------------------------------------------------------------

    def startService(self) -> object:
        """Have the resource start, now or as soon as it is made, if it is a service."""
        self._running = True
        return None if self._resident is None else self._resident.startService()

    def stopService(self) -> object:
        """Have the resource stop."""
        self._running = False
        return None if self._resident is None else self._resident.stopService()
