"""Is every request one line that no client can forge, and does nobody ever wait for the disk?"""

from __future__ import annotations

import errno
import os
import re
import select
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

import pytest
from twisted.logger import LogEvent, globalLogPublisher

from twisted_wsgiref._observe import access_log, sink
from twisted_wsgiref._observe.access_log import AccessLog
from twisted_wsgiref._observe.lines import COMBINED as FORMAT
from twisted_wsgiref._observe.lines import Combined, format_time
from twisted_wsgiref._observe.record import Record

RECORD = Record(
    peer="127.0.0.1",
    request_line="GET /apache_pb.gif HTTP/1.0",
    status=200,
    size=2326,
    finished=971211336.7,
    seconds=0.01,
    referer="http://www.example.com/start.html",
    user_agent="Mozilla/4.08 [en] (Win98; I ;Nav)",
    user="frank",
)
COMBINED = re.compile(r'(\S+) (\S+) (\S+) \[([^]]+)\] "([^"]*)" (\d{3}) (\d+|-) "([^"]*)" "([^"]*)"\n')


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    time.tzset()
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


class Disk:
    """A sink that fails, stops, or takes a part when told to, and keeps each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.error: OSError | None = None
        self.room: int | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.wrote = threading.Event()
        self.closed = False

    def write(self, data: bytes) -> int | None:
        self.entered.set()
        self.gate.wait(10)
        self.wrote.set()
        if self.error is not None and not self.room:
            raise self.error
        if self.room is not None:
            data, self.room = data[: self.room], 0
        self.writes.append(data)
        return len(data)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "GATHER_SECONDS", 0.0)
    monkeypatch.setattr(access_log, "QUIET_SECONDS", 0.0)


@contextmanager
def globally_logged() -> Iterator[list[LogEvent]]:
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    try:
        yield events
    finally:
        globalLogPublisher.removeObserver(events.append)


def line_of(record: Record) -> str:
    made = Combined()
    (line,) = made.lines([made.brief(record)])
    return line


def logged_one(log: AccessLog, disk: Disk, record: Record = RECORD) -> None:
    """Hand over a record and wait until the disk was asked to take it."""
    disk.wrote.clear()
    log.observe_facts(record)
    assert disk.wrote.wait(10)


def test_the_line_is_the_combined_format(zone: pytest.MonkeyPatch) -> None:
    assert line_of(RECORD) == (
        '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326 '
        '"http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)"\n'
    )


@pytest.mark.parametrize(
    ("name", "offset"), [("UTC", "+0000"), ("Asia/Kolkata", "+0530"), ("America/St_Johns", "-0230")]
)
def test_the_zone_is_written_with_its_sign_and_minutes(zone: pytest.MonkeyPatch, name: str, offset: str) -> None:
    zone.setenv("TZ", name)
    time.tzset()
    assert format_time(971211336).endswith(" " + offset)


def test_what_is_not_there_is_a_dash() -> None:
    line = line_of(RECORD._replace(peer=None, user="", referer="", user_agent="", size=0, status=0))
    when = format_time(971211336)
    assert line == f'- - - [{when}] "GET /apache_pb.gif HTTP/1.0" 499 - "-" "-"\n'
    assert line_of(RECORD._replace(request_line="")).startswith(f'127.0.0.1 - frank [{when}] "-" 200 ')


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('a"b', r"a\x22b"),
        ("a\\b", r"a\x5cb"),
        ("a\r\n127.0.0.1 - -", r"a\x0d\x0a127.0.0.1 - -"),
        ("\x1b[2J\x00\x7f", r"\x1b[2J\x00\x7f"),
        ("caf\xe9\x85\xa0", r"caf\xe9\x85\xa0"),
        ("\u2028", r"\xe2\x80\xa8"),
        ("\udc80", r"\xed\xb2\x80"),
    ],
)
def test_no_text_breaks_or_forges_a_line(text: str, written: str) -> None:
    line = line_of(RECORD._replace(request_line=text, referer=text, user_agent=text, user=text))
    found = COMBINED.fullmatch(line)
    assert found is not None
    assert found[5] == found[8] == found[9] == written
    assert found[3] == written.replace(" ", r"\x20")
    assert line.rstrip("\n").isprintable()
    assert line.isascii()


def test_lines_in_a_pipe_are_whole_whoever_else_writes(quick: None) -> None:
    reader, writer = os.pipe()

    class Pipe(Disk):
        def fileno(self) -> int:
            return writer

    try:
        pipe = Pipe()
        log = AccessLog(pipe)
        for _ in range(1000):
            log.observe_facts(RECORD)
        assert log.close()
        assert max(map(len, pipe.writes)) <= select.PIPE_BUF
        assert all(each.endswith(b"\n") for each in pipe.writes)
        assert b"".join(pipe.writes).count(b"\n") == 1000
    finally:
        os.close(reader)
        os.close(writer)


def test_each_line_has_its_own_time(quick: None) -> None:
    disk = Disk()
    log = AccessLog(disk)
    for when in (1.0, 1.9, 2.0, 1.5):
        log.observe_facts(RECORD._replace(finished=when))
    assert log.close()
    times = [line.split("[")[1].split("]")[0] for line in b"".join(disk.writes).decode().splitlines()]
    assert times == [format_time(second) for second in (1, 1, 2, 1)]


def test_whole_lines_are_written_at_once_where_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "GATHER_SECONDS", 3600.0)
    monkeypatch.setattr(access_log, "PIECE", 1000)
    monkeypatch.setattr(access_log, "BLOCK", 333)
    disk = Disk()
    log = AccessLog(disk)
    log._waiting.extend([b"x" * 299 + b"\n", b"y" * 1000, b"y" * 999 + b"\n", b"z" * 299 + b"\n"])
    log.observe_facts(RECORD)
    end = time.monotonic() + 10
    while len(disk.writes) < 2 and time.monotonic() < end:
        time.sleep(0.001)
    assert disk.writes == [b"x" * 299 + b"\n", b"y" * 1999 + b"\n"]
    assert log.close()
    (last,) = disk.writes[2:]
    assert last.startswith(b"z" * 299 + b"\n127.0.0.1 ")


def test_many_records_are_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "GATHER_SECONDS", 10.0)
    disk = Disk()
    log = AccessLog(disk)
    for number in range(100):
        log.observe_facts(RECORD._replace(size=number + 1))
    assert log.close()
    assert len(disk.writes) == 1
    assert [int(line.split()[9]) for line in disk.writes[0].splitlines()] == list(range(1, 101))
    assert disk.closed


def test_close_writes_all_that_came_before(quick: None) -> None:
    disk = Disk()
    log = AccessLog(disk)
    total = 3007
    for number in range(total):
        log.observe_facts(RECORD._replace(size=number + 1))
    assert log.close()
    numbers = sorted(int(line.split()[9]) for line in b"".join(disk.writes).splitlines())
    assert numbers == list(range(1, total + 1))


def test_no_record_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    log = AccessLog(str(tmp_path / "access.log"))
    assert threading.active_count() == before
    assert log.close()


def test_a_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    for _ in range(2):
        log = AccessLog(str(path))
        log.observe_facts(RECORD)
        assert log.close()
    assert len(path.read_text().splitlines()) == 2


def test_a_path_that_can_not_be_opened_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AccessLog(str(tmp_path / "no" / "access.log"))


def test_a_dash_is_the_real_standard_output(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "standard_output", lambda: 1)
    log = AccessLog("-")
    log.observe_facts(RECORD)
    assert log.close()
    assert COMBINED.fullmatch(capfd.readouterr().out)
    os.fstat(1)  # It is not ours to close: this would raise.


def test_after_a_rotation_lines_go_to_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(str(path))
    path.rename(tmp_path / "access.log.1")
    log.reopen()
    log.observe_facts(RECORD)
    assert log.close()
    assert (tmp_path / "access.log.1").read_text() == ""
    assert COMBINED.fullmatch(path.read_text())


def test_a_rotation_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    said: list[str] = []
    directory = tmp_path / "logs"
    directory.mkdir()
    log = AccessLog(str(directory / "access.log"), say=said.append)
    directory.rename(tmp_path / "moved")
    log.reopen()
    log.observe_facts(RECORD)
    assert log.close()
    assert COMBINED.fullmatch((tmp_path / "moved" / "access.log").read_text())
    assert len(said) == 1
    assert "can not be opened anew" in said[0]


def test_a_full_disk_is_told_once_and_its_end_with_the_count(quick: None) -> None:
    disk, said = Disk(), []
    log = AccessLog(disk, say=said.append)
    disk.error = OSError(errno.ENOSPC, "No space left on device")
    for _ in range(3):
        logged_one(log, disk)
    disk.error = None
    logged_one(log, disk)
    assert log.close()
    assert said == [
        "the access log can not be written, lines are lost: No space left on device",
        "the access log is written again; 3 lines of it were lost",
    ]
    assert len(b"".join(disk.writes).splitlines()) == 1


def test_a_line_broken_off_by_a_full_disk_does_not_run_into_the_next(quick: None) -> None:
    disk, said, heard = Disk(), [], threading.Event()
    log = AccessLog(disk, say=lambda line: (said.append(line), heard.set()))
    disk.error, disk.room = OSError(errno.ENOSPC, "No space left on device"), 10
    logged_one(log, disk)
    assert heard.wait(10)
    disk.error = disk.room = None
    logged_one(log, disk)
    assert log.close()
    line = line_of(RECORD)
    assert b"".join(disk.writes).decode() == line[:10] + "\n" + line
    assert said[-1] == "the access log is written again; 1 line of it was lost"


def test_lost_lines_are_told_at_the_end_too(quick: None) -> None:
    disk, said = Disk(), []
    log = AccessLog(disk, say=said.append)
    disk.error = OSError(errno.EIO, "Input/output error")
    log.observe_facts(RECORD)
    assert log.close()
    assert said[-1] == "the access log is closed; 1 line of it was lost"


def test_a_stalled_disk_holds_neither_callers_nor_close(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "MOST_WAITING", 1)
    disk, said = Disk(), []
    disk.gate.clear()
    log = AccessLog(disk, say=said.append)
    log.observe_facts(RECORD)
    assert disk.entered.wait(10)
    for _ in range(100):
        log.observe_facts(RECORD)
    assert not log.close(timeout=0.01)
    disk.gate.set()
    assert log.close(timeout=10)
    # One, and what was made together while nothing waited.
    assert len(b"".join(disk.writes).splitlines()) == 1 + access_log.TOGETHER
    assert f"{100 - access_log.TOGETHER} lines" in said[-1]


def test_records_from_many_threads_are_all_there() -> None:
    disk = Disk()
    log = AccessLog(disk)
    threads = [threading.Thread(target=lambda: [log.observe_facts(RECORD) for _ in range(200)]) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(10)
    assert log.close()
    lines = b"".join(disk.writes).decode().splitlines(keepends=True)
    assert len(lines) == 1600
    assert all(COMBINED.fullmatch(line) for line in lines)


def test_who_brings_a_record_makes_no_more_lines_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    log = AccessLog(Disk())
    made: list[object] = []

    def format_slowly(briefs: Sequence[object]) -> list[str]:
        made.extend(briefs)
        log._records.extend([FORMAT.brief(RECORD)] * len(briefs))  # as other threads do meanwhile
        return ["line\n"] * len(briefs)

    monkeypatch.setattr(Combined, "lines", lambda _, briefs: format_slowly(briefs))
    monkeypatch.setattr(log, "_wake", lambda: None)
    for _ in range(access_log.TOGETHER):
        log.observe_facts(RECORD)
    assert len(made) == access_log.TOGETHER


def test_lines_that_another_thread_is_making_are_waited_for(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    making, go_on = threading.Event(), threading.Event()

    def format_slowly(briefs: Sequence[object]) -> list[str]:
        if threading.current_thread() is caller:
            making.set()
            assert go_on.wait(10)
        return ["line\n"] * len(briefs)

    monkeypatch.setattr(Combined, "lines", lambda _, briefs: format_slowly(briefs))
    disk = Disk()
    log = AccessLog(disk)
    log._asleep = False  # the writer does not come for the first
    caller = threading.Thread(target=lambda: [log.observe_facts(RECORD) for _ in range(access_log.TOGETHER)])
    caller.start()
    assert making.wait(10)
    log._asleep = True
    log.observe_facts(RECORD)  # it comes for this one
    assert not log.close(timeout=0.05)
    go_on.set()
    caller.join(10)
    assert log.close(timeout=10)
    assert len(b"".join(disk.writes).splitlines()) == access_log.TOGETHER + 1


def test_lines_that_were_being_made_when_the_writer_fell_asleep_wake_it(
    quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk()
    log = AccessLog(disk)
    logged_one(log, disk)
    add = log._add

    def add_late(lines: list[str]) -> None:
        if threading.current_thread() is threading.main_thread():
            end = time.monotonic() + 10
            while not log._asleep and time.monotonic() < end:
                time.sleep(0.001)
            disk.wrote.clear()
        add(lines)

    monkeypatch.setattr(log, "_add", add_late)
    log._records.extend([FORMAT.brief(RECORD)] * (access_log.TOGETHER - 1))
    log.observe_facts(RECORD)
    assert disk.wrote.wait(10)
    assert log.close()
    assert len(b"".join(disk.writes).splitlines()) == 1 + access_log.TOGETHER


@pytest.mark.parametrize("together", [False, True])
def test_a_record_that_is_none_costs_no_other_its_line(quick: None, together: bool) -> None:
    disk = Disk()
    log = AccessLog(disk)
    wrong = RECORD._replace(finished=float("nan"))
    with globally_logged() as events:
        if together:
            briefs = [FORMAT.brief(each) for each in (RECORD, wrong, *[RECORD] * access_log.TOGETHER)]
            log._records.extend(briefs)
            with pytest.raises(ValueError, match="NaN"):
                log.observe_facts(RECORD)
        else:
            log.observe_facts(wrong)
            end = time.monotonic() + 10
            while not events and time.monotonic() < end:
                time.sleep(0.001)
            assert "not all of it was written" in str(events)
            for _ in range(access_log.TOGETHER + 2):
                log.observe_facts(RECORD)
        assert log.close()
    assert len(b"".join(disk.writes).splitlines()) == access_log.TOGETHER + 2


def test_a_sink_that_raises_what_no_file_does_is_like_a_full_disk(quick: None) -> None:
    class Odd(Disk):
        def write(self, data: bytes) -> int | None:
            super().write(data)
            if len(self.writes) == 1:
                raise TypeError("odd")
            return len(data)

    disk, said = Odd(), []
    log = AccessLog(disk, say=said.append)
    logged_one(log, disk)
    logged_one(log, disk)
    assert log.close()
    assert said == [
        "the access log can not be written, lines are lost: odd",
        "the access log is written again; 1 line of it was lost",
    ]


def test_an_old_file_that_can_not_be_closed_does_not_end_the_log(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(str(path))
    old = log._sink

    class Full:
        write = old.write

        def close(self) -> None:
            old.close()
            raise OSError(errno.EDQUOT, "Disk quota exceeded")

    log._sink = Full()
    log.reopen()
    path.unlink()
    log.observe_facts(RECORD)
    assert log.close()
    assert COMBINED.fullmatch(path.read_text())


@pytest.mark.parametrize("begun", [False, True])
def test_what_comes_after_the_end_does_not_pile_up(begun: bool) -> None:
    log = AccessLog(Disk())
    if begun:
        log.observe_facts(RECORD)
    assert log.close()
    for _ in range(100):
        log.observe_facts(RECORD)
    assert len(log._records) < access_log.TOGETHER
    assert not log._waiting


def test_a_thread_that_can_not_be_started_is_started_with_the_next_line(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    log = AccessLog(disk)
    with monkeypatch.context() as full:

        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        full.setattr(threading.Thread, "start", refuse)
        log.observe_facts(RECORD)
    log.observe_facts(RECORD)
    assert log.close()
    assert b"".join(disk.writes).count(b"\n") == 2


@pytest.mark.parametrize("size", [100, 8192, 20_000])
def test_lines_of_any_length_that_several_threads_add_stay_whole(quick: None, size: int) -> None:
    disk = Disk()
    log = AccessLog(disk)

    def ask(word: str) -> None:
        record = RECORD._replace(user_agent=word * size)
        for _ in range(200):
            log.observe_facts(record)

    threads = [threading.Thread(target=ask, args=(word,)) for word in "abcd"]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(before)
    assert log.close(timeout=60)
    agents = [line.split('"')[5] for line in b"".join(disk.writes).decode().splitlines()]
    assert sorted(agents) == [word * size for word in "abcd" for _ in range(200)]


def test_what_waits_for_a_stalled_disk_is_bounded_however_long_its_lines_are(
    quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_log, "MOST_WAITING", 1 << 20)
    disk, said = Disk(), []
    disk.gate.clear()
    log = AccessLog(disk, say=said.append)
    log.observe_facts(RECORD)
    assert disk.entered.wait(10)
    for _ in range(400):
        log.observe_facts(RECORD._replace(user_agent="a" * 20_000))
    assert 1 << 20 <= sum(map(len, log._waiting)) < (1 << 20) + access_log.TOGETHER * 21_000
    disk.gate.set()
    assert log.close(timeout=10)


def fill(pipe: int) -> int:
    """Put into `pipe`, whose end never blocks, until it takes nothing more; return how much that was."""
    put = 0
    for size in (4096, 1):
        with suppress(BlockingIOError):
            while True:
                put += os.write(pipe, b"x" * size)
    return put


@pytest.mark.parametrize("blocking", [False, True])
def test_a_pipe_that_is_full_holds_up_nobody_and_its_losses_are_counted(
    quick: None, monkeypatch: pytest.MonkeyPatch, blocking: bool
) -> None:
    monkeypatch.setattr(access_log, "MOST_WAITING", 1 << 20)
    monkeypatch.setattr(sink, "PATIENCE", 0.001)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    filled = fill(writer)
    os.set_blocking(writer, blocking)
    told = threading.Event()
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        told.set()

    log = AccessLog(FileIO(writer, "wb"), say=say)
    asked = 40_000
    took = []
    for _ in range(asked):
        start = time.perf_counter()
        log.observe_facts(RECORD)
        took.append(time.perf_counter() - start)
    took.sort()
    assert took[len(took) * 99 // 100] < 0.05
    # While the pipe is full: memory is bounded, what is lost is counted, and somebody is told.
    assert told.wait(10)
    assert said == ["the access log can not be written, lines are lost: they are not taken fast enough"]
    lost = log.lost
    assert 0 < lost < asked
    assert sum(map(len, log._waiting)) < (1 << 20) + access_log.BLOCK + access_log.PIECE
    closing = threading.Thread(target=log.close, args=(20,))
    closing.start()
    data = b""
    with open(reader, "rb", buffering=0) as end:
        while more := end.read(65536):
            data += more
    closing.join(20)
    lines = data[filled:].decode().splitlines(keepends=True)
    assert all(COMBINED.fullmatch(line) for line in lines)
    assert len(lines) + log.lost == asked
    assert f"{log.lost} lines of it were lost" in said[-1]


def test_a_pipe_that_stays_full_does_not_keep_the_log_for_ever(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "PATIENCE", 0.001)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    fill(writer)
    said: list[str] = []
    log = AccessLog(FileIO(writer, "wb"), say=said.append)
    log.observe_facts(RECORD)
    assert log.close(20)
    os.close(reader)
    assert log.lost == 1
    assert said[-1] == "the access log is closed; 1 line of it was lost"
