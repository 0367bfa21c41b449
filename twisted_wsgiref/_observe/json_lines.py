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
from .thread_names import here

# Beyond these, the conventions want _OTHER, so that a client can not invent names without end.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
_PARENT: Final = re.compile(r"[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-[0-9a-f]{2}(?:\Z|-)")
# The end of a time, by its milliseconds: to format a number costs three times as much as to look it up.
_PARTS: Final = tuple(f".{number:03}Z" for number in range(1000))
# The text of times of fewer microseconds than this, once there was one: most answers are as quick.
_REMEMBERED: Final = 10_000
_TIMES: Final[dict[int, str]] = {}
# The parts of an `Extra` without a trace.
_USUAL: Final = 3
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
    pid = os.getpid()  # the system's call costs a tenth of a line

    def __init__(self) -> None:
        self.extract = _extract

    @classmethod
    def forked(cls) -> None:
        """Know that this is another process. Called in the child of a fork."""
        cls.pid = os.getpid()

    def when(self, seconds: int) -> str:
        """Return the second, in UTC: ``2000-10-10T20:55:36``. ISO 8601."""
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))

    def line(self, facts: Facts, when: str) -> str:
        """Return the line of `facts`."""
        peer, line, status, size, finished, seconds, referer, agent, user, _, waited, received, ident, extra = facts
        last = f',"request_id":{text_of(ident)}' if ident else ""
        if len(extra) > _USUAL:
            extra, last = extra[:_USUAL], last + _trace(extra[_USUAL])
        duration, wait = int(seconds * 1e6), int(waited * 1e6)
        return (
            f'{{"timestamp":"{when}{_PARTS[int(finished % 1 * 1000)]}"'
            f"{_request(line) if len(line) <= _SHORT else _read_request(line)}"
            f',"http.response.status_code":{status or CLIENT_LEFT},"http.response.body.size":{size}'
            f',"http.request.body.size":{received}'
            f',"http.server.request.duration":{_TIMES.get(duration) or _time(duration)}'
            f',"twisted_wsgiref.queue_wait":{_TIMES.get(wait) or _time(wait)}'
            f"{_rest(peer, user, referer, agent, extra)}{self.pid}{last}}}\n"
        )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=JSONLines.forked)


def _extract(environ: Mapping[str, object], fields: Mapping[str, str], lines: str) -> Extra:
    # An application may put anything there.
    scheme, tls = environ.get("wsgi.url_scheme"), environ.get("SSL_PROTOCOL")
    if type(scheme) is not str or not (tls is None or type(tls) is str):
        scheme = tls = None
    if "HTTP_TRACEPARENT" in environ:
        trace = environ["HTTP_TRACEPARENT"]
        return scheme, tls, here.name, trace if type(trace) is str else None
    return scheme, tls, here.name


def _time(micros: int) -> str:
    """Return a time in seconds; a short one is remembered."""
    text = f"{micros // 1_000_000}.{micros % 1_000_000:06}"
    if micros < _REMEMBERED:
        _TIMES[micros] = text
    return text


def _read_request(line: str) -> str:
    method, _, rest = line.partition(" ")
    if not rest:  # it never became a request
        return ""
    target, _, version = rest.rpartition(" ")
    path, mark, query = path_and_query(target)
    name = f'"{method}"' if method in _METHODS else f'"_OTHER","http.request.method_original":{text_of(method)}'
    asked = f',"url.query":{text_of(query)}' if mark else ""
    protocol = text_of(version.removeprefix("HTTP/"))
    return f',"http.request.method":{name},"url.path":{text_of(path)}{asked},"network.protocol.version":{protocol}'


_request = lru_cache(maxsize=256)(_read_request)


@lru_cache(maxsize=256)
def _rest(peer: str | None, user: str, referer: str, agent: str, extra: Extra) -> str:
    """Return what many lines have in common, up to the id of the process."""
    scheme, tls, thread = extra or (None, None, None)
    return "".join(
        (
            f',"client.address":{text_of(peer)}' if peer else "",
            f',"user.name":{text_of(user)}' if user else "",
            f',"user_agent.original":{text_of(agent)}' if agent else "",
            f',"http.request.header.referer":[{text_of(referer)}]' if referer else "",
            f',"url.scheme":{text_of(scheme)}' if scheme else "",
            f',"tls.protocol.name":"tls","tls.protocol.version":{text_of(tls.removeprefix("TLSv"))}' if tls else "",
            f',"thread.name":{encode_basestring_ascii(thread)}' if thread else "",
            ',"process.pid":',
        )
    )


def _trace(parent: str | None) -> str:
    """Return the ids in a ``traceparent`` that is well-formed. W3C Trace Context, section 3.2."""
    found = _PARENT.match(parent or "")
    return "" if found is None else f',"trace_id":"{found[1]}","span_id":"{found[2]}"'
