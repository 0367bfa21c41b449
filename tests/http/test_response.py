"""What goes out before a body, and how will its end be told?"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from http import HTTPStatus

import pytest

from twisted_wsgiref._http.coder import HTTP1Coder
from twisted_wsgiref._http.head import HeadParser
from twisted_wsgiref._http.limits import Limits
from twisted_wsgiref._http.response import (
    Fields,
    Framing,
    decide_framing,
    error_answer,
    forbids_length,
)

from .drive import drive

LENGTH_5 = "Content-Length: 5\r\n"
CODING = "Transfer-Encoding: chunked\r\n"
CLOSE = "Connection: close\r\n"
KEEP = "Connection: keep-alive\r\n"


# RFC 9112, section 6.3; RFC 9110, section 8.6.


@pytest.mark.parametrize(
    ("status", "head", "minor", "given", "known", "keep", "lines", "chunked", "bodyless", "length", "persistent"),
    [
        ("200 OK", False, 1, None, 5, True, LENGTH_5, False, False, 5, True),
        ("200 OK", False, 1, None, 0, True, "Content-Length: 0\r\n", False, False, 0, True),
        ("200 OK", False, 1, 5, None, True, "", False, False, 5, True),
        ("200 OK", False, 1, 5, 5, True, "", False, False, 5, True),
        ("200 OK", False, 1, 0, None, True, "", False, False, 0, True),
        ("200 OK", False, 1, None, None, True, CODING, True, False, None, True),
        ("200 OK", False, 1, None, None, False, CODING + CLOSE, True, False, None, False),
        ("200 OK", False, 1, None, 5, False, LENGTH_5 + CLOSE, False, False, 5, False),
        ("200 OK", False, 0, None, 5, True, LENGTH_5 + KEEP, False, False, 5, True),
        ("200 OK", False, 0, None, 5, False, LENGTH_5 + CLOSE, False, False, 5, False),
        ("200 OK", False, 0, 5, None, True, KEEP, False, False, 5, True),
        ("200 OK", False, 0, None, None, True, CLOSE, False, False, None, False),
        ("200 OK", True, 1, None, None, True, "", False, True, None, True),
        ("200 OK", True, 1, 5, None, True, "", False, True, None, True),
        ("200 OK", True, 1, None, 5, True, LENGTH_5, False, True, None, True),
        ("200 OK", True, 1, None, 0, True, "", False, True, None, True),
        ("200 OK", True, 0, None, None, True, KEEP, False, True, None, True),
        ("204 No Content", False, 1, None, None, True, "", False, True, None, True),
        ("204 No Content", False, 1, None, 0, True, "", False, True, None, True),
        ("204 No Content", True, 1, None, 5, True, "", False, True, None, True),
        ("204 No Content", False, 0, None, None, True, KEEP, False, True, None, True),
        ("304 Not Modified", False, 1, None, None, True, "", False, True, None, True),
        ("304 Not Modified", False, 1, 5, None, True, "", False, True, None, True),
        ("304 Not Modified", True, 1, None, 5, True, "", False, True, None, True),
        ("304 Not Modified", False, 0, None, None, False, CLOSE, False, True, None, False),
        ("101 Switching Protocols", False, 1, None, None, True, "", False, True, None, True),
        ("404 Not Found", False, 1, None, None, True, CODING, True, False, None, True),
        ("204", False, 1, None, None, True, "", False, True, None, True),
    ],
)
def test_how_the_end_of_an_answer_is_told(
    status: str,
    head: bool,
    minor: int,
    given: int | None,
    known: int | None,
    keep: bool,
    lines: str,
    chunked: bool,
    bodyless: bool,
    length: int | None,
    persistent: bool,
) -> None:
    framing = decide_framing(status, head, minor, given, known, keep)
    assert framing == Framing(int(status[:3]), lines, chunked, bodyless, length, persistent)


@pytest.mark.parametrize("known", [4, 6, 0])
def test_a_body_that_is_not_as_long_as_its_length_is_refused_each_time(known: int) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match=f"the body has {known} bytes, its Content-Length says 5"):
            decide_framing("200 OK", False, 1, 5, known, True)


def test_no_answer_has_both_a_length_and_a_coding_nor_stays_open_without_either() -> None:
    for status in ("200 OK", "204 No Content", "304 Not Modified", "100 Continue", "500 Oops"):
        for head in (False, True):
            for minor in (0, 1):
                for given, known in ((None, None), (5, None), (None, 5), (5, 5)):
                    for keep in (False, True):
                        got = decide_framing(status, head, minor, given, known, keep)
                        assert not (got.chunked and (given is not None or "Content-Length" in got.lines))
                        assert not (got.chunked and minor == 0)
                        assert keep or not got.persistent
                        told = got.chunked or got.bodyless or got.length is not None
                        assert told or not got.persistent
                        assert ("Connection: close" in got.lines) is not got.persistent


@pytest.mark.parametrize("status", ["100 Continue", "101 Switching Protocols", "103 Early Hints", "204 No Content"])
def test_no_length_goes_with_these(status: str) -> None:
    assert forbids_length(status)


@pytest.mark.parametrize("status", ["200 OK", "205 Reset Content", "304 Not Modified", "404 Not Found", "500 Oops"])
def test_a_length_goes_with_these(status: str) -> None:
    assert not forbids_length(status)


# RFC 9112, section 7.1.


@pytest.mark.parametrize("content", [b"a", b"\r\n", b"a" * 15, b"a" * 16, b"a" * 70000])
def test_our_chunks_are_read_by_our_reader(content: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    coded = HTTP1Coder("").block(content)
    assert coded == f"{len(content):x}\r\n".encode() + content + b"\r\n"
    assert drive([head + coded + coded + HTTP1Coder.last_block]).messages[0].body == content * 2


# RFC 9110, section 15.2.


def test_interim_answers() -> None:
    interim = HTTP1Coder("us").interim
    assert interim(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert interim(103, "Link: </a>\r\n") == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


@pytest.mark.parametrize("status", [400, 408, 413, 414, 417, 431, 500, 501, 503, 504, 505])
def test_an_error_is_answered_whole_and_with_fixed_words(status: int) -> None:
    head, _, body = error_answer(status, b"Date: now\r\n\r\n", "Retry-After: 1\r\n").partition(b"\r\n\r\n")
    lines = head.decode("ascii").split("\r\n")
    assert lines == [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Retry-After: 1",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Connection: close",
        "Date: now",
    ]
    assert body.isascii()
    assert body.endswith(b".\n")
    assert error_answer(status, b"\r\n").startswith(f"HTTP/1.1 {status} ".encode())


# RFC 9110, sections 6.6.1 and 10.2.4.

NOW = 784111777.9
DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
SERVER = b"Server: us\r\n"
GET = HeadParser(Limits()).parse(b"GET / HTTP/1.1\r\nHost: h")


def added(coder: HTTP1Coder, now: float, *, date: bool = False, server: bool = False) -> bytes:
    """Return what `coder` adds to an answer whose application has given `date` or `server`: twice the same."""
    fields = Fields("", 0, date, server)
    head, _ = coder.head(GET, "200 OK", fields, 0, True, now)
    whole, _ = coder.whole(GET, "200 OK", fields, b"", True, now)
    assert head == whole
    return head.removeprefix(b"HTTP/1.1 200 OK\r\n")


def test_date_and_server_are_added_unless_the_application_gave_them() -> None:
    coder = HTTP1Coder("us")
    for _ in range(2):  # the second time it is remembered
        assert added(coder, NOW) == DATE + SERVER + b"\r\n"
        assert added(coder, NOW, date=True) == SERVER + b"\r\n"
        assert added(coder, NOW, server=True) == DATE + b"\r\n"
        assert added(coder, NOW, date=True, server=True) == b"\r\n"


def test_a_server_may_be_nameless() -> None:
    assert added(HTTP1Coder(""), NOW) == DATE + b"\r\n"


def test_date_is_of_the_second_that_is_asked_for() -> None:
    coder = HTTP1Coder("")
    for now in (0.0, 0.5, 1.0, NOW, 59.99, 2.0**31):
        line = added(coder, now).decode()
        assert parsedate_to_datetime(line.removeprefix("Date: ").rstrip()).timestamp() == int(now)


def test_an_answer_like_the_one_before_has_its_own_date_framing_and_body() -> None:
    coder = HTTP1Coder("us")
    fields = Fields("", None, False, False)
    old = HeadParser(Limits()).parse(b"GET / HTTP/1.0\r\nHost: h")
    asked = HeadParser(Limits()).parse(b"HEAD / HTTP/1.1\r\nHost: h")
    for now in (NOW, NOW, NOW + 1, NOW - 5, NOW):
        for head in (GET, GET, old, asked):
            for status in ("200 OK", "200 OK", "404 Not Found"):
                for body in (b"abc", b"xyz", b"longer"):
                    for keep in (True, False):
                        whole, framing = coder.whole(head, status, fields, body, keep, now)
                        made, expected = HTTP1Coder("us").head(head, status, fields, len(body), keep, now)
                        assert (whole, framing) == (made + (b"" if head is asked else body), expected)


def test_a_large_body_is_not_copied_to_its_head() -> None:
    coder = HTTP1Coder("us")
    large = bytes(32 * 1024)
    whole, framing = coder.whole(GET, "200 OK", Fields("", None, True, True), large, True, NOW)
    assert isinstance(whole, tuple)
    assert whole[1] is large
    assert framing.length == len(large)
    assert coder.join(b"head", large) == (b"head", large)
    assert coder.join(b"head", b"small") == b"headsmall"
