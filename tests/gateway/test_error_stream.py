"""Does text for the log arrive line by line, each thread's apart, whoever writes?"""

from __future__ import annotations

import threading
from typing import Any

import pytest

from twisted_wsgiref._gateway.error_stream import ErrorStream


def test_lines_are_told_when_they_are_whole() -> None:
    lines: list[str] = []
    stream = ErrorStream(lines.append)
    assert stream.write("one ") == 4
    assert lines == []
    stream.write("line\ntwo")
    assert lines == ["one line"]
    stream.flush()
    assert lines == ["one line", "two"]
    stream.flush()
    stream.write("")
    assert lines == ["one line", "two"]


def test_one_write_is_one_message_whatever_its_lines() -> None:
    lines: list[str] = []
    ErrorStream(lines.append).write("Traceback:\n  one\n  two\n")
    assert lines == ["Traceback:\n  one\n  two"]


def test_writelines_and_print() -> None:
    lines: list[str] = []
    stream: Any = ErrorStream(lines.append)
    stream.writelines(["a\n", "b\n"])
    print("c", "d", file=stream)
    assert lines == ["a", "b", "c d"]


@pytest.mark.parametrize("text", [b"x", None, 5])
def test_only_text_is_taken(text: Any) -> None:
    with pytest.raises(TypeError, match=type(text).__name__):
        ErrorStream(print).write(text)


def test_threads_are_not_mixed() -> None:
    lines: list[str] = []
    stream = ErrorStream(lines.append)
    barrier = threading.Barrier(4)

    def write(name: str) -> None:
        for _ in range(100):
            barrier.wait()
            for letter in name * 3:
                stream.write(letter)
            stream.write("\n")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(lines) == sorted(["aaa", "bbb", "ccc", "ddd"] * 100)


def test_a_line_without_an_end_is_logged_in_pieces() -> None:
    lines: list[str] = []
    stream = ErrorStream(lines.append)
    for _ in range(100):
        stream.write("x" * 10_000)
    assert sum(map(len, lines)) >= 1_000_000 - 80_000  # the rest may wait for its end
    assert max(map(len, lines)) <= 80_000
    stream.write("\n")
    assert "".join(lines) == "x" * 1_000_000


def test_a_long_line_that_is_printed_is_one_message() -> None:
    lines: list[str] = []
    stream: Any = ErrorStream(lines.append)
    print("x" * 1_000_000, file=stream)  # two writes: the text, and its end
    print("y", file=stream)
    assert lines == ["x" * 1_000_000, "y"]


def test_letters_of_a_line_without_an_end_are_kept_up_to_a_bound() -> None:
    lines: list[str] = []
    stream = ErrorStream(lines.append)
    for _ in range(200_000):
        stream.write("x")
    stream.flush()
    assert [len(line) for line in lines] == [65_537, 65_537, 65_537, 3_389]
