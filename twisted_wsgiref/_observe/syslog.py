"""The access log's lines as messages of syslog: to the daemon of this machine, or by UDP to another.

A local daemon reads what the C library's ``syslog`` writes: RFC 3164 without the name of a host. Another machine gets
RFC 5424, which has years, time zones, and the host, by UDP as RFC 5426 has it. One datagram a line.
"""

from __future__ import annotations

import os
import re
import socket
import time
from typing import Final

#: What a target begins with.
SCHEME: Final = "syslog:"
#: The daemon's socket on Linux and the BSDs.
LOCAL: Final = "/dev/log"
#: By their numbers, RFC 5424, section 6.2.1, without those of the kernel and of the clock.
FACILITIES: Final = {
    "user": 1,
    "mail": 2,
    "daemon": 3,
    "auth": 4,
    "lpr": 6,
    "news": 7,
    "uucp": 8,
    "cron": 9,
    "authpriv": 10,
    "ftp": 11,
    **{f"local{number}": 16 + number for number in range(8)},
}
_INFORMATIONAL: Final = 6
# The most bytes of a message: rsyslog's default, and within any datagram. A longer line is cut.
LONGEST: Final = 8 * 1024
_TAG: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")  # RFC 3164, section 4.1.3, and characters that everybody takes
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PORT: Final = 514


class Target:
    """Where to, and as what: ``syslog:[PATH | HOST[:PORT]][,facility=NAME][,tag=NAME]``. Raises `ValueError`."""

    def __init__(self, text: str) -> None:
        place, *options = text.removeprefix(SCHEME).split(",")
        self.facility, self.tag = FACILITIES["daemon"], "twisted_wsgiref"
        for option in options:
            name, _, value = option.partition("=")
            if name == "facility" and value in FACILITIES:
                self.facility = FACILITIES[value]
            elif name == "tag" and _TAG.fullmatch(value):
                self.tag = value
            elif name == "facility":
                raise ValueError(f"there is no facility {value!r}: there are {', '.join(FACILITIES)}")
            elif name == "tag":
                raise ValueError(f"{value!r} is no tag: it has to be at most 32 letters, digits, '_', '.' or '-'")
            else:
                raise ValueError(f"syslog has no option {option!r}: there are facility=NAME and tag=NAME")
        self.path = place or LOCAL
        self.host, self.port = "", _PORT
        if place and not place.startswith("/"):
            self.host, self.port = _host_and_port(place)


def _host_and_port(place: str) -> tuple[str, int]:
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]/]+))(?::([0-9]{1,5}))?", place)
    port = int(found[3] or _PORT) if found is not None else 0
    if found is None or not 0 < port < 65536:
        raise ValueError(f"{place!r} is no place for syslog: it has to be a path, or HOST:PORT")
    return found[1] or found[2], port


class SyslogSink:
    """A `Sink` that sends each line as a datagram, and connects again if the daemon has come back.

    Called in the writer's thread.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._host = socket.gethostname() or "-"
        self._sock = self._connect()

    def _connect(self) -> socket.socket:
        """Return a socket for the target, which never blocks. Raises `OSError`."""
        target = self._target
        if target.host:
            found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)[0]
            sock = socket.socket(found[0], socket.SOCK_DGRAM)
        else:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.connect(found[4] if target.host else target.path)
        except OSError as error:
            sock.close()
            place = f"{target.host}:{target.port}" if target.host else target.path
            raise OSError(error.errno, f"{place}: {error.strerror or error}") from None
        return sock

    def fileno(self) -> int:
        """Return the descriptor of the socket."""
        return self._sock.fileno()

    def write(self, data: bytes) -> int | None:
        """Send the lines of `data`, each with its end; return the bytes of those that are sent, None for none."""
        begin = self._begin()
        taken = 0
        for line in data.splitlines(keepends=True):
            try:
                if line != b"\n":
                    self._send((begin + line[:-1])[:LONGEST])
            except BlockingIOError:
                break
            except OSError:
                if taken:
                    break  # the next call meets it again
                raise
            taken += len(line)
        return taken or None

    def _send(self, message: bytes) -> None:
        try:
            self._sock.send(message)
        except BlockingIOError:
            raise
        except OSError:
            # The daemon was started anew, or an earlier datagram has met a closed port: once more.
            sock = self._connect()
            self._sock.close()
            self._sock = sock
            sock.send(message)

    def _begin(self) -> bytes:
        """Return what each message of this moment begins with."""
        target, now = self._target, time.time()
        priority = target.facility * 8 + _INFORMATIONAL
        if target.host:
            when = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03}Z"
            return f"<{priority}>1 {when} {self._host} {target.tag} {os.getpid()} - - ".encode()
        local = time.localtime(now)
        when = f"{_MONTHS[local.tm_mon - 1]} {local.tm_mday:2} {time.strftime('%H:%M:%S', local)}"
        return f"<{priority}>{when} {target.tag}[{os.getpid()}]: ".encode()

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


def open_syslog(text: str) -> SyslogSink:
    """Return a sink for what `text` says, as of `Target`. Raises `ValueError` and `OSError`."""
    return SyslogSink(Target(text))
