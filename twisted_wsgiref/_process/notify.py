"""What systemd is told: that we serve, reload, stop, and are alive. Datagrams to ``$NOTIFY_SOCKET``; no library.

What lives here: the texts of sd_notify(3), as pure functions, and their sender. What may not: when to say what, which
is the services'. A message that can not be delivered is no reason to serve worse. Called in the reactor's thread.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping

from twisted.logger import Logger

from twisted_wsgiref._twisted.reactor import Reactor, repeating

_log = Logger()


def message(*states: str, status: str = "") -> bytes:
    """Return a datagram: ``NAME=VALUE`` a line, with the `status` for people as its last."""
    lines = [*states, *([f"STATUS={' '.join(status.split())}"] if status else [])]
    return "\n".join(lines).encode("utf-8", "replace")


def socket_address(text: str) -> str | None:
    """Return what to send to for ``$NOTIFY_SOCKET``: a path, or ``@`` for the abstract kind; None for no such thing."""
    if text.startswith("@") and len(text) > 1:
        return f"\0{text[1:]}"
    return text if text.startswith("/") else None


class Notifier:
    """Tells the service manager at `address`, as in ``$NOTIFY_SOCKET``; with "" nobody is told anything.

    `watchdog` is after how many seconds without a word from us, from the process `pid` if there is one, it acts.
    """

    def __init__(self, address: str = "", watchdog: float = 0.0, pid: int | None = None) -> None:
        self._address = socket_address(address)
        self._watchdog = watchdog
        self._pid = pid
        self._complained = False

    @classmethod
    def taken_from(cls, environ: MutableMapping[str, str]) -> Notifier:
        """Return a notifier for what `environ` says, and remove that: processes of ours are not to speak for us."""
        address = environ.pop("NOTIFY_SOCKET", "")
        usec, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        try:
            return cls(address, int(usec or 0) / 1e6, int(pid) if pid else None)
        except ValueError:
            return cls(address)

    def ready(self, status: str) -> None:
        """Say that all is as it should be: the first time, or again after `reloading`."""
        self._send(message("READY=1", status=status))

    def reloading(self) -> None:
        """Say that new code is being started; `ready` has to follow. The time is what ``Type=notify-reload`` wants."""
        now = time.monotonic_ns() // 1000
        self._send(message("RELOADING=1", f"MONOTONIC_USEC={now}", status="starting workers with the new code"))

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._send(message("STOPPING=1", status="answering the requests in flight"))

    def keep_alive(self, reactor: Reactor) -> None:
        """Say that we are alive twice in each time of the watchdog, by the turns of `reactor`, from now to its end."""
        if self._address is None or self._watchdog <= 0 or self._pid not in (None, os.getpid()):
            return
        repeating(lambda: self._send(message("WATCHDOG=1")), reactor).start(self._watchdog / 2)

    def _send(self, data: bytes) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                # A manager that reads nothing must not hold the reactor up.
                sock.setblocking(False)
                sock.sendto(data, self._address)
        except OSError as error:
            if not self._complained:
                self._complained = True
                _log.warn("NOTIFY_SOCKET: nobody could be told: {error}", error=error.strerror or str(error))
