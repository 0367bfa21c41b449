"""A resource of Twisted's, mounted in the server: the class of `twisted.web` answers, over a connection of ours.

A request is made as `twisted.web.http.HTTPChannel` makes it, of what an application would be told: so a trusted proxy
is believed in the same way, and what was dropped for an application is dropped here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import IO, Any, Final

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.web.resource import getChildForRequest
from twisted.web.server import Site

from .web_channel import ResourceAnswer, WebChannel

_CONTENT: Final = {"CONTENT_TYPE": b"Content-Type", "CONTENT_LENGTH": b"Content-Length"}


class MountedSite(Site):
    """A site whose resource is reached below `prefix`, a decoded path without a slash at its end."""

    def __init__(self, resource: Any, prefix: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(resource, *args, **kwargs)  # type: ignore[no-untyped-call]
        self._prefix = prefix.encode("latin-1")

    def getResourceFor(self, request: Any) -> Any:
        """Return the resource for `request`, whose ``prepath`` begins with the segments of the prefix."""
        request.site = self
        split_paths(self._prefix, request.prepath, request.postpath)
        request.sitepath = list(request.prepath)
        return getChildForRequest(self.resource, request)


def split_paths(prefix: bytes, prepath: list[bytes], postpath: list[bytes]) -> None:
    """Move the segments of `prefix` from `postpath` to `prepath`; both are decoded.

    A segment that has an encoded slash, and is only in a part of the prefix, is parted there.
    """
    missing = len(prefix)
    while missing > 0 and postpath:
        segment = postpath.pop(0)
        missing -= 1 + len(segment)
        if missing < 0:
            whole, segment = segment, segment[:missing]
            postpath.insert(0, whole[len(segment) + 1 :])
        prepath.append(segment)


def header_name(key: str) -> bytes | None:
    """Return the name of the field that is `key` in an environ; None if it is no field."""
    if key.startswith("HTTP_"):
        return key[5:].replace("_", "-").title().encode("latin-1")
    return _CONTENT.get(key)


def origin_form(target: str) -> str:
    """Return `target` without a scheme and an authority, which `twisted.web` would take for a path."""
    if target.startswith("/") or target == "*":
        return target
    rest = target.partition("://")[2]
    slash, query = rest.find("/"), rest.find("?")
    if slash < 0 or 0 <= query < slash:
        return "/" + (rest[query:] if query >= 0 else "")
    return rest[slash:]


def address_of(host: str | None, port: str | None) -> Any:
    """Return the address of one end; one without a host is a UNIX socket without a name."""
    if not host:
        return UNIXAddress(None)
    host = host.strip("[]")
    number = int(port) if port and port.isdecimal() else 0
    return IPv6Address("TCP", host, number) if ":" in host else IPv4Address("TCP", host, number)


def render(
    environ: Mapping[str, Any],
    body: IO[bytes] | None,
    answer: ResourceAnswer,
    site: Site,
    *,
    below: Any,
    call_later: Callable[..., Any],
    log: Callable[[str, BaseException], None],
) -> WebChannel:
    """Have the resource of `site` answer the request of `environ` and `body`, and return the request's channel.

    Whoever has the connection calls ``connectionLost`` of the channel if that ends before the answer. `below` is the
    connection's transport. Raises nothing. `body` is the request's to close.
    """
    peer = address_of(environ.get("REMOTE_ADDR"), environ.get("REMOTE_PORT"))
    host = address_of(environ.get("SERVER_NAME"), environ.get("SERVER_PORT"))
    secure = environ["wsgi.url_scheme"] == "https"
    channel = WebChannel(answer, site, peer, host, secure, below, call_later, log)
    try:
        request: Any = site.requestFactory(channel)
        channel.request = request
        add = request.requestHeaders.addRawHeader
        for key, value in environ.items():
            name = header_name(key)
            if name is not None:
                add(name, value.encode("latin-1"))
        request.parseCookies()
        request.content = BytesIO() if body is None else body
        request.content.seek(0, 2)  # the request takes its length from there, and goes to its start
        protocol = environ["SERVER_PROTOCOL"].encode("latin-1")
        request.requestReceived(
            environ["REQUEST_METHOD"].encode("latin-1"), origin_form(environ["REQUEST_URI"]).encode("latin-1"), protocol
        )
        channel.rendered()
    except Exception as error:
        if not channel.over:
            channel.over = True
            log("a resource failed", error)
            answer.refuse(500)
    return channel
