"""Endpoints and their failures: the words for them, one line for each mistake, and who is to hear it.

What lives here: what a service is told to listen on, before there is a socket. What may not: ports, which are
`service`'s, and the files that TLS needs, which are `certificates`'. All is called in the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ServerEndpoint, serverFromString
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.python.failure import Failure

_SECURE: Final = ("ssl", "tls")


class ListenError(Exception):
    """An endpoint can not be listened on; the text is one line that names it and says why."""

    __module__ = "twisted_wsgiref"


class NotListening(SystemExit, ListenError):
    """A `ListenError` that nobody waited for when the process started its services. Ends it with status 1.

    No traceback is shown of a `SystemExit`. It is an `Exception` too, because twistd, after it has become a daemon,
    tells its parent of nothing else.
    """

    def __init__(self, line: str) -> None:
        super().__init__(1)
        self.line = line

    def __str__(self) -> str:
        return self.line


class Announcement(Deferred[list[IListeningPort]]):
    """Fires with the ports, or fails with `ListenError`, and knows whether anybody has taken the failure."""

    def __init__(self) -> None:
        super().__init__()
        self._settled = False

    def __iter__(self) -> Any:
        # Awaiting leaves the failure where it is, so the result does not show it.
        self._settled = True
        return super().__iter__()

    __await__ = __iter__

    def untaken(self) -> str | None:
        """Return the line of a failure that nobody has taken so far, once, and have Twisted say nothing more of it.

        Whoever comes later, with an errback or ``await``, still gets it.
        """
        failure = getattr(self, "result", None)
        if self._settled or not isinstance(failure, Failure):
            return None
        self._settled = True
        try:
            super().__iter__().send(None)
        except ListenError:
            pass  # An awaited failure is no "Unhandled error in Deferred".
        return failure.getErrorMessage()


def as_endpoints(given: Any) -> tuple[str | IStreamServerEndpoint, ...]:
    """Return all of `given`; a text, or an endpoint, is one and no sequence. Raises `TypeError` for anything else."""
    if isinstance(given, str) or IStreamServerEndpoint.providedBy(given):
        return (given,)
    endpoints = tuple(given) if isinstance(given, Iterable) else (given,)
    for each in endpoints:
        if not isinstance(each, str) and not IStreamServerEndpoint.providedBy(each):
            raise TypeError(f"an endpoint is {each!r}: it has to be a text as 'tcp:8000', or an IStreamServerEndpoint")
    return endpoints


def parse_endpoint(reactor: Any, description: str) -> IStreamServerEndpoint:
    """Return the endpoint that `description` describes; ``tls:`` is another word for ``ssl:``. Raises `ListenError`."""
    kind, colon, rest = description.partition(":")
    inner = rest.partition(":")[0]
    make: Callable[..., IStreamServerEndpoint] = serverFromString
    try:
        if kind in _SECURE and colon:
            # Late, as below: who listens without TLS need not wait for its import.
            from .certificates import read_secure

            port, interface, backlog, options = read_secure(rest)
            secure: Callable[..., IStreamServerEndpoint] = SSL4ServerEndpoint
            return secure(reactor, port, options, backlog, interface)
        if kind == "haproxy" and inner in _SECURE:
            from twisted.protocols.haproxy import proxyEndpoint

            around: IStreamServerEndpoint = proxyEndpoint(parse_endpoint(reactor, rest))
            return around
        return make(reactor, description)
    except ListenError:
        raise
    except Exception as error:
        raise ListenError(f"can not listen on {description!r}: {explain(error)}") from None


def explain(error: BaseException | None) -> str:
    """Return why, in one line: the system's own word where `error` has it."""
    reason = getattr(error, "socketError", None) or error
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return " ".join(str(text).split())
