"""The line of one request as an object of JSON, with the names of OpenTelemetry's conventions for HTTP.

Names are those of the semantic conventions 1.27 and later (HTTP, URL, client, user agent, TLS, process and thread), and
``trace_id`` and ``span_id`` those of "Trace Context in non-OTLP Log Formats". For the queue wait and the request id
they have no name. A value that is not known is not there.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii
from math import trunc
from typing import Final, TypeAlias, cast

from .lines import CLIENT_LEFT, Numbers, Seconds, path_and_query
from .record import Extract, Facts, Head
from .thread_names import here

# Beyond these, the conventions want _OTHER, so that a client can not invent names without end.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
_PARENT: Final = re.compile(r"[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-[0-9a-f]{2}(?:\Z|-)")
# The end of a time, by its milliseconds: to format a number costs three times as much as to look it up.
_PARTS: Final = [f'.{number:03}Z"' for number in range(1000)]
# The text of times of fewer microseconds than this, once there was one: most answers are as quick.
_REMEMBERED: Final = 10_000
# Sizes below this are remembered, as text: most answers are pages of some KiB.
_SIZES: Final = 16 * 1024

_Kept: TypeAlias = "tuple[str, str]"
_Brief: TypeAlias = "tuple[_Kept, int, int, float, float, float, int]"


def text_of(sent: str) -> str:
    """Return text that came as latin-1 as a string of JSON, quotes included: UTF-8 if it can be read so."""
    if not sent.isascii():
        try:
            sent = sent.encode("latin-1").decode("utf-8")
        except UnicodeError:
            pass
    return encode_basestring_ascii(sent)


class _Times(Numbers):
    """The text of times, in seconds, by their microseconds."""

    def write(self, number: int) -> str:
        """Return so many microseconds as they are written."""
        return f"{number // 1_000_000}.{number % 1_000_000:06}"


class JSONLines:
    """One object a line.

    What is known when the head is there is made once for each head: a client that sends it again finds it done.
    """

    extract: Extract | None = None
    takes_exchanges = True
    timed = True
    noted = object()  # never in a note: which thread runs a request is in none
    pid = str(os.getpid())  # the system's call costs a tenth of a line

    def __init__(self) -> None:
        self._seconds = Seconds(_begin_line)
        self._statuses = Numbers(
            1000,
            {0: str(CLIENT_LEFT)},
            before=',"http.response.status_code":',
            behind=',"http.response.body.size":',
        )
        self._sizes = Numbers(_SIZES)
        self._received = Numbers(_SIZES, before=',"http.request.body.size":', behind=',"http.server.request.duration":')
        self._times = _Times(_REMEMBERED)

    @classmethod
    def forked(cls) -> None:
        """Know that this is another process. Called in the child of a fork."""
        cls.pid = str(os.getpid())

    def keep(self, head: Head, environ: Mapping[str, object]) -> object:
        """Return what the line says of the request, and the end of it. Called by the thread that ran the request."""
        note = head.note
        if note[0] is not self:
            note = self, _of_head(head, environ)
            if environ:  # else the next request with this head finds the client
                head.note = note
        last = here.in_json
        user = environ.get("REMOTE_USER")
        if user and type(user) is str:
            last = f'{last[:-2]},"user.name":{text_of(user)}}}\n'
        if head.request_id:
            trace = environ.get("HTTP_TRACEPARENT")  # the server may have made it
            last = f'{last[:-2]},"request_id":{text_of(head.request_id)}{_trace(trace)}}}\n'
        return note[1], last

    def brief(self, facts: Facts) -> _Brief:
        """Return what a line is made of, by `facts`, which do not say where a request ran."""
        peer, line, status, size, finished, seconds, referer, agent, user, _, waited, received, ident, _ = facts
        last = f',"user.name":{text_of(user)}' if user else ""
        if ident:
            last = f'{last},"request_id":{text_of(ident)}'
        told = f"{_read_request(line)}{_of_client(peer, referer, agent)}"
        return (told, f"{last}}}\n"), status, size, finished, seconds, waited, received

    def lines(self, briefs: Sequence[object]) -> list[str]:
        """Return the lines."""
        lines: list[str] = []
        add, statuses, sizes = lines.append, self._statuses.known, self._sizes.known
        bodies, times, process = self._received.known, self._times.known, f',"process.pid":{self.pid}'
        start, end, when = self._seconds.last
        for (told, last), status, size, finished, seconds, waited, received in cast("Sequence[_Brief]", briefs):
            if not start <= finished < end:
                start, end, when = self._seconds.begin(finished)
            # `trunc` is three times as fast as `int`.
            part, took, wait = _PARTS[trunc((finished - start) * 1000)], trunc(seconds * 1e6), trunc(waited * 1e6)
            try:
                add(
                    f"{when}{part}{told}{statuses[status]}{sizes[size]}{bodies[received]}{times[took]}"
                    f',"twisted_wsgiref.queue_wait":{times[wait]}{process}{last}'
                )
            except KeyError:
                outcome = f"{self._statuses.text(status)}{self._sizes.text(size)}{self._received.text(received)}"
                add(
                    f"{when}{part}{told}{outcome}{self._times.text(took)}"
                    f',"twisted_wsgiref.queue_wait":{self._times.text(wait)}{process}{last}'
                )
        return lines


def _begin_line(seconds: int) -> str:
    """Return the start of a line of that second, up to the second's parts."""
    return f'{{"timestamp":"{format_second(seconds)}'


def format_second(seconds: int) -> str:
    """Return the second, in UTC: ``2000-10-10T20:55:36``. ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=JSONLines.forked)


def _of_head(head: Head, environ: Mapping[str, object]) -> str:
    """Return what the line says of the request, whoever runs it and however it ends."""
    fields = head.fields
    # An application may put anything there.
    peer, scheme, tls = environ.get("REMOTE_ADDR"), environ.get("wsgi.url_scheme"), environ.get("SSL_PROTOCOL")
    return "".join(
        (
            _read_request(head.request_line),
            _of_client(peer, fields.get("HTTP_REFERER", ""), fields.get("HTTP_USER_AGENT", "")),
            f',"url.scheme":{text_of(scheme)}' if type(scheme) is str else "",
            _of_tls(tls) if type(tls) is str else "",
            "" if head.request_id else _trace(fields.get("HTTP_TRACEPARENT")),
        )
    )


def _of_client(peer: object, referer: str, agent: str) -> str:
    return (
        (f',"client.address":{text_of(peer)}' if peer and type(peer) is str else "")
        + (f',"user_agent.original":{text_of(agent)}' if agent else "")
        + (f',"http.request.header.referer":[{text_of(referer)}]' if referer else "")
    )


def _of_tls(name: str) -> str:
    return f',"tls.protocol.name":"tls","tls.protocol.version":{text_of(name.removeprefix("TLSv"))}'


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


def _trace(parent: object) -> str:
    """Return the ids in a ``traceparent`` that is well-formed. W3C Trace Context, section 3.2."""
    found = _PARENT.match(parent) if type(parent) is str else None
    return "" if found is None else f',"trace_id":"{found[1]}","span_id":"{found[2]}"'
