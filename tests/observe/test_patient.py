"""Does the server's own log hold up nobody, though its pipe takes nothing?"""

from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from twisted_wsgiref._observe.patient import MOST_WAITING, PatientStream, patient


class Pipe:
    """A pipe that takes nothing until it is read."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.writer, False)
        self.filled = 0
        for size in (4096, 1):
            with suppress(BlockingIOError):
                while True:
                    self.filled += os.write(self.writer, b"x" * size)
        os.set_blocking(self.writer, True)  # as standard error is

    def read_all(self) -> bytes:
        """Read to the end, once nobody writes any more."""
        with open(self.reader, "rb", buffering=0, closefd=False) as end:
            return end.readall()[self.filled :]

    def read_until(self, last: bytes) -> bytes:
        data = b""
        while not data.endswith(last):
            data += os.read(self.reader, 65536)
        return data[self.filled :]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    for descriptor in (made.reader, made.writer):
        with suppress(OSError):
            os.close(descriptor)


def test_a_pipe_that_is_full_holds_up_nobody(pipe: Pipe) -> None:
    stream = PatientStream(pipe.writer, "utf-8")
    lines = [f"line {number}, café\n" for number in range(1000)]
    for line in lines:
        assert stream.write(line) == len(line)
    stream.write("the end\n")
    assert pipe.read_until(b"the end\n").decode() == "".join([*lines, "the end\n"])
    assert stream.lost == 0


def test_what_a_full_pipe_does_not_take_is_bounded_counted_and_told(pipe: Pipe) -> None:
    said: list[int] = []
    told = threading.Event()

    def say(lost: int) -> None:
        said.append(lost)
        told.set()

    stream = PatientStream(pipe.writer, "utf-8", say)
    line = "x" * 1000 + "\n"
    for _ in range(3000):
        stream.write(line)
    lost = stream.lost
    assert 0 < lost < 3000
    assert (3000 - lost) * len(line) <= MOST_WAITING + 10 * len(line)
    taken = b""
    while len(taken) < pipe.filled + (3000 - lost) * len(line):
        taken += os.read(pipe.reader, 65536)
    assert told.wait(10)
    assert said == [lost]
    stream.write("again\n")
    assert os.read(pipe.reader, 100) == b"again\n"


def test_the_end_waits_for_a_reader_that_is_slow(pipe: Pipe) -> None:
    stream = PatientStream(pipe.writer, "utf-8")
    lines = "".join(f"line {number:06}\n" for number in range(20_000))
    stream.write(lines)
    assert not stream.finish(0)
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.append(pipe.read_until(b"line 019999\n")), daemon=True)
    reader.start()
    assert stream.finish(60)
    assert stream.finish(0)  # and there is nothing more to wait for
    reader.join(60)
    assert taken == [lines.encode()]


def test_the_end_waits_once_and_briefly_for_a_reader_that_takes_nothing(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twisted_wsgiref._observe.patient.GIVE_UP_SECONDS", 0.01)
    stream = PatientStream(pipe.writer, "utf-8")
    stream.write("nobody reads this\n")
    assert not stream.finish(3600)
    monkeypatch.setattr("twisted_wsgiref._observe.patient.GIVE_UP_SECONDS", 3600)
    assert not stream.finish(3600)


def test_the_end_writes_by_itself_if_the_system_has_no_thread(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    stream = PatientStream(pipe.writer, "utf-8")
    monkeypatch.setattr(threading.Thread, "start", refuse)
    stream.write("one\n")
    assert len(os.read(pipe.reader, pipe.filled)) == pipe.filled
    assert stream.finish(10)
    assert os.read(pipe.reader, 100) == b"one\n"


def test_a_pipe_that_takes_all_needs_no_thread() -> None:
    reader, writer = os.pipe()
    before = threading.active_count()
    stream = PatientStream(writer, "ascii")
    stream.write("one é\n")
    assert os.read(reader, 100) == b"one \\xe9\n"
    stream.write("x" * 10_000)
    assert len(os.read(reader, 65536)) == 10_000
    assert threading.active_count() == before
    os.close(reader)
    stream.write("nobody reads this\n")  # and nobody hears of it
    os.close(writer)


def test_only_what_has_a_reader_is_waited_for(tmp_path: Path) -> None:
    text = io.StringIO()
    assert patient(text) is text
    with (tmp_path / "log").open("w") as file:
        assert patient(file) is file
    near, far = socket.socketpair()
    with near, far, open(near.fileno(), "w", closefd=False) as stream:
        made = patient(stream)
        assert isinstance(made, PatientStream)
        made.write("said\n")
        assert far.recv(100) == b"said\n"


def test_the_child_of_a_fork_begins_anew(pipe: Pipe) -> None:
    stream = PatientStream(pipe.writer, "utf-8")
    stream._lock.acquire()
    stream._is_drained = False
    stream.forked(False)
    stream.write("one\n")
    assert pipe.read_until(b"one\n") == b"one\n"
