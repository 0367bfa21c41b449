"""One line a request in the combined format, written in batches by a thread of its own.

What lives here: the line, the file, and the thread between them. What may not: anything that could make a request wait.
Under load the lines of a few requests are made together, by the caller that brings the last: what they are made of, and
the code that makes them, are in the processor's cache then. A line by itself costs twice as much, and so does a record
that lies about until the writer comes. All else is done by the writer, so a stalled disk stalls nobody.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from math import floor
from typing import Protocol

from twisted.logger import Logger

from .record import Record

# Long enough to join the lines of a busy moment into one write, too short for someone who watches the file to notice.
GATHER_SECONDS = 0.05
# So many lines are made together; from 8 on the gain is the same.
TOGETHER = 16
# One write: about 200 KiB at most lines' length. Beyond it the next batch follows at once.
BATCH = 1000
# What a disk or pipe that takes nothing may pile up: about 30 MiB, some seconds of a very busy server.
MOST_WAITING = 100_000
# A disk that is full again and again is told of once in this time.
QUIET_SECONDS = 10.0
# How long `close` waits for a disk that takes nothing.
CLOSE_SECONDS = 2.0

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNSAFE = re.compile(r"[^ !#-\[\]-~]")
_UNSAFE_WORD = re.compile(r"[^!#-\[\]-~]")  # Outside of quotes a space would begin the next field.


class Sink(Protocol):
    """What takes the lines: an unbuffered binary stream. `write` returns how many octets it took, None for none."""

    def write(self, data: bytes, /) -> int | None: ...

    def close(self) -> None: ...


def _escaped(found: re.Match[str]) -> str:
    character = found.group()
    data = character.encode("latin-1" if character <= "\xff" else "utf-8", "surrogatepass")
    return "".join(f"\\x{octet:02x}" for octet in data)


def _quoted(text: str) -> str:
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text or "-"
    return _UNSAFE.sub(_escaped, text)


def _word(text: str | None) -> str:
    return _UNSAFE_WORD.sub(_escaped, text or "-")


# Few clients make most lines.
@lru_cache(maxsize=256)
def _start_of_line(peer: str | None, user: str) -> str:
    return f"{_word(peer)} - {_word(user)}"


@lru_cache(maxsize=256)
def _end_of_line(referer: str, agent: str) -> str:
    return f'"{_quoted(referer)}" "{_quoted(agent)}"'


def format_time(seconds: int) -> str:
    """Return a time as Apache writes it, in the local zone: ``10/Oct/2000:13:55:36 -0700``."""
    local = time.localtime(seconds)
    sign, minutes = ("-" if local.tm_gmtoff < 0 else "+"), abs(local.tm_gmtoff) // 60
    return (
        f"{local.tm_mday:02}/{_MONTHS[local.tm_mon - 1]}/{local.tm_year}:{local.tm_hour:02}:{local.tm_min:02}:"
        f"{local.tm_sec:02} {sign}{minutes // 60:02}{minutes % 60:02}"
    )


def format_line(record: Record, when: str) -> str:
    """Return `record` as a line of the combined format: printable ASCII, all else and ``"`` and ``\\`` as ``\\xNN``.

    Format: ``%h - %u [%t] "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`` of Apache's mod_log_config. A client that
    left before its answer began has status 499, nginx's number for it, because tools expect three digits.
    """
    peer, line, status, octets, _, _, referer, agent, user = record
    return (
        f'{_start_of_line(peer, user)} [{when}] "{_quoted(line)}" {status or 499} {octets or "-"} '
        f"{_end_of_line(referer, agent)}\n"
    )


class AccessLog:
    """An observer that keeps `Record` after `Record` as lines in a file.

    `target` is a path, ``-`` for standard output, or a `Sink`. Raises `OSError` where a path can not be opened.
    Lines that can not be written are counted, and `say` is told once when it begins and once when it is well again.

    Any thread may call it; nobody waits. `reopen` and `close` are for the main thread.
    """

    def __init__(self, target: str | Sink, *, say: Callable[[str], None] | None = None) -> None:
        self._path = None if not isinstance(target, str) or target == "-" else os.path.abspath(target)
        self._say = say or _say
        # Added to by any thread, emptied by whoever makes lines of them.
        self._records: deque[Record] = deque()
        # Emptied by the writer. A list, since many can be taken out of it at once.
        self._lines: list[str] = []
        self._making = threading.Lock()  # Held to make lines, by one thread at a time: so they keep their order.
        self._bell = threading.Lock()  # held by the writer; released by who adds a record and finds it asleep
        self._bell.acquire()
        self._asleep = True  # or not begun
        # A second's start and end, and how it is written.
        self._second = (0.0, 0.0, "")
        self._stop = threading.Event()
        self._reopen = False
        self._writer: threading.Thread | None = None
        self._lock = threading.Lock()  # Held to start or wake the thread.
        self._overflowed = 0  # What found too many lines, counted and looked at by who holds `_making`.
        if self._path is not None:
            self._sink: Sink = _open(self._path)
        elif isinstance(target, str):
            self._sink = open(_standard_output(), "wb", buffering=0, closefd=False)  # noqa: SIM115
        else:
            self._sink = target
        # The writer's own.
        self._lost = 0
        self._ailing = False
        self._torn = False
        self._quiet_until = 0.0

    # ---- Any thread ----------------------------------------------------------------------------------------------

    def __call__(self, record: Record) -> None:
        """Have `record` written soon. Called by any thread; never waits."""
        records = self._records
        records.append(record)
        # First the record, then a look whether the writer sleeps; it says that it sleeps, and then looks for records.
        if self._asleep:
            self._wake()
        if len(records) >= TOGETHER and self._making.acquire(blocking=False):
            self._make_lines()

    def _make_lines(self) -> None:
        """Make lines of all records that are there. Called by whoever took `_making`, which is given back."""
        try:
            records, lines = self._records, self._lines
            start, end, when = self._second
            while records:
                record = records.popleft()
                if len(lines) >= MOST_WAITING:
                    self._overflowed += 1
                    continue
                if not start <= record.finished < end:
                    start, end, when = self._begin_second(record.finished)
                lines.append(format_line(record, when))
        finally:
            self._making.release()

    def _begin_second(self, now: float) -> tuple[float, float, str]:
        start = floor(now)
        self._second = float(start), start + 1.0, format_time(start)
        return self._second

    def _wake(self) -> None:
        with self._lock:
            if not self._asleep or (self._stop.is_set() and self._writer is None):
                return
            self._asleep = False
            if self._writer is not None:
                self._bell.release()
                return
            thread = threading.Thread(target=self._run, name="access-log", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread is to be had now: the next line tries again
                self._asleep = True
            else:
                self._writer = thread

    # ---- The main thread -----------------------------------------------------------------------------------------

    def reopen(self) -> None:
        """Make the writer open its path anew before the next line: log rotation. Safe in a signal handler."""
        self._reopen = True

    def close(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Write what has come so far and end the thread; say whether all that was done within `timeout` seconds.

        Records that come later are dropped. Called by the main thread.
        """
        self._stop.set()
        with self._lock:
            thread = self._writer
        if thread is None:
            self._sink.close()
            return True
        self._wake()
        thread.join(timeout)
        return not thread.is_alive()

    # ---- The writer's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._wait():
            if len(self._lines) < BATCH:
                self._stop.wait(GATHER_SECONDS)
            self._making.acquire()  # what a caller is making now belongs to it
            self._make_lines()
            lines = self._lines[:BATCH]
            del self._lines[: len(lines)]
            self._write(lines)
        if self._lost:
            self._say_lost("the access log is closed; ")
        self._sink.close()

    def _wait(self) -> bool:
        """Wait for a record; return False once there will be none."""
        while not self._records and not self._lines:
            if self._stop.is_set():
                return False
            self._asleep = True
            if self._records or self._lines or self._stop.is_set():
                self._wake()
            self._bell.acquire()
        return True

    def _write(self, lines: list[str]) -> None:
        if self._reopen and self._path is not None:
            self._reopen = False
            self._open_anew(self._path)
        # What a full disk broke off must not run into the next line.
        data = ("\n" * self._torn + "".join(lines)).encode("ascii")
        rest, error = _write_all(self._sink, data)
        written = len(data) - len(rest)
        if written:
            self._torn = data[written - 1 : written] != b"\n"
        lost = _lines_in(rest, lines)
        with self._making:
            overflowed, self._overflowed = self._overflowed, 0
        self._lost += lost + overflowed
        if error is not None or overflowed:
            self._say_ill(str(error.strerror or error) if error is not None else "they are not taken fast enough")
        elif self._ailing and not self._lines:
            self._ailing = False
            self._say_lost("the access log is written again; ")

    def _say_ill(self, reason: str) -> None:
        now = time.monotonic()
        if not self._ailing and now >= self._quiet_until:
            self._ailing, self._quiet_until = True, now + QUIET_SECONDS
            self._say(f"the access log can not be written, lines are lost: {reason}")

    def _say_lost(self, before: str = "") -> None:
        lost, self._lost = self._lost, 0
        self._say(f"{before}{lost} {'line of it was' if lost == 1 else 'lines of it were'} lost")

    def _open_anew(self, path: str) -> None:
        try:
            sink = _open(path)
        except OSError as error:
            self._say(f"the access log {path} can not be opened anew, the old file is still written: {error.strerror}")
            return
        self._sink.close()
        self._sink = sink


def _open(path: str) -> Sink:
    # "ab": each write goes to the end, also when a rotating tool has cut the file short.
    return open(path, "ab", buffering=0)


def _standard_output() -> int:
    """Return the descriptor, not `sys.stdout`, which Twisted replaces by its own log."""
    return sys.__stdout__.fileno() if sys.__stdout__ is not None else 1


def _write_all(sink: Sink, data: bytes) -> tuple[bytes, OSError | None]:
    """Write `data`, in one call unless the sink takes only a part; return what is left, and what stopped it."""
    try:
        while data:
            taken = sink.write(data)
            if not taken:
                return data, BlockingIOError(errno.EAGAIN, "nothing is taken now")
            data = data[taken:]
    except OSError as error:
        return data, error
    except ValueError as error:  # A closed file.
        return data, OSError(errno.EBADF, str(error))
    return data, None


def _lines_in(rest: bytes, lines: list[str]) -> int:
    """Return how many of `lines` are not whole when `rest` of them, from their end, was not written."""
    octets, count = len(rest), 0
    while octets > 0 and count < len(lines):
        count += 1
        octets -= len(lines[-count])
    return count


_log = Logger()


def _say(line: str) -> None:
    _log.warn("{line}", line=line)
