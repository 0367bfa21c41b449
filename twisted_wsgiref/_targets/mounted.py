"""What is mounted beside an application, found by the path of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_wsgiref._http.mounts import MountTable

if TYPE_CHECKING:
    from twisted_wsgiref._gateway.interfaces import Target
    from twisted_wsgiref._http.head import RequestHead


class MountedTargets:
    """Implements `Mounts` by `table`. The service itself is at `script_name`, which is no part of a prefix."""

    def __init__(self, table: MountTable[Target], script_name: str) -> None:
        self._table = table
        self._script_name = script_name

    def find(self, head: RequestHead) -> Target | None:
        """Return who answers the request of `head`; None for the application.

        Raises `ProtocolError` for a path that could mean another mount than it says.
        """
        path = head.path
        name = self._script_name
        # As an environ has it: a proxy may have cut the prefix off, or not.
        if name and (path == name or path.startswith(name + "/")):
            path = path[len(name) :]
        found = self._table.choose(path)
        return None if found is None else found[0]
