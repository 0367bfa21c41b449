"""A connection that has changed hands: whoever answered 101 (Switching Protocols) reads and writes it from then on.

It stays in the factory's count, and is read as before. HTTP's deadlines do not hold for it. When the service stops, the
new protocol is asked to close it, if it has a known way to be asked; what is still open at the end of the grace is cut.
All is called in the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from twisted.internet.interfaces import IConsumer, IHalfCloseableProtocol, IProtocol, IPushProducer, ITransport
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_wsgiref._observe.log import logger

from .reading import TAKEN_OVER, Reading

if TYPE_CHECKING:
    from twisted_wsgiref._twisted.reactor import Transport

_log = logger(__name__)
# RFC 6455, section 7.4.1: the endpoint is going away, such as a server that stops; and the end of what it was for.
_GOING_AWAY: Final = 1001
_NORMAL: Final = 1000


@implementer(ITransport, IConsumer, IPushProducer)
class HandedOverTransport:
    """The transport `below`, for whoever took the connection over: pausing it pauses `reading`, which is ours."""

    def __init__(self, below: Transport, reading: Reading) -> None:
        self._below = below
        self._reading = reading

    def pauseProducing(self) -> None:
        """Have nothing read until `resumeProducing`."""
        self._reading.pause(TAKEN_OVER)

    def resumeProducing(self) -> None:
        """Have more read."""
        self._reading.resume(TAKEN_OVER)

    def stopProducing(self) -> None:
        """End the connection."""
        self._below.loseConnection()

    def __getattr__(self, name: str) -> Any:
        # Writing, closing, addresses, options: all as below. Private parts are nobody's.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._below, name)


class HandedOver:
    """Passes what comes on to `protocol`; what that raises is logged, and ends the connection by `cut`."""

    def __init__(self, protocol: IProtocol, cut: Callable[[], object]) -> None:
        self._protocol = protocol
        self._cut = cut
        self._asked = False

    def data_received(self, data: bytes) -> None:
        """Pass `data` on."""
        self._call(self._protocol.dataReceived, data)

    def read_lost(self, lose: Callable[[], object]) -> None:
        """Say that the other end sends no more; a protocol that can not do with half a connection loses it all."""
        if IHalfCloseableProtocol.providedBy(self._protocol):
            self._call(cast(IHalfCloseableProtocol, self._protocol).readConnectionLost)
        else:
            lose()

    def lost(self, reason: Failure | None) -> None:
        """Say that the connection is lost."""
        self._call(self._protocol.connectionLost, reason)

    def ask_to_close(self) -> None:
        """Ask for an end in order, since the service stops: as the WebSockets of autobahn and of Twisted can be asked.

        Once is enough; one that is not open yet is asked the next time.
        """
        protocol = self._protocol
        if self._asked or getattr(protocol, "state", None) == getattr(protocol, "STATE_CONNECTING", self):
            return
        self._asked = True
        if hasattr(protocol, "sendCloseFrame"):
            # autobahn's `sendClose` lets an application say no other code than 1000, and clients take that for an end
            # after which they need not come back.
            self._call(protocol.sendCloseFrame, _GOING_AWAY, b"")
        elif hasattr(protocol, "sendClose"):
            self._call(protocol.sendClose, _NORMAL)
        elif hasattr(protocol, "sendTextMessage") and hasattr(protocol, "loseConnection"):
            self._call(protocol.loseConnection, _GOING_AWAY)

    def _call(self, call: Callable[..., object], *given: object) -> None:
        try:
            call(*given)
        except Exception:
            _log.failure("a protocol that took a connection over failed")
            self._cut()
