"""Counts for statsd, by gunicorn's names, gathered for a second and sent by UDP. Nobody waits for it.

Here live the counts, the text and the datagrams. What may not: a name that is looked up while requests are served.
The text is that of https://github.com/statsd/statsd/blob/master/docs/metric_types.md.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from twisted_wsgiref._threads.marks import NO_GIL

from .record import Facts

# Fits into a frame of Ethernet behind the heads of IPv6 and UDP: a datagram that is cut into parts is easily lost.
_LONGEST: Final = 1432
# So many durations of a second are sent; statsd is told which part of all they are.
_SAMPLES: Final = 50


class Statsd:
    """An observer that counts requests, and sends the counts by `send` when `flush` is called, with `prefix`.

    `close` gives back what `send` has.
    """

    def __init__(self, prefix: str, send: Callable[[bytes], object], close: Callable[[], object] = bool) -> None:
        self._prefix = f"{prefix.rstrip('.')}." if prefix else ""
        self._send = send
        self._close = close
        self._counts = [0] * 1000
        self._durations: deque[float] = deque(maxlen=_SAMPLES)
        self._lock = threading.Lock() if NO_GIL else None

    def observe_facts(self, facts: Facts) -> None:
        """Count one. Called in any thread."""
        # As `metrics` counts: with the GIL this is one step.
        if self._lock is None:
            self._counts[facts[2] or 499] += 1
        else:
            with self._lock:
                self._counts[facts[2] or 499] += 1
        self._durations.append(facts[5])

    def flush(self) -> None:
        """Send what has been counted since the last time. Called in the reactor's thread, about once a second."""
        for datagram in _datagrams(self._lines()):
            self._send(datagram)

    def close(self) -> None:
        """Send the rest."""
        self.flush()
        self._close()

    def _lines(self) -> Iterator[str]:
        total = 0
        for status, count in enumerate(self._counts):
            if count:
                if self._lock is None:
                    self._counts[status] -= count
                else:
                    with self._lock:
                        self._counts[status] -= count
                total += count
                yield f"{self._prefix}gunicorn.request.status.{status}:{count}|c"
        if total:
            yield f"{self._prefix}gunicorn.requests:{total}|c"
        samples = [self._durations.popleft() for _ in range(len(self._durations))]
        part = f"|@{len(samples) / total:.4g}" if len(samples) < total else ""
        for seconds in samples:
            yield f"{self._prefix}gunicorn.request.duration:{seconds * 1000:.3f}|ms{part}"


def _datagrams(lines: Iterable[str]) -> Iterator[bytes]:
    """Yield `lines`, as many together as fit."""
    text = b""
    for line in lines:
        data = line.encode("ascii", "replace")
        if text and len(text) + 1 + len(data) > _LONGEST:
            yield text
            text = b""
        text = text + b"\n" + data if text else data
    if text:
        yield text


class Sender:
    """Sends datagrams to `host`, whose name is looked up now. What can not be sent is lost.

    Raises `OSError` if the name is not known.
    """

    def __init__(self, host: str, port: int) -> None:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._family, self._kind, self._address = found[0], found[1], found[4]
        self._sock: socket.socket | None = None

    def __call__(self, data: bytes) -> None:
        """Send `data`. Waits for nobody."""
        try:
            if self._sock is None:
                self._sock = socket.socket(self._family, self._kind)
                self._sock.setblocking(False)
            self._sock.sendto(data, self._address)
        except OSError:  # nobody listens there, or the system has no room
            pass

    def close(self) -> None:
        """Give the socket back; another one is made when it is needed."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None
