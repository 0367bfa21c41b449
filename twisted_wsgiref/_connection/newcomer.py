"""Connections whose clients have said nothing yet: accepted a moment before the request is there.

What is made for an ordinary connection costs as much as half a request, and one that turns out to be brief needs none
of it. So until the first bytes are there, or for a moment (`unwatched`), a connection is a socket and a place in the
poller's epoll object, which tells of it once.

All is called in the reactor's thread.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .brief import MakeOrdinary
    from .factory import WSGIFactory
    from .poller import Poller
    from .protocol import WSGIProtocol


class Newcomer:
    """The connection by `sock` from `peer`, one of `factory`'s, of which nothing could be read yet.

    `read` is called with both when something can be; `make_ordinary` with both when it has not come in a moment.
    """

    __slots__ = ("__weakref__", "_factory", "_make_ordinary", "_peer", "_poller", "_read", "_sock", "expendable_since")

    def __init__(
        self,
        factory: WSGIFactory,
        poller: Poller,
        sock: socket.socket,
        peer: object,
        read: Callable[[socket.socket, object], None],
        make_ordinary: MakeOrdinary,
    ) -> None:
        self._factory = factory
        self._poller = poller
        self._sock = sock
        self._peer = peer
        self._read = read
        self._make_ordinary = make_ordinary
        #: Since when the first byte is waited for, by the factory's clock. It may go for another.
        self.expendable_since = factory.clock()
        factory.connections.add(self)
        unwatched = poller.unwatched
        if not unwatched.live:
            unwatched.begin()
        unwatched.live.add(self)
        poller.add_once(sock.fileno(), self._come)

    def _leave(self) -> bool:
        """Be none of the connections any more; return whether it was one: each is read once, or ordinary once."""
        connections = self._factory.connections
        if self not in connections:
            return False
        connections.discard(self)
        self._poller.unwatched.live.discard(self)
        return True

    def _come(self) -> None:
        self._poller.forget(self._sock.fileno())
        if self._leave():
            self._read(self._sock, self._peer)
            if self._factory.draining:
                self._factory.check_drained()  # it may have been reset

    def become_ordinary(self) -> WSGIProtocol | None:
        """Return the ordinary connection that goes on instead of this; None if one does already."""
        if not self._leave():
            return None
        self._poller.forget(self._sock.fileno())
        protocol, transport = self._make_ordinary(self._sock, self._peer)
        protocol.takes_place = True
        protocol.begin_with(transport, None)
        return protocol

    def watch(self) -> None:
        """Be one whose deadlines are kept: it has been silent for a moment."""
        self.become_ordinary()

    # ---- As the factory sees it ------------------------------------------------------------------------------------

    takes_place = False

    @property
    def is_unanswered(self) -> bool:
        """Return False: nothing has come."""
        return False

    def retire(self) -> None:
        """Have the deadline of the last ones."""
        self.become_ordinary()

    def resume(self) -> None:
        """Do nothing: it waits as before."""

    def sweep(self, now: float) -> None:
        """Be looked at as an ordinary one."""
        ordinary = self.become_ordinary()
        if ordinary is not None:
            ordinary.sweep(now)

    def cut_off(self) -> None:
        """Reset the connection."""
        ordinary = self.become_ordinary()
        if ordinary is not None:
            ordinary.cut_off()
