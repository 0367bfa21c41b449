"""Endpoints: the words for them, and one line for each mistake in them.

What lives here: what a service is told to listen on, before there is a socket. What may not: ports, which are
`ports`', and the files that TLS needs, which are `certificates`'. All is called in the reactor's thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from twisted.internet.endpoints import SSL4ServerEndpoint, serverFromString
from twisted.internet.interfaces import IProtocolFactory, IStreamServerEndpoint
from twisted.python.failure import Failure

from twisted_wsgiref._twisted.private import adopt_stream_port, inherited_sockets
from twisted_wsgiref._twisted.reactor import Listening, Port
from twisted_wsgiref._twisted.stand_in import StandInReactor

if TYPE_CHECKING:
    from .certificates import Certificates

_SECURE: Final = ("ssl", "tls")


class ListenError(Exception):
    """An endpoint can not be listened on; the text is one line that names it and says why."""

    __module__ = "twisted_wsgiref"


def as_listen_error(endpoint: object, failure: Failure) -> Failure:
    """Return `failure` to listen on `endpoint` as a `ListenError`, whatever it is: for `addErrback`."""
    if isinstance(failure.value, ListenError):
        return failure
    return Failure(ListenError(f"can not listen on {endpoint}: {explain(failure.value)}"))


def as_endpoints(given: object) -> tuple[str | IStreamServerEndpoint, ...]:
    """Return all of `given`; a text, or an endpoint, is one and no sequence. Raises `TypeError` for anything else."""
    if isinstance(given, str) or IStreamServerEndpoint.providedBy(given):
        return (given,)
    endpoints = tuple(given) if isinstance(given, Iterable) else (given,)
    for each in endpoints:
        if not isinstance(each, str) and not IStreamServerEndpoint.providedBy(each):
            raise TypeError(f"an endpoint is {each!r}: it has to be a text as 'tcp:8000', or an IStreamServerEndpoint")
    return endpoints


# What of a description says where it listens; all else stays unsaid, since a plugin's may hold a key.
_PLACES: Final = ("address", "domain", "fileno", "index", "interface", "name", "port")
_PART: Final = re.compile(r"(?:[^:\\]|\\.)+")


def endpoint_name(endpoint: object) -> str:
    """Return by which words people know `endpoint`: its kind and where it listens, or its class if it is no text."""
    if not isinstance(endpoint, str):
        return type(endpoint).__name__
    parts = _PART.findall(endpoint)
    first = 2 if parts[:1] == ["haproxy"] else 1
    kind, place, rest = parts[:first], parts[first : first + 1], parts[first + 1 :]
    shown = [part for part in place if "=" not in part or part.partition("=")[0] in _PLACES]
    return ":".join([*kind, *shown, *(part for part in rest if "=" in part and part.partition("=")[0] in _PLACES)])


def parse_endpoint(
    reactor: Listening, description: str, secured: Callable[[Certificates], object] | None = None
) -> IStreamServerEndpoint:
    """Return the endpoint that `description` describes; ``tls:`` is another word for ``ssl:``. Raises `ListenError`.

    `secured` is called with the certificates of an endpoint that speaks TLS by its words, unless it is None.
    """
    kind, colon, rest = description.partition(":")
    inner = rest.partition(":")[0]
    make: Callable[..., IStreamServerEndpoint] = serverFromString
    try:
        if kind in _SECURE and colon:
            # Late, as below: who listens without TLS need not wait for its import.
            from .certificates import read_secure

            port, interface, backlog, options = read_secure(rest)
            if secured is not None:
                secured(options)
            secure: Callable[..., IStreamServerEndpoint] = SSL4ServerEndpoint
            return secure(reactor, port, options, backlog, interface)
        if kind == "haproxy" and inner in _SECURE:
            from twisted.protocols.haproxy import proxyEndpoint

            around: IStreamServerEndpoint = proxyEndpoint(parse_endpoint(reactor, rest, secured))
            return around
        return make(AdoptingAsItIs(reactor) if "systemd" in (kind, inner) else reactor, description)
    except ListenError:
        raise
    except Exception as error:
        raise ListenError(f"can not listen on {description!r}: {_cure(description, error)}") from None


class AdoptingAsItIs(StandInReactor):
    """A reactor that leaves an inherited socket as it is, with its path and mode."""

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory) -> Port:
        """Accept on an inherited socket."""
        return adopt_stream_port(self._reactor, fileDescriptor, addressFamily, factory)


def endpoint_of_address(address: str) -> str | None:
    """Return the endpoint that other servers mean by `address`, HOST:PORT or :PORT; None if it is no such thing."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        return None
    host = host.removeprefix("[").removesuffix("]")
    if host in ("", "*"):
        return f"tcp:{port}"
    # A colon in a description parts its words, so those of an IPv6 address are escaped.
    kind = "tcp6" if ":" in host else "tcp"
    return f"{kind}:{port}:interface={host}".replace(host, host.replace(":", r"\:"))


def _cure(description: str, error: Exception) -> str:
    """Return what is wrong with an endpoint that is none, and what to write instead."""
    kind, colon, _ = description.partition(":")
    if kind == "systemd" and isinstance(error, IndexError | KeyError):
        return _unactivated()
    if colon and kind in _KINDS:
        return explain(error)
    meant = _meant(description)
    if meant:
        return f"as an endpoint that is {meant}"
    if kind not in _KINDS and "Unknown endpoint type" not in str(error):
        return explain(error)  # a plugin's
    # Late: only whoever mistypes needs it.
    from difflib import get_close_matches

    near = get_close_matches(kind, _KINDS, n=1)
    guess = f"did you mean {near[0]}:?" if near and colon else "an endpoint is such as tcp:8000 or unix:/run/app.sock"
    return f"{explain(error)}; {guess}"


# Those that people write by hand; plugins bring more.
_KINDS: Final = ("tcp", "tcp6", "unix", "ssl", "tls", "systemd", "haproxy")


def _meant(description: str) -> str:
    """Return the endpoint that a port, a path or an address is meant for; "" if it looks like none of them."""
    if description.startswith("/"):
        return f"unix:{description}"
    if description.isascii() and description.isdigit():
        return f"tcp:{description}"
    address = re.sub(r"https?://", "", description).rstrip("/")
    host = address.rpartition(":")[0]
    if host in ("", "*", "localhost") or "." in host or host.startswith("["):
        return endpoint_of_address(address) or ""
    return ""


def _unactivated() -> str:
    given = inherited_sockets()
    if given is None or not given.inheritedDescriptors():
        return "systemd has handed over no socket: it does so to what its .socket unit starts (LISTEN_FDS)"
    names = ", ".join(sorted(given.inheritedNamedDescriptors())) or "none"
    last = len(given.inheritedDescriptors()) - 1
    return f"systemd has handed over sockets 0 to {last}, of the names {names}"


def explain(error: BaseException | None) -> str:
    """Return why, in one line: the system's own word where `error` has it."""
    reason = getattr(error, "socketError", None) or error
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return " ".join(str(text).split())
