"""Where does a head end, how much of one is kept, and how early is one refused that will never be right?"""

from __future__ import annotations

import pytest

from twisted_wsgiref._http.body import body_of
from twisted_wsgiref._http.errors import ProtocolError
from twisted_wsgiref._http.head import RequestHead
from twisted_wsgiref._http.limits import Limits
from twisted_wsgiref._http.reader import HeadReader
from twisted_wsgiref._http.request_framing import CHUNKED

from .drive import SPLITS, bytewise, cut_at, drive

HOST = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"


def refused_after(octets: bytes, limits: Limits | None = None) -> tuple[int, int] | None:
    """Return the status, and how many octets, one at a time, it took; None if all are waited behind."""
    reader = HeadReader(limits or Limits())
    for count, octet in enumerate(bytewise(octets), 1):
        reader.feed(octet)
        try:
            reader.take_head()
        except ProtocolError as error:
            return error.status, count
    return None


def test_a_head_is_taken_with_its_last_octet() -> None:
    reader = HeadReader(Limits())
    for octet in bytewise(GET[:-1]):
        reader.feed(octet)
        assert reader.take_head() is None
    reader.feed(GET[-1:])
    head = reader.take_head()
    assert head is not None
    assert head.request_line == "GET / HTTP/1.1"
    assert repr(head) == "<RequestHead GET / HTTP/1.1>"
    assert reader.buffer == b""


@pytest.mark.parametrize("step", [1, 1000])
def test_what_follows_a_head_is_kept_for_its_body(step: int) -> None:
    reader = HeadReader(Limits())
    octets = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhel"
    for start in range(0, len(octets), step):
        reader.feed(octets[start : start + step])
    reader.take_head()
    body = body_of(5, Limits())
    assert reader.take_content(body) == b"hel"
    assert reader.buffer == b""
    reader.feed(b"lo" + GET)
    assert reader.take_content(body) == b"lo"
    assert body.complete
    assert reader.take_head() is not None
    assert reader.buffer == b""


def test_what_follows_a_body_is_the_next_head() -> None:
    reader = HeadReader(Limits())
    reader.feed(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET)
    reader.take_head()
    body = body_of(CHUNKED, Limits())
    assert reader.take_content(body) == b""
    assert body.complete
    assert reader.buffer == GET
    reader.feed(b"later")
    head = reader.take_head()
    assert reader.buffer == b"later"
    assert head is not None
    assert head.method == "GET"


def test_a_late_head_is_found_although_its_start_was_searched_before() -> None:
    first = GET + GET[:9]
    for place in range(1, len(first)):
        assert len(drive(cut_at(first + GET[9:], [place, len(first)])).messages) == 2


# RFC 9112, section 2.2: one empty line before a request line is ignored.


@pytest.mark.parametrize("split", SPLITS)
def test_one_empty_line_before_a_request_is_forgiven(split: str) -> None:
    assert len(drive(SPLITS[split](b"\r\n" + GET)).messages) == 1


@pytest.mark.parametrize("split", SPLITS)
def test_one_empty_line_is_forgiven_before_each_request(split: str) -> None:
    assert len(drive(SPLITS[split]((b"\r\n" + GET) * 3)).messages) == 3


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("count", [2, 3, 4, 100])
def test_more_empty_lines_are_refused_and_not_waited_behind(split: str, count: int) -> None:
    assert drive(SPLITS[split](b"\r\n" * count + GET)).status == 400
    assert drive(SPLITS[split](b"\r\n" * count)).status == 400


# What no further octet could mend is told at once.


@pytest.mark.parametrize(
    ("octets", "status", "after"),
    [
        (b"GET /\r\n", 400, 7),
        (b"GET / HTTP/2.0\r\n", 505, 16),
        (b"GET / HTTP/1.1\nHost: a", 400, 15),
        (b"GET / HTTP/1.1\r\nX: a\nY", 400, 21),
        (b"GET / HTTP/1.1\rX", 400, 16),
        (b"\x16\x03\x01", 400, 1),
        (b"GET / HTTP/1.1\r\nX: \x00", 400, 20),
        (b"\rGET", 400, 2),
        (b"\n", 400, 1),
        (b"\r\n\r\n", 400, 4),
    ],
)
def test_a_hopeless_head_is_refused_at_the_first_octet_that_shows_it(octets: bytes, status: int, after: int) -> None:
    assert refused_after(octets) == (status, after)


@pytest.mark.parametrize("split", SPLITS)
def test_a_client_of_http_0_9_is_told_although_it_sends_no_more(split: str) -> None:
    assert drive(SPLITS[split](b"GET /\r\n")).status == 400


# Limits: what is exactly as long as allowed is served, one octet more is not; whole, in pieces and one at a time.

LIMITS = Limits(request_line=30, field=20, head=100, fields=4)


def line(size: int) -> bytes:
    return b"GET /" + b"a" * (size - len(b"GET / HTTP/1.1")) + b" HTTP/1.1\r\n"


def a_field(size: int, name: bytes = b"X") -> bytes:
    return name + b": " + b"a" * (size - len(name) - 2) + b"\r\n"


def outcome(octets: bytes, split: str, limits: Limits = LIMITS) -> int | str | None:
    got = drive(SPLITS[split](octets), limits)
    return "served" if got.messages else "waits" if got.waiting else got.status


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("limits", [LIMITS, Limits(request_line=30, field=8, head=100), Limits(30, 200, 300)])
def test_the_request_line_has_a_limit(split: str, limits: Limits) -> None:
    assert outcome(line(30) + HOST[:-2].replace(b" ", b"") + b"\r\n\r\n", split, limits) == "served"
    assert outcome(line(31) + HOST + b"\r\n", split, limits) == 414
    assert outcome(b"A" * 30, split, limits) == "waits"
    assert outcome(b"A" * 31, split, limits) == 414


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("before", [b"", b"A: b\r\n"])
@pytest.mark.parametrize("after", [b"", b"B: c\r\n"])
def test_a_field_line_has_a_limit(split: str, before: bytes, after: bytes) -> None:
    start = b"GET / HTTP/1.1\r\n" + HOST + before
    assert outcome(start + a_field(20) + after + b"\r\n", split) == "served"
    assert outcome(start + a_field(21) + after + b"\r\n", split) == 431
    assert outcome(start + b"X" * 20, split) == "waits"
    assert outcome(start + b"X" * 21, split) == 431


@pytest.mark.parametrize("split", SPLITS)
def test_a_head_has_a_limit(split: str) -> None:
    start = b"GET / HTTP/1.1\r\n" + HOST + a_field(19, b"A") + a_field(18, b"B")
    room = 100 - len(start) - 2
    limits = Limits(request_line=30, field=80, head=100)
    assert outcome(start + a_field(room) + b"\r\n", split, limits) == "served"
    assert outcome(start + a_field(room + 1) + b"\r\n", split, limits) == 431
    assert outcome(start + b"X" * (room + 2), split, limits) == "waits"
    assert outcome(start + b"X" * (room + 3), split, limits) == 431


@pytest.mark.parametrize("split", SPLITS)
def test_what_follows_a_head_of_full_length_counts_not_in_its_limit(split: str) -> None:
    start = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99\r\n"
    limits = Limits(request_line=30, field=80, head=len(start))
    assert outcome(start + b"\r\n" + b"\x00" * 99, split, limits) == "served"


@pytest.mark.parametrize("split", SPLITS)
def test_the_number_of_fields_has_a_limit(split: str) -> None:
    assert outcome(b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 3 + b"\r\n", split) == "served"
    assert outcome(b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 4 + b"\r\n", split) == 431
    # Those count that no application ever sees.
    assert outcome(b"GET / HTTP/1.1\r\n" + HOST + b"X_: a\r\n" * 4 + b"\r\n", split) == 431


@pytest.mark.parametrize("split", SPLITS)
def test_each_request_of_a_connection_has_the_same_limits(split: str) -> None:
    full = line(30) + HOST + a_field(20) + b"\r\n"
    got = drive(SPLITS[split](full * 5 + line(31)), LIMITS)
    assert len(got.messages) == 5
    assert got.status == 414


@pytest.mark.parametrize("octets", [b"GET /" + b"a" * 10**6, b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 10**5])
def test_of_a_head_that_never_ends_no_more_is_kept_than_its_limit(octets: bytes) -> None:
    limits = Limits()
    reader = HeadReader(limits)
    most = 0

    def feed_all() -> None:
        nonlocal most
        for start in range(0, len(octets), 100):
            reader.feed(octets[start : start + 100])
            most = max(most, len(reader.buffer))
            reader.take_head()

    with pytest.raises(ProtocolError):
        feed_all()
    assert most <= limits.head + 100


@pytest.mark.parametrize("start", [b"POST / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 90 + b"\r\n\r\n"])
def test_a_long_head_is_refused_for_its_length_and_not_for_its_body(start: bytes) -> None:
    assert drive([start + b"\x00\n"], Limits(request_line=30, field=200, head=100)).status == 431


def test_a_head_that_comes_again_is_the_same_object_until_anything_differs() -> None:
    reader = HeadReader(Limits())

    def take(data: bytes) -> RequestHead:
        reader.feed(data + b"\r\n\r\n")
        head = reader.take_head()
        assert head is not None
        return head

    again = b"GET /1 HTTP/1.1\r\nHost: a"
    assert take(again).recurs is False
    head = take(again)
    assert head.recurs is True
    assert take(again) is head
    for other in (b"GET /2 HTTP/1.1\r\nHost: a", b"POST /1 HTTP/1.1\r\nHost: a", b"GET /1 HTTP/1.0\r\nHost: a"):
        between = take(other)
        assert between.request_line.encode() == other.split(b"\r\n")[0]
        assert take(again).request_line == "GET /1 HTTP/1.1"
    assert take(b"GET /1 HTTP/1.1\r\nHost: b").fields == {"HTTP_HOST": "b"}
    assert take(again).fields == {"HTTP_HOST": "a"}


def test_a_head_that_is_too_large_to_be_kept_is_judged_each_time() -> None:
    reader = HeadReader(Limits())
    large = b"GET / HTTP/1.1\r\nHost: b\r\nCookie: " + b"a" * 4000 + b"\r\n\r\n"
    heads = []
    for _ in range(3):
        reader.feed(large)
        heads.append(reader.take_head())
    assert len(set(map(id, heads))) == 3
    assert {head and head.fields["HTTP_HOST"] for head in heads} == {"b"}
