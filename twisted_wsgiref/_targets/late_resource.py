"""A resource that is mounted before it is made.

Nothing of `twisted.web` is imported here. All is called in the reactor's thread.
"""

from __future__ import annotations

from typing import Any


class LateResource:
    """A resource of `twisted.web` that is another one, which is made later: before the first request."""

    def __init__(self) -> None:
        self._resource: Any = None

    def begin(self, resource: Any) -> None:
        """Be `resource` from now on."""
        self._resource = resource

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
