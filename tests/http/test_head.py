"""What does a head say, which fields reach an application, and what is refused as malformed?"""

from __future__ import annotations

import time

import pytest

from twisted_wsgiref._http import field_line, request_line
from twisted_wsgiref._http.errors import ProtocolError
from twisted_wsgiref._http.head import HeadParser, RequestHead
from twisted_wsgiref._http.limits import Limits
from twisted_wsgiref._http.request_framing import CHUNKED
from twisted_wsgiref._http.request_line import is_request_line


def parse(fields: bytes = b"", line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: a\r\n") -> RequestHead:
    return HeadParser(Limits()).parse((line + b"\r\n" + host + fields).removesuffix(b"\r\n"))


def status(fields: bytes = b"", line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: a\r\n") -> int:
    with pytest.raises(ProtocolError) as caught:
        parse(fields, line, host)
    return caught.value.status


def test_a_head_says_all_that_a_server_asks() -> None:
    head = parse(b"Content-Length: 5\r\nExpect: 100-continue\r\n", b"POST /a%20b?c=%20 HTTP/1.1")
    assert (head.method, head.target, head.path, head.query) == ("POST", "/a%20b?c=%20", "/a b", "c=%20")
    assert (head.minor, head.length, head.persistent, head.expects_continue) == (1, 5, True, True)
    assert head.fields == {"HTTP_HOST": "a", "CONTENT_LENGTH": "5", "HTTP_EXPECT": "100-continue"}
    assert head.request_line == "POST /a%20b?c=%20 HTTP/1.1"


def test_a_head_of_chunks_tells_that_only_the_end_will_tell() -> None:
    assert parse(b"Transfer-Encoding: chunked\r\n").length == CHUNKED


@pytest.mark.parametrize(("minor", "served"), [(0, 0), (1, 1), (2, 1), (9, 1)])
def test_a_later_minor_version_is_served_as_the_latest_that_is_known(minor: int, served: int) -> None:
    assert parse(line=b"GET / HTTP/1.%d" % minor).minor == served
    assert is_request_line(b"GET / HTTP/1.%d" % minor)


def test_a_host_is_asked_of_http_1_1_only() -> None:
    assert parse(line=b"GET / HTTP/1.0", host=b"").fields == {}
    assert status(host=b"") == 400


# RFC 9110, section 5: names without case, values without their padding.


@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        (b"Accept: a\r\n", {"HTTP_ACCEPT": "a"}),
        (b"aCCEPT:a\r\n", {"HTTP_ACCEPT": "a"}),
        (b"Accept: \t a \t \r\n", {"HTTP_ACCEPT": "a"}),
        (b"Accept:\r\n", {"HTTP_ACCEPT": ""}),
        (b"Accept: \t \r\n", {"HTTP_ACCEPT": ""}),
        (b"Accept: a\tb  c\r\n", {"HTTP_ACCEPT": "a\tb  c"}),
        (b"Accept: caf\xe9\xff\x80\r\n", {"HTTP_ACCEPT": "caf\xe9\xff\x80"}),
        (b"Accept: a\xa0\r\n", {"HTTP_ACCEPT": "a\xa0"}),  # No-break space is no padding.
        (b"Accept: \x85a\x85\r\n", {"HTTP_ACCEPT": "\x85a\x85"}),  # Next line is no line end.
        (b"Content-Type: a/b\r\n", {"CONTENT_TYPE": "a/b"}),
        (b"X-A: 1\r\nX-B: 2\r\nX-A: 3\r\n", {"HTTP_X_A": "1, 3", "HTTP_X_B": "2"}),
        (b"X: a \r\nX:\tb\r\nx: \r\nX: c\r\n", {"HTTP_X": "a, b, , c"}),
        (b"Cookie: a=1\r\nCookie: b=2 \r\ncookie: c=3\r\n", {"HTTP_COOKIE": "a=1; b=2; c=3"}),
    ],
)
def test_fields_reach_the_application_by_their_cgi_names(lines: bytes, seen: dict[str, str]) -> None:
    fields = parse(lines).fields
    assert fields.pop("HTTP_HOST") == "a"
    assert fields == seen
    assert list(fields) == list(seen)


@pytest.mark.parametrize(
    "lines",
    [
        b"X_Forwarded_For: 1\r\n",
        b"X-Forwarded_For: 1\r\nX_Forwarded-For: 2\r\n",
        b"_: 1\r\n",
        b"Content_Length: 5\r\n",
        b"Content_Length: 5\r\nContent_Length: 6\r\n",
        b"Transfer_Encoding: gzip\r\n",
        b"Host_: b\r\n",
        b"HTTP_HOST: b\r\n",
        b"Proxy: http://evil.example\r\n",
        b"pROXY: a\r\nProxy: b\r\nX_: c\r\n",
    ],
)
def test_names_that_could_stand_for_another_never_reach_it(lines: bytes) -> None:
    head = parse(lines)
    assert head.fields == {"HTTP_HOST": "a"}
    assert head.length == 0


def test_a_name_beside_a_shadow_of_it_is_kept() -> None:
    head = parse(b"X_A: evil\r\nX-A: good\r\nX_A: evil\r\nProxy-Connection: b\r\n")
    assert head.fields == {"HTTP_HOST": "a", "HTTP_X_A": "good", "HTTP_PROXY_CONNECTION": "b"}


@pytest.mark.parametrize(
    "name", ["Host", "Content-Length", "Content-Type", "Transfer-Encoding", "Authorization", "Expect", "eXPECT"]
)
@pytest.mark.parametrize("other", [b"5", b"6", b""])
def test_fields_of_which_one_counts_come_once(name: str, other: bytes) -> None:
    line = name.encode() + b": "
    assert status(line + b"5\r\n" + line.swapcase() + other + b"\r\n") == 400


@pytest.mark.parametrize(
    "lines",
    [
        b"X : a\r\n",
        b"X\t: a\r\n",
        b" X: a\r\n",
        b"X: a\r\n b\r\n",
        b"X: a\r\n\tb\r\n",
        b": a\r\n",
        b"X\r\n",
        b"X a\r\n",
        b"X: a\nY: b\r\n",
        b"X: a\rY: b\r\n",
        b"X: a\r\r\n",
        b"X: a\x00\r\n",
        b"X: \x7f\r\n",
        b"X: a\x0b\r\n",
        b"X\xe9: a\r\n",
        b"X(: a\r\n",
        b"X: a",
        b"X: a\n",
    ],
)
def test_a_malformed_field_line_is_refused(lines: bytes) -> None:
    if lines.endswith(b"\n"):
        assert status(lines) == 400
    # In the middle, too: no line is skipped.
    assert status(lines.rstrip(b"\n") + b"\nY: b\r\n") == 400


@pytest.mark.parametrize("code", [*range(9), *range(10, 32), 127])
def test_no_control_character_but_a_tab_is_in_a_field(code: int) -> None:
    assert status(b"X: a" + bytes([code]) + b"b\r\n") == 400
    assert status(b"X" + bytes([code]) + b": b\r\n") == 400


@pytest.mark.parametrize("code", [*range(33), *b'"(),/:;<=>?@[\\]{}', *range(127, 256)])
def test_methods_and_names_are_tokens(code: int) -> None:
    assert status(line=b"G" + bytes([code]) + b"T / HTTP/1.1") == 400
    if code != ord(":"):
        assert status(b"X" + bytes([code]) + b"Y: a\r\n") == 400


@pytest.mark.parametrize("code", [*range(33), *range(127, 256)])
def test_a_target_is_printable_ascii(code: int) -> None:
    assert status(line=b"GET /a" + bytes([code]) + b"b HTTP/1.1") == 400


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/0.9", 505),
        (b"GET / HTTP/9.0", 505),
        (b"GET / HTTP/1.10", 400),
        (b"GET / http/1.1", 400),
        (b"GET /", 400),
        (b"GET", 400),
        (b"", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b" GET / HTTP/1.1", 400),
        (b"GET\t/ HTTP/1.1", 400),
        (b"GET  HTTP/1.1", 400),
    ],
)
def test_request_lines_of_no_version_that_is_served(line: bytes, expected: int) -> None:
    assert status(line=line) == expected
    assert not is_request_line(line)


def test_a_request_line_that_is_served_is_known_before_the_fields() -> None:
    assert is_request_line(b"GET / HTTP/1.1")
    assert not is_request_line(b"GET / HTTP/1.1\n")


def test_an_error_tells_its_status_and_quotes_nothing() -> None:
    with pytest.raises(ProtocolError) as caught:
        parse(b"X: secret\x00\r\n")
    assert str(caught.value) == f"400: {caught.value.reason}"
    assert "secret" not in repr(caught.value)


# Lines are remembered, and they are chosen by clients.


def test_neither_many_lines_nor_long_ones_are_remembered() -> None:
    lines = field_line.make_lines()
    for number in range(5000):
        assert lines[f"X-{number}: a"] == (f"HTTP_X_{number}", "a")
    assert lines["X: " + "a" * 5000] == ("HTTP_X", "a" * 5000)
    assert len(lines) <= 2048
    assert max(map(len, lines)) <= 200


@pytest.mark.parametrize("name", ["Cookie", "Authorization", "proxy-authorization"])
def test_secrets_are_not_remembered(name: str) -> None:
    lines = field_line.make_lines()
    assert lines[f"{name}: secret"][1] == "secret"
    assert not lines


def test_a_query_of_the_page_before_is_not_remembered() -> None:
    lines = field_line.make_lines()
    assert lines["Referer: https://example.org/reset?token=secret"][1].endswith("=secret")
    assert not lines
    assert lines["Referer: https://example.org/reset"] == ("HTTP_REFERER", "https://example.org/reset")
    assert len(lines) == 1


@pytest.mark.parametrize("padding", [b" ", b"\t", b" \t"])
@pytest.mark.parametrize("end", [b"\x01\r\n", b"\n", b"\r", b"", b"a\x00\r\n"])
def test_a_long_run_of_white_space_costs_no_more_than_its_length(padding: bytes, end: bytes) -> None:
    # CVE-2020-5236: tried at every length, 8,000 octets took a quarter of a second, and a head holds four of them.
    lines = (b"X:" + padding * (8000 // len(padding)) + end) * 4
    start = time.thread_time()
    with pytest.raises(ProtocolError):
        HeadParser(Limits()).parse(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines)
    assert time.thread_time() - start < 0.5  # usual are 10 ms, by the square seconds


# Fields that a connection sends again as it sent them before are not judged again.


def test_fields_that_come_again_are_the_same_object() -> None:
    parser = HeadParser(Limits())
    one = parser.parse(b"GET /1 HTTP/1.1\r\nHost: a\r\nCookie: b")
    two = parser.parse(b"GET /2 HTTP/1.1\r\nHost: a\r\nCookie: b")
    assert two.fields is one.fields
    assert (one.path, two.path) == ("/1", "/2")
    other = HeadParser(Limits()).parse(b"GET /1 HTTP/1.1\r\nHost: a\r\nCookie: b")
    assert other.fields is not one.fields


def test_what_is_too_large_to_be_kept_leaves_what_was_kept_alone() -> None:
    parser = HeadParser(Limits())
    small, large = b"GET / HTTP/1.1\r\nHost: a", b"GET / HTTP/1.1\r\nHost: b\r\nCookie: " + b"a" * 4000
    for _ in range(2):
        assert parser.parse(small).fields == {"HTTP_HOST": "a"}
        assert parser.parse(large).fields["HTTP_HOST"] == "b"


def test_fields_are_judged_again_for_another_version() -> None:
    parser = HeadParser(Limits())
    assert parser.parse(b"GET / HTTP/1.0\r\nExpect: x").persistent is False
    with pytest.raises(ProtocolError) as caught:
        parser.parse(b"GET / HTTP/1.1\r\nExpect: x")
    assert caught.value.reason == "an HTTP/1.1 request without Host"
    assert parser.parse(b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue").expects_continue is True
    assert parser.parse(b"GET / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue").expects_continue is False


def test_the_host_of_a_target_is_not_remembered_for_the_next() -> None:
    parser = HeadParser(Limits())
    for _ in range(3):
        for target, host in (("/", "a"), ("http://b/b", "b"), ("http://c/b", "c"), ("http://a/", "a"), ("/b", "a")):
            for _ in range(3):
                head = parser.parse(f"GET {target} HTTP/1.1\r\nHost: a\r\nX: y".encode())
                assert head.fields == {"HTTP_HOST": host, "HTTP_X": "y"}


@pytest.mark.parametrize("host", [b"", b"Host:\r\n", b"Host: a\r\nHost: a\r\n", b"Host: a b\r\n"])
def test_a_host_that_is_ignored_has_to_be_one(host: bytes) -> None:
    assert status(line=b"GET http://a/ HTTP/1.1", host=host) == 400


@pytest.mark.parametrize("limits", [Limits(), Limits(field=20), Limits(request_line=20)])
def test_lines_that_come_again_are_measured_again(limits: Limits) -> None:
    parser = HeadParser(limits)
    for _ in range(2):
        assert parser.parse(b"GET / HTTP/1.1\r\nHost: a\r\nA: b").path == "/"
    for long in (b"GET /" + b"a" * limits.request_line + b" HTTP/1.1", b"GET / HTTP/1.1\r\nA: " + b"a" * limits.field):
        for _ in range(2):
            with pytest.raises(ProtocolError):
                parser.parse(long + b"\r\nHost: a")


def test_what_is_kept_of_a_connection_is_bounded() -> None:
    parser = HeadParser(Limits())
    parser.parse(b"GET / HTTP/1.1\r\nHost: a\r\nCookie: " + b"a" * 8000)
    assert len(parser._lines) <= 2048


def test_a_request_line_with_a_query_is_not_remembered() -> None:
    lines = request_line.make_lines()
    assert lines[b"GET /a?token=b HTTP/1.1"].query == "token=b"
    assert not lines
    for number in range(5000):
        assert lines[b"GET /%d HTTP/1.1" % number].path == f"/{number}"
    assert len(lines) <= 1024
