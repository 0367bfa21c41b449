"""A resource of Twisted's, mounted in the server: the class of `twisted.web` answers, over a connection of ours.

A request is made as `twisted.web.http.HTTPChannel` makes it, of what an application would be told: so a trusted proxy
is believed in the same way, and what was dropped for an application is dropped here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, Final, cast

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.web.resource import getChildForRequest
from twisted.web.server import Request, Site

from twisted_wsgiref._observe.log import logger

from .reactor_exchange import ReactorAnswer, ReactorExchange
from .web_channel import ResourceAnswer, WebChannel

if TYPE_CHECKING:
    from twisted_wsgiref._gateway.request_body import RequestBody
    from twisted_wsgiref._twisted.reactor import Reactor
    from twisted_wsgiref.types import WSGIEnvironment

    from .streams import Streams

_log = logger(__name__)
# RFC 9110, section 8.3: in whatever case.
_EVENTS: Final = re.compile(r"^content-type:[ \t]*text/event-stream[ \t]*(?:;|\r)", re.IGNORECASE | re.MULTILINE)
_CONTENT: Final = {"CONTENT_TYPE": b"Content-Type", "CONTENT_LENGTH": b"Content-Length"}


class MountedRequest(Request):
    """A request of `twisted.web` that does not end a body in order behind which its resource has failed."""

    def processingFailed(self, reason: Failure) -> Failure:
        """Answer 500; if some of the body is out, have the client see that it is cut, instead of a page behind it."""
        channel = self.channel
        if not self.startedWriting or not isinstance(channel, WebChannel):
            usual: Callable[[Failure], Failure] = super().processingFailed
            return usual(reason)
        channel.fail("a resource failed behind the head of its answer", reason.value)
        self.connectionLost(reason)
        return reason


class MountedSite(Site):
    """A site whose resource is reached below the prefix that the channel of a request has."""

    requestFactory = MountedRequest

    def __init__(self, resource: object, reactor: Reactor) -> None:
        super().__init__(resource, reactor=reactor)  # type: ignore[no-untyped-call]

    def getResourceFor(self, request: Any) -> Any:
        """Return the resource for `request`, whose ``prepath`` begins with the segments of the prefix."""
        request.site = self
        split_paths(request.channel.prefix, request.prepath, request.postpath)
        request.sitepath = list(request.prepath)
        return getChildForRequest(self.resource, request)


class ResourceAnswers:
    """Has the resource of `site`, mounted at `prefix`, answer. Called in the reactor's thread, by a `ReactorTarget`.

    Its event streams are ended with `streams`, once the server stops.
    """

    def __init__(self, site: MountedSite, prefix: str, call_later: Callable[..., object], streams: Streams) -> None:
        self._streams = streams
        self._site = site
        self._prefix = prefix
        self._call_later = call_later

    def __call__(self, exchange: ReactorExchange, way_out: ReactorAnswer) -> None:
        """Answer `exchange`. Raises `OSError` if its body can not be read."""
        body = cast("RequestBody | None", exchange.body)  # collected: no pipe
        environ, path = exchange.environ, exchange.head.path
        # The script name of the service is in the target, or a proxy has cut it off.
        above = path[: len(path) - len(environ["PATH_INFO"])]
        channel = make_channel(
            environ,
            way_out,
            self._site,
            (above + self._prefix).encode("latin-1"),
            below=getattr(exchange.connection, "transport", None),
            call_later=self._call_later,
        )
        way_out.on_lost = partial(_tell_lost, channel)
        channel.on_head = partial(self._watch, exchange, channel)
        render(channel, environ, None if body is None else body.open())

    def _watch(self, exchange: ReactorExchange, channel: WebChannel) -> None:
        """Have the answer of `channel` end in time at a stop, if it is an event stream: such a client comes again.

        Nobody can tell whether another answer without a length is whole, so those have the grace.
        """
        fields = exchange.fields
        if fields is None or exchange.has_length or _EVENTS.search(fields.lines) is None:
            return
        if self._streams.closed:
            self._call_later(0, channel.end)
            return
        live = self._streams.live
        live.add(channel)
        channel.request.notifyFinish().addBoth(lambda _: live.discard(channel))


def _tell_lost(channel: WebChannel) -> None:
    channel.connectionLost(Failure(ConnectionLost()))


def _log_fault(what: str, error: BaseException) -> None:
    _log.failure("{what}", Failure(error), what=what)


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


def address_of(host: str | None, port: str | None) -> IPv4Address | IPv6Address | UNIXAddress:
    """Return the address of one end; one without a host is a UNIX socket without a name."""
    if not host:
        return UNIXAddress(None)
    host = host.strip("[]")
    number = int(port) if port and port.isdecimal() else 0
    return IPv6Address("TCP", host, number) if ":" in host else IPv4Address("TCP", host, number)


def make_channel(
    environ: WSGIEnvironment,
    answer: ResourceAnswer,
    site: Site,
    prefix: bytes,
    *,
    below: object,
    call_later: Callable[..., object],
    log: Callable[[str, BaseException], None] = _log_fault,
) -> WebChannel:
    """Return the channel for the request of `environ`, which is mounted at `prefix`.

    Whoever has the connection calls its ``connectionLost`` if that ends before the answer. `below` is the connection's
    transport.
    """
    peer = address_of(environ.get("REMOTE_ADDR"), environ.get("REMOTE_PORT"))
    host = address_of(environ.get("SERVER_NAME"), environ.get("SERVER_PORT"))
    secure = environ["wsgi.url_scheme"] == "https"
    channel = WebChannel(answer, site, peer, host, secure, below, call_later, log)
    channel.prefix = prefix
    return channel


def render(channel: WebChannel, environ: WSGIEnvironment, body: IO[bytes] | None) -> None:
    """Have the resource of the channel's site answer the request of `environ` and `body`. Raises nothing.

    `body` is the request's to close.
    """
    try:
        request: Any = channel.site.requestFactory(channel)
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
        channel.fail("a resource failed", error)
