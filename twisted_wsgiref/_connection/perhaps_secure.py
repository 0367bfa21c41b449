"""Whether there is TLS below a port or a connection, asked without importing it: most processes have none.

Nobody speaks Twisted's TLS before `twisted.protocols.tls` is imported. So here nothing of it is, nor of pyOpenSSL,
which is a third of the memory of a process. All is called in the reactor's thread.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.protocols.tls import TLSMemoryBIOFactory

    from twisted_wsgiref._twisted.reactor import Reactor

    from .factory import WSGIFactory


def handshake_failure(error: object) -> str:
    """Return why a handshake ended with `error`, in OpenSSL's own words if it is OpenSSL's."""
    if "OpenSSL.SSL" in sys.modules:
        from OpenSSL.SSL import Error

        if isinstance(error, Error) and error.args and isinstance(error.args[0], list):
            return ", ".join(str(each[-1]) for each in error.args[0])
    return "the client left in the middle of it"


def tls_factory(port: object) -> TLSMemoryBIOFactory | None:
    """Return what puts TLS on the connections of the listening `port`, below wrappers too; None if nothing does."""
    if "twisted.protocols.tls" not in sys.modules:
        return None
    from twisted.protocols.tls import TLSMemoryBIOFactory

    factory = getattr(port, "factory", None)
    while factory is not None and not isinstance(factory, TLSMemoryBIOFactory):
        factory = getattr(factory, "wrappedFactory", None)
    return factory


def speak_tls(port: object, ours: WSGIFactory, reactor: Reactor) -> None:
    """Have `port`, if it speaks TLS, do so straight on its sockets where it can; clients without TLS get an answer.

    `ours` makes the connections, perhaps below those of others.
    """
    factory = tls_factory(port)
    if factory is not None:
        from .tls_transport import accept_straight

        if not accept_straight(port, factory, ours, reactor):
            from .secure import take_over

            take_over(factory)
