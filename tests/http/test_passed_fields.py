"""Which fields of an answer go with the one that takes its place?"""

from __future__ import annotations

import pytest

from twisted_wsgiref._http.passed_fields import allows_ranges, kept_of, media_type_of, merge

FILE = [("Content-Type", "text/plain"), ("Content-Length", "5"), ("Cache-Control", "no-cache"), ("ETag", '"f"')]


def test_what_describes_the_body_that_is_not_sent_is_void() -> None:
    void = (
        "content-length",
        "ETag",
        "Last-Modified",
        "Content-Encoding",
        "Content-Range",
        "X-Accel-Limit-Rate",
        "DATE",
    )
    headers = [*((name, "x") for name in void), ("Set-Cookie", "a"), ("Content-Security-Policy", "sandbox")]
    assert kept_of(headers) == (("Set-Cookie", "a"), ("Content-Security-Policy", "sandbox"))


@pytest.mark.parametrize(
    ("status", "kept", "expected"),
    [
        ("200 OK", [("content-type", "a/b")], [*FILE[1:], ("content-type", "a/b")]),
        ("206 Partial Content", [("Content-Type", "a/b")], [*FILE[1:], ("Content-Type", "a/b")]),
        ("304 Not Modified", [("Content-Type", "a/b"), ("Vary", "x")], [*FILE, ("Vary", "x")]),
        ("404 Not Found", [("Content-Disposition", "attachment"), ("Set-Cookie", "a")], [*FILE, ("Set-Cookie", "a")]),
        ("404 Not Found", [("Content-Security-Policy", "x")], [*FILE, ("Content-Security-Policy", "x")]),
        ("200 OK", [("Cache-Control", "no-store")], [FILE[0], FILE[1], FILE[3], ("Cache-Control", "no-store")]),
        ("200 OK", [("Expires", "0")], [FILE[0], FILE[1], FILE[3], ("Expires", "0")]),
        ("200 OK", [], FILE),
    ],
)
def test_what_the_application_says_wins(
    status: str, kept: list[tuple[str, str]], expected: list[tuple[str, str]]
) -> None:
    assert merge(status, FILE, kept) == expected


def test_cookies_and_vary_of_both_are_sent() -> None:
    pairs = [("Set-Cookie", "a"), ("Vary", "b"), ("Link", "c")]
    assert merge("200 OK", pairs, pairs) == [*pairs, *pairs]


def test_the_line_between_parts_is_not_lost() -> None:
    parts = [("Content-Type", "multipart/byteranges; boundary=x")]
    assert merge("206 Partial Content", parts, [("Content-Type", "a/b")]) == parts
    assert merge("200 OK", parts, [("Content-Type", "a/b")]) == [("Content-Type", "a/b")]


def test_two_facts_are_read_of_them() -> None:
    assert media_type_of([("content-TYPE", "a/b")]) == "a/b"
    assert media_type_of([]) is None
    assert allows_ranges([("Accept-Ranges", "bytes")])
    assert not allows_ranges([("accept-ranges", " None ")])
