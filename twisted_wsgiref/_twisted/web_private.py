"""The private names of `twisted.web`, and its undocumented behaviour, as far as this package relies on them.

What holds for `private` holds here: each function says what an upgrade has to check, and
`tests/test_twisted_private.py` checks it. The reactor's thread calls every function.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from twisted.internet import tcp
    from twisted.web.http import HTTPChannel
    from twisted.web.server import Request


def waits_for_transport(channel: object) -> bool:
    """Return whether an HTTP channel of Twisted's was told by its transport to pause.

    A producer that is registered then is not told. To be checked: `HTTPChannel.pauseProducing` sets the mark, and
    `resumeProducing` takes it back. A stream of HTTP/2 has none: its window tells.
    """
    return bool(getattr(channel, "_waitingForTransport", False))


def is_made_secure(request: object) -> bool:
    """Return whether `Request.setHost` has made a request of Twisted's one that came by TLS.

    To be checked: `Request.setHost` sets the mark.
    """
    return bool(getattr(request, "_forceSSL", False))


def writes_plainly(request: Request, channel: HTTPChannel) -> bool:
    """Return whether `Request.write` of `request` would write a head and a body to the socket, and nothing else.

    So others may write them at once, set ``startedWriting`` and add to ``sentLength``. To be checked: that is so for
    `server.Request` on an `http.HTTPChannel` without an encoder, cookies, ETag or Last-Modified of its own. A transport
    holds nothing if its ``dataBuffer`` and ``_tempDataBuffer`` are empty, and speaks no TLS if ``TLS`` is false;
    ``writeSomeData`` then sends at once.
    """
    if not _are_plain((type(request), type(channel), type(channel.transport))):
        return False
    transport = cast("tcp.Connection", channel.transport)
    return not (
        request.startedWriting
        or request.finished
        or request._encoder is not None
        or request._inFakeHead
        or request._disconnected
        or request.cookies
        or request.etag is not None
        or request.lastModified is not None
        or request.clientproto != b"HTTP/1.1"
        or "write" in request.__dict__
        or getattr(transport, "TLS", False)
        or transport.dataBuffer
        or transport._tempDataBuffer
        or transport.disconnecting
        or transport._writeDisconnected
        or not transport.connected
    )


@lru_cache(maxsize=64)
def _are_plain(classes: tuple[type, type, type]) -> bool:
    """Return whether a request, a channel and a transport of these classes write as Twisted's own do, on a socket.

    To be checked: as for `writes_plainly`.
    """
    # Late: only whoever has a site needs them.
    from twisted.internet import tcp
    from twisted.web.http import HTTPChannel
    from twisted.web.server import Request

    request, channel, transport = classes
    sockets: list[type[tcp.Server]] = [tcp.Server]
    try:
        from twisted.internet.unix import Server
    except ImportError:  # on Windows
        pass
    else:
        sockets.append(Server)
    names = ("write", "writeSequence", "writeSomeData", "startWriting")
    return (
        request is Request
        and channel is HTTPChannel
        and any(
            issubclass(transport, each) and all(getattr(transport, name) is getattr(each, name) for name in names)
            for each in sockets
        )
    )
