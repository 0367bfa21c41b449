"""Which bytes does a Range ask for, and how are they told?"""

from __future__ import annotations

from email import message_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_wsgiref._http.ranges import MOST_PARTS, Part, content_range, make_multipart, read_ranges


@pytest.mark.parametrize(
    ("text", "parts"),
    [  # the examples of RFC 9110, sections 14.1.2 and 14.4, of a representation of 10,000 bytes
        ("bytes=0-499", ["0-499"]),
        ("bytes=500-999", ["500-999"]),
        ("bytes=-500", ["9500-9999"]),
        ("bytes=9500-", ["9500-9999"]),
        ("bytes=0-0,-1", ["0-0", "9999-9999"]),
        ("bytes= 0-999, 4500-5499, -1000", ["0-999", "4500-5499", "9000-9999"]),
        ("bytes=500-600,601-999", ["500-600", "601-999"]),
        # the unit in any case, empty elements, ends behind the end, leading zeros
        ("Bytes=0-499", ["0-499"]),
        ("bytes=,0-1 ,\t, 5-6,", ["0-1", "5-6"]),
        ("bytes=9999-20000", ["9999-9999"]),
        ("bytes=0-99999999999999999999999999", ["0-9999"]),
        ("bytes=-20000", ["0-9999"]),
        ("bytes=0000-0001", ["0-1"]),
        ("bytes=5-6,0-1", ["5-6", "0-1"]),
    ],
)
def test_ranges_are_read(text: str, parts: list[str]) -> None:
    found = read_ranges(text, 10000)
    assert [content_range(part, 10000) for part in found or ()] == [f"bytes {each}/10000" for each in parts]


@pytest.mark.parametrize("text", ["bytes=10000-", "bytes=10000-10001", "bytes=-0", "bytes=-0,10000-"])
def test_what_is_behind_the_end_can_not_be_satisfied(text: str) -> None:
    assert read_ranges(text, 10000) == ()


def test_a_number_of_many_digits_is_behind_the_end() -> None:
    assert read_ranges(f"bytes={'9' * 8000}-", 10000) == ()
    assert content_range(None, 10000) == "bytes */10000"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=5-4",
        "bytes=0-1,5-4",
        "bytes=0-1;5-6",
        "bytes=0 - 1",
        "bytes=+0-1",
        "bytes=0x0-1",
        "bytes=\u0661-2",
        "bytes =0-1",
        "bytes 0-1",
        " bytes=0-1",
        "seconds=0-1",
        "bytes=0-1, bytes=3-4",
        "none",
    ],
)
def test_what_is_no_range_of_bytes_is_ignored(text: str) -> None:
    assert read_ranges(text, 10000) is None


@pytest.mark.parametrize("text", ["bytes=0-", "bytes=-1", "bytes=5-", "bytes=0-0"])
def test_of_nothing_all_is_sent(text: str) -> None:
    assert read_ranges(text, 0) is None


@pytest.mark.parametrize(
    "text",
    [
        "bytes=0-,0-",
        "bytes=0-5,3-8",
        "bytes=0-5,5-6",
        "bytes=-1,-1",
        "bytes=0-0,0-0",
        "bytes=" + ",".join(f"{each}-{each}" for each in range(0, 2 * MOST_PARTS + 2, 2)),
        "bytes=" + ",".join(["0-"] * 1000),
        "bytes=" + ",".join(["99999-"] * (MOST_PARTS + 1)),
    ],
)
def test_the_marks_of_an_attack_get_the_whole_once(text: str) -> None:
    assert read_ranges(text, 10000) is None


def test_as_many_as_a_reader_asks_for_are_served() -> None:
    text = "bytes=" + ",".join(f"{each}-{each}" for each in range(0, 2 * MOST_PARTS, 2))
    assert len(read_ranges(text, 10000) or ()) == MOST_PARTS


@given(st.integers(1, 300), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=6))
def test_parts_lie_within_and_apart(size: int, wanted: list[tuple[int, int]]) -> None:
    text = "bytes=" + ",".join(f"{min(pair)}-{max(pair)}" for pair in wanted)
    parts = read_ranges(text, size)
    asked = [set(range(min(pair), min(max(pair) + 1, size))) for pair in wanted]
    asked = [each for each in asked if each]
    apart = sum(map(len, asked)) == len(set().union(*asked))
    if not apart:
        assert parts is None
    else:
        assert [set(range(start, start + length)) for start, length in parts or ()] == asked


@given(st.text(st.sampled_from("bytes=0123456789-, \t"), max_size=40), st.integers(0, 1000))
def test_no_text_is_too_much(text: str, size: int) -> None:
    for part in read_ranges(f"bytes={text}", size) or ():
        assert part.length > 0
        assert part.start + part.length <= size


def test_several_parts_are_told_as_mime_has_it() -> None:
    content = bytes(range(256)) * 4
    parts = (Part(0, 10), Part(500, 3), Part(1023, 1))
    told = make_multipart(parts, len(content), "text/plain; charset=utf-8", "3d6b6a416f9b5")
    assert told.media_type == "multipart/byteranges; boundary=3d6b6a416f9b5"
    body = b""
    for preamble, (start, length) in zip(told.preambles, parts, strict=True):
        body += preamble + content[start : start + length]
    body += told.end
    assert len(body) == told.length
    message = message_from_bytes(f"Content-Type: {told.media_type}\r\n\r\n".encode() + body)
    found = message.get_payload()
    assert isinstance(found, list)
    assert [each["Content-Range"] for each in found] == ["bytes 0-9/1024", "bytes 500-502/1024", "bytes 1023-1023/1024"]
    assert {each["Content-Type"] for each in found} == {"text/plain; charset=utf-8"}
