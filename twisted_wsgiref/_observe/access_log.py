"""One line a request, written in batches by a thread of its own.

Here live the file, and the thread between it and the requests; how a line is made is in `lines`. Nothing that could
make a request wait may live here. Under load the caller that brings the last of a few records makes their lines
together: then their parts, and the code, are in the processor's cache. A line by itself costs twice as much, and so
does a record that waits for the writer. The writer does everything else, so a stalled disk stalls nobody.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import repeat
from typing import Final

from twisted.logger import Logger

from twisted_wsgiref._threads.forks import drop, tell
from twisted_wsgiref._threads.marks import NO_GIL, fence

from .lines import COMBINED, LineFormat, path_and_query
from .record import Ended, Extract, Facts, Head
from .sink import Sink, descriptor_of, open_file, standard_output, write_all
from .syslog import SCHEME, open_syslog

# Long enough to join the lines of a busy moment into one write, too short to notice for a person who watches the file.
GATHER_SECONDS = 0.05
# So many lines are made together. From 8 on the gain is the same.
TOGETHER = 16
# The bytes of one write: a thousand lines and more. If there are more, the next write follows at once.
PIECE = 256 * 1024
# Lines that are made together wait as one block, or as several if they are longer than this, in bytes. Sixteen usual
# lines are one. So many blocks are counted, and no bytes: a count of bytes that many threads change needs a lock.
BLOCK = 8 * 1024
# The most bytes that wait for a disk or a pipe that takes nothing: some seconds of a very busy server.
MOST_WAITING = 32 * 1024 * 1024
# If a disk is full again and again, the log says so once in this time.
QUIET_SECONDS = 10.0
# `close` waits so long for a disk that takes nothing.
CLOSE_SECONDS = 2.0
# Then the writer asks so often whether a pipe has room again, twice a second: within that time.
LAST_TRIES = 3
# Takes the first record of a deque.
_take: Final[Callable[[deque[object]], object]] = deque.popleft
# At the end, the writer looks so often whether a thread still makes lines.
MOMENT = 0.001


class AccessLog:
    """An observer that writes the facts of each exchange as a line into a file.

    `target` is a path, ``-`` for standard output, ``syslog:`` and what `open_syslog` takes, or a `Sink`. Raises
    `OSError` if it can not open that. A request gets no line if `skip`, such as a pattern's ``search``, finds something
    in its path. The log counts lines that it can not write (``lost``), and calls `say` once when that begins and once
    when it is over. If several threads finish requests at the same moment, their lines may come in any order.

    Any thread may call it, but no signal handler; nobody waits. `reopen` and `close` are for the main thread.
    """

    #: Whether it takes exchanges, which costs less than their facts; and whether it is to be told when they began.
    takes_exchanges: bool = False
    timed: bool = False

    def __init__(
        self,
        target: str | Sink,
        *,
        say: Callable[[str], None] | None = None,
        line_format: LineFormat = COMBINED,
        skip: Callable[[str], object] | None = None,
    ) -> None:
        is_syslog = isinstance(target, str) and target.startswith(SCHEME)
        self._path = None if not isinstance(target, str) or target == "-" or is_syslog else os.path.abspath(target)
        self._say = say or _say
        self._format = line_format
        self._skip = skip
        #: The lines that could not be written, so far. Any thread may read it.
        self.lost = 0
        self.takes_exchanges = line_format.takes_exchanges
        self.timed = line_format.timed
        #: As of `ExchangeLog`.
        self.noted = line_format.noted
        #: As of `ExchangeLog`, if it takes exchanges.
        self.keep: Callable[[Head, Mapping[str, object]], object] = line_format.keep
        # Of each request what its line is made of. Any thread adds; a thread that makes lines takes.
        self._records: deque[object] = deque()
        #: Writes soon what there is to say of an exchange. Called by any thread; never waits.
        self.observe_exchange: Callable[[Ended], None] = _observer(self, skip)
        # One entry for each thread that has taken records and not yet added their lines.
        self._making: list[None] = []
        # Lines, in blocks; those of one line that is longer than a block are behind each other, since they are added in
        # one step. Any thread adds; the writer takes.
        self._waiting: deque[bytes] = deque()
        self._most_waiting = -(-MOST_WAITING // BLOCK)  # in blocks
        self._signal = threading.Lock()  # the writer holds it; a thread that adds a record and finds it asleep releases
        self._signal.acquire()
        self._asleep = True  # or not begun
        self._stop = threading.Event()
        self._reopen = False
        self._writer: threading.Thread | None = None
        self._lock = threading.Lock()  # Held to start or wake the thread, and to count the lines of an overflow.
        self._overflowed = 0
        if self._path is not None:
            self._sink: Sink = open_file(self._path)
        elif not isinstance(target, str):
            self._sink = target
        elif is_syslog:
            self._sink = open_syslog(target)
        else:
            self._sink = open(standard_output(), "wb", buffering=0, closefd=False)  # noqa: SIM115
        self._is_ours = self._path is not None or is_syslog  # in a fork, its descriptor is to be dropped
        tell(self)
        # For the writer alone.
        self._lost = 0
        self._ailing = False
        self._torn = False
        self._quiet_until = 0.0
        self._last_tries = LAST_TRIES

    # ---- Any thread ----------------------------------------------------------------------------------------------

    @property
    def extract(self) -> Extract | None:
        """What is to be collected for each record, as of `find_extract`."""
        return self._format.extract

    def observe_facts(self, facts: Facts) -> None:
        """Write `facts` soon. Called by any thread; never waits."""
        if self._skip is None or not self._skip(_path(facts)):
            self._note(self._format.brief(facts))

    def _note(self, brief: object) -> None:
        records = self._records
        records.append(brief)
        try:
            if len(records) >= TOGETHER:
                self._make_lines(TOGETHER)
        finally:
            # First add the record, then look whether the writer sleeps. The writer first says so, and then looks.
            if NO_GIL:
                fence()
            if self._asleep:
                self._wake()

    def _make_lines(self, most: int) -> None:
        """Make lines of at most so many records. Called by any thread.

        It takes no lock: a thread that is interrupted here holds up nobody, and a thread that brings one record makes
        no more lines than `TOGETHER`, however many others come meanwhile.
        """
        briefs: list[object] = []
        self._making.append(None)
        try:
            with suppress(IndexError):  # other threads have taken them; those that came before are in the list
                briefs.extend(map(_take, repeat(self._records, most)))
            try:
                lines = self._format.lines(briefs)
            except Exception:  # of one that is none; the others have their lines
                self._make_each(briefs)
                raise
            self._add(lines)
        finally:
            self._making.pop()

    def _make_each(self, briefs: Sequence[object]) -> None:
        for brief in briefs:
            with suppress(Exception):
                self._add(self._format.lines([brief]))

    def _add(self, lines: list[str]) -> None:
        if len(self._waiting) >= self._most_waiting:
            with self._lock:
                self._overflowed += len(lines)
                self.lost += len(lines)
            return
        data = "".join(lines).encode("ascii")
        if len(data) > BLOCK:
            self._waiting.extend([data[at : at + BLOCK] for at in range(0, len(data), BLOCK)])
        elif data:
            self._waiting.append(data)

    def _wake(self) -> None:
        with self._lock:
            if not self._asleep or (self._stop.is_set() and self._writer is None):
                return
            self._asleep = False
            if self._writer is not None:
                self._signal.release()
                return
            thread = threading.Thread(target=self._run, name="access-log", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system has no thread now: the next line tries again
                self._asleep = True
            else:
                self._writer = thread

    # ---- The main thread -----------------------------------------------------------------------------------------

    def reopen(self) -> None:
        """Make the writer open its path anew before the next line: log rotation. Safe in a signal handler."""
        self._reopen = True

    def close(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Write all records and end the thread; return whether that was done within `timeout` seconds.

        Records that come later are dropped. Called by the main thread.
        """
        self._stop.set()
        with self._lock:
            writer = self._writer
        if writer is None:
            self._end()
            return not self._records and not self._waiting
        self._wake()
        writer.join(timeout)
        return not writer.is_alive()

    def forked(self, heir: bool) -> None:
        """Start another writer, later, if this is the `heir`; otherwise write nothing. Called in the child of a fork.

        Threads that are not here may have held the locks, so it makes new ones.
        """
        self._lock, self._signal, self._stop = threading.Lock(), threading.Lock(), threading.Event()
        self._signal.acquire()
        self._writer, self._asleep = None, True
        self._making.clear()
        if not heir:
            self._stop.set()
            self._records.clear()
            self._waiting.clear()
            self._most_waiting = 0
            descriptor = descriptor_of(self._sink)
            if self._is_ours and descriptor is not None:
                drop([descriptor])

    # ---- The writer's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._wait():
            if len(self._waiting) < PIECE // BLOCK:
                self._stop.wait(GATHER_SECONDS)
            try:
                self._make_lines(len(self._records))
                lines = self._take()
                if lines:
                    self._write(lines)
            except Exception:  # of a sink or a `say` that is not ours, or of a record that is none
                _log.failure("the access log goes on, but not all of it was written")
        if self._lost:
            self._say_lost("the access log is closed; ")
        self._end()

    def _end(self) -> None:
        self._most_waiting = 0  # later records must not pile up
        with suppress(OSError):
            self._sink.close()

    def _wait(self) -> bool:
        """Wait for something to write; return False once there will be none."""
        while not self._records:
            # First look for threads that make lines, then for lines: a thread that has just finished has added its own.
            made = not self._making
            if NO_GIL:
                fence()
            if self._waiting:
                break
            if self._stop.is_set():
                if made:
                    return False
                time.sleep(MOMENT)
                continue
            self._asleep = True
            if NO_GIL:
                fence()
            if self._records or self._waiting or self._stop.is_set():
                self._wake()
            self._signal.acquire()
        return True

    def _take(self) -> bytes:
        """Take whole lines for one write: other processes may write to the same file."""
        waiting = self._waiting
        blocks: list[bytes] = []
        size = 0
        while waiting:
            # Nobody else takes, so the block that is first stays first. It takes a line that has begun to its end.
            if blocks and blocks[-1].endswith(b"\n") and size + len(waiting[0]) > PIECE:
                break
            blocks.append(waiting.popleft())
            size += len(blocks[-1])
        return b"".join(blocks)

    def _write(self, lines: bytes) -> None:
        if self._reopen and self._path is not None:
            self._reopen = False
            self._open_anew(self._path)
        # The start of a line that a full disk broke off must not run into the next line.
        data = b"\n" * self._torn + lines
        rest, error = write_all(self._sink, data, self._wait_longer)
        written = len(data) - len(rest)
        if written:
            self._torn = data[written - 1 : written] != b"\n"
        unwritten = rest[-len(lines) :].count(b"\n")
        with self._lock:
            overflowed, self._overflowed = self._overflowed, 0
            self.lost += unwritten
        self._lost += unwritten + overflowed
        if error is not None or overflowed:
            self._say_ill(str(error.strerror or error) if error is not None else "they are not taken fast enough")
        elif self._ailing and not self._waiting:
            self._ailing = False
            self._say_lost("the access log is written again; ")

    def _wait_longer(self) -> bool:
        """Say so if lines are lost, since the sink takes nothing. Return whether to try again."""
        if self._overflowed:
            self._say_ill("they are not taken fast enough")
        if self._stop.is_set():
            self._last_tries -= 1
        return self._last_tries > 0

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
            sink = open_file(path)
        except OSError as error:
            self._say(f"the access log {path} can not be opened anew, the old file is still written: {error.strerror}")
            return
        old, self._sink, self._torn = self._sink, sink, False
        with suppress(OSError):  # such as a network file system's, which has lost earlier writes
            old.close()


def _observer(log: AccessLog, skip: Callable[[str], object] | None) -> Callable[[Ended], None]:
    """Return the log's ``observe_exchange``: a function and no method, with all at hand, and no call to spare.

    It is called for each request. To make the brief by the format, and to add it by `_note`, would be a tenth more of
    all that a line costs.
    """
    records = log._records
    add = records.append

    def observe(exchange: Ended) -> None:
        if skip is not None and skip(path_and_query(exchange.head.target)[0]):
            return
        kept = exchange.kept
        if not kept:  # nobody has seen an environ
            kept = log.keep(exchange.head, {})
        brief: object
        if type(kept) is list:  # of a format that is not timed
            status, size, now = exchange.status, exchange.size, time.time()
            start, end, known_status, known_size, brief = kept[3]
            if status != known_status or size != known_size or not start <= now < end:
                brief = kept, status, size, now
        else:
            received, started, now = exchange.received, exchange.started, exchange.gateway.clock()
            took, waited = now - received, (started or now) - received
            taken = 0 if exchange.body is None else exchange.taken()
            brief = kept, exchange.status, exchange.size, time.time(), took, waited, taken
        add(brief)
        try:
            if len(records) >= TOGETHER:
                log._make_lines(TOGETHER)
        finally:  # as `_note`
            if NO_GIL:
                fence()
            if log._asleep:
                log._wake()

    return observe


_log: Final = Logger()


def _say(line: str) -> None:
    _log.warn("{line}", line=line)


def _path(facts: Facts) -> str:
    """Return the path that was asked for, as it was sent; "" for what was no request."""
    return path_and_query(facts[1].partition(" ")[2].rpartition(" ")[0])[0] if facts[9] else ""
