"""The line of one request as an object of JSON, with the names of OpenTelemetry's conventions for HTTP.

Names are those of the semantic conventions 1.27 and later (HTTP, URL, client, user agent, TLS, process and thread), and
``trace_id`` and ``span_id`` those of "Trace Context in non-OTLP Log Formats". For the queue wait and the request id
they have no name. A value that is not known is not there.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Final

from .lines import CLIENT_LEFT, path_and_query
from .record import Extra, Extract, Facts
from .thread_names import name_of_thread

# Beyond these, the conventions want _OTHER, so that a client can not invent names without end.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
_PARENT: Final = re.compile(r"[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-[0-9a-f]{2}(?:\Z|-)")
# Request lines beyond this length, in characters, are read anew each time: they come once.
_SHORT: Final = 200


def text_of(sent: str) -> str:
    """Return text that came as latin-1 as a string of JSON, quotes included: UTF-8 if it can be read so."""
    if not sent.isascii():
        try:
            sent = sent.encode("latin-1").decode("utf-8")
        except UnicodeError:
            pass
    return encode_basestring_ascii(sent)


class JSONLines:
    """One object a line."""

    extract: Extract | None

    def __init__(self) -> None:
        self.extract = _extract

    def when(self, seconds: int) -> str:
        """Return the second, in UTC: ``2000-10-10T20:55:36``. ISO 8601."""
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))

    def line(self, facts: Facts, when: str) -> str:
        """Return the line of `facts`."""
        (peer, line, status, size, finished, seconds, referer, agent, user, method, waited, received, ident, extra) = (
            facts
        )
        request = _request(line, method) if len(line) <= _SHORT else _read_request(line, method)
        identity = f',"request_id":{text_of(ident)}' if ident else ""
        trace = _trace(extra[-1]) if extra and extra[-1] else ""
        return (
            f'{{"timestamp":"{when}.{int(finished % 1 * 1000):03}Z"{request}'
            f',"http.response.status_code":{status or CLIENT_LEFT},"http.response.body.size":{size}'
            f',"http.request.body.size":{received},"http.server.request.duration":{seconds:.6f}'
            f',"twisted_wsgiref.queue_wait":{waited:.6f}{_client(peer, user, referer, agent)}'
            f'{_place(extra[:-1])},"process.pid":{os.getpid()}{identity}{trace}}}\n'
        )


def _extract(environ: Mapping[str, object], fields: Mapping[str, str], lines: str) -> Extra:
    get = environ.get
    scheme, tls, trace = get("wsgi.url_scheme"), get("SSL_PROTOCOL"), get("HTTP_TRACEPARENT")
    return (
        scheme if type(scheme) is str else None,
        tls if type(tls) is str else None,
        name_of_thread(),
        trace if type(trace) is str else None,
    )


def _read_request(line: str, method: str) -> str:
    if not method:
        return ""
    _, _, rest = line.partition(" ")
    target, _, version = rest.rpartition(" ")
    path, mark, query = path_and_query(target)
    name = f'"{method}"' if method in _METHODS else f'"_OTHER","http.request.method_original":{text_of(method)}'
    asked = f',"url.query":{text_of(query)}' if mark else ""
    protocol = text_of(version.removeprefix("HTTP/"))
    return f',"http.request.method":{name},"url.path":{text_of(path)}{asked},"network.protocol.version":{protocol}'


_request = lru_cache(maxsize=256)(_read_request)


@lru_cache(maxsize=256)
def _client(peer: str | None, user: str, referer: str, agent: str) -> str:
    return "".join(
        (
            f',"client.address":{text_of(peer)}' if peer else "",
            f',"user.name":{text_of(user)}' if user else "",
            f',"user_agent.original":{text_of(agent)}' if agent else "",
            f',"http.request.header.referer":[{text_of(referer)}]' if referer else "",
        )
    )


@lru_cache(maxsize=256)
def _place(extra: Extra) -> str:
    if not extra:
        return ""
    scheme, tls, thread = extra
    return "".join(
        (
            f',"url.scheme":{text_of(scheme)}' if scheme else "",
            f',"tls.protocol.name":"tls","tls.protocol.version":{text_of(tls.removeprefix("TLSv"))}' if tls else "",
            f',"thread.name":{encode_basestring_ascii(thread)}' if thread else "",
        )
    )


def _trace(parent: str | None) -> str:
    """Return the ids in a ``traceparent`` that is well-formed. W3C Trace Context, section 3.2."""
    found = _PARENT.match(parent or "")
    return "" if found is None else f',"trace_id":"{found[1]}","span_id":"{found[2]}"'
