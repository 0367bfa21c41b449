"""News for systemd: that we serve, reload, stop, and are alive. Datagrams to ``$NOTIFY_SOCKET``, without a library.

Here live the texts of sd_notify(3), as pure functions, and their sender. The time of each message is the services'
business. A message that can not be delivered is no reason to serve worse. Called in the reactor's thread.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, MutableMapping

from twisted.logger import Logger

from twisted_wsgiref._twisted.reactor import Reactor, repeating

_log = Logger()


def message(*states: str, status: str = "") -> bytes:
    """Return a datagram: ``NAME=VALUE`` a line, with the `status` for people as its last."""
    lines = [*states, *([f"STATUS={' '.join(status.split())}"] if status else [])]
    return "\n".join(lines).encode("utf-8", "replace")


def socket_address(text: str) -> str | None:
    """Return the address for the text of ``$NOTIFY_SOCKET``, a path or an abstract one (``@``); None for no address."""
    if text.startswith("@") and len(text) > 1:
        return f"\0{text[1:]}"
    return text if text.startswith("/") else None


class Notifier:
    """Tells the service manager at `address`, as in ``$NOTIFY_SOCKET``; with "" it tells nothing.

    After `watchdog` seconds without a word from us the manager acts; it listens to the process `pid`, None: to any.
    """

    def __init__(self, address: str = "", watchdog: float = 0.0, pid: int | None = None) -> None:
        self._address = socket_address(address)
        self._watchdog = watchdog
        self._pid = pid
        self._complained = False
        self._when_ready: list[Callable[[], object]] = []

    @classmethod
    def taken_from(cls, environ: MutableMapping[str, str]) -> Notifier:
        """Return a notifier by the variables of `environ`, and remove these: our children must not speak for us."""
        address = environ.pop("NOTIFY_SOCKET", "")
        usec, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        try:
            return cls(address, int(usec or 0) / 1e6, int(pid) if pid else None)
        except ValueError:
            return cls(address)

    def call_when_ready(self, call: Callable[[], object]) -> None:
        """Call `call` before each time that the manager is told, and also if there is none."""
        self._when_ready.append(call)

    def ready(self, status: str) -> None:
        """Say that we serve: the first time, or again after `reloading`."""
        for call in self._when_ready:
            call()
        self._send(message("READY=1", status=status))

    def reloading(self, status: str = "starting workers with the new code") -> None:
        """Say that new code, or what else `status` names, is taken; `ready` has to follow.

        ``Type=notify-reload`` wants the time.
        """
        now = time.monotonic_ns() // 1000
        self._send(message("RELOADING=1", f"MONOTONIC_USEC={now}", status=status))

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._send(message("STOPPING=1", status="answering the requests in flight"))

    def keep_alive(self, reactor: Reactor) -> None:
        """Say twice in each `watchdog` that we are alive, by the clock of `reactor`, from now to its end."""
        if self._address is None or self._watchdog <= 0 or self._pid not in (None, os.getpid()):
            return
        repeating(lambda: self._send(message("WATCHDOG=1")), reactor).start(self._watchdog / 2)

    def _send(self, data: bytes) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                # A manager that reads nothing must not hold up the reactor.
                sock.setblocking(False)
                sock.sendto(data, self._address)
        except OSError as error:
            if not self._complained:
                self._complained = True
                _log.warn(
                    "NOTIFY_SOCKET: the service manager can not be told: {error}", error=error.strerror or str(error)
                )
