"""A resource of Twisted's that is made with its first request: then the reactor runs, which its maker may need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class LateResource:
    """An `IResource`, as whatever `make` returns; `name` is for the line that says that this is no resource.

    Called in the reactor's thread. What `make` raises is raised for each request, which asks it again.
    """

    def __init__(self, make: Callable[[], object], name: str) -> None:
        self._make = make
        self._name = name
        self._made: Any = None

    def _resource(self) -> Any:
        if self._made is None:
            made = self._make()
            if not hasattr(made, "getChildWithDefault"):
                raise TypeError(f"{self._name} returned {made!r:.100}: it has to be a resource of twisted.web")
            self._made = made
        return self._made

    @property
    def isLeaf(self) -> bool:
        """Whether it has no children."""
        return bool(self._resource().isLeaf)

    def getChildWithDefault(self, path: bytes, request: Any) -> Any:
        """Return the child for `path`."""
        return self._resource().getChildWithDefault(path, request)

    def putChild(self, path: bytes, child: Any) -> None:
        """Put `child`."""
        self._resource().putChild(path, child)

    def render(self, request: Any) -> Any:
        """Answer `request`."""
        return self._resource().render(request)
