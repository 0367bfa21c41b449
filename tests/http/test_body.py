"""Where does a body end, what in it is content, and what is refused?"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twisted_wsgiref._http.body import ChunkedBody, LengthBody, body_of
from twisted_wsgiref._http.errors import ProtocolError
from twisted_wsgiref._http.limits import Limits
from twisted_wsgiref._http.request_framing import CHUNKED

from .drive import SPLITS, cut_at

NEXT = b"GET / HTTP/1.1\r\n"


def read(length: int, pieces: list[bytes], limits: Limits | None = None) -> tuple[bytes, bytes, bool]:
    """Return the content, what follows, and whether the body is complete."""
    body = body_of(length, limits or Limits())
    content = rest = b""
    for piece in pieces:
        if body.complete:
            rest += piece
            continue
        some, taken = body.feed(piece)
        rest = piece[taken:]
        if rest and not body.complete:
            raise RuntimeError("something follows a body that has no end yet")
        content += some
    return content, rest, body.complete


def read_chunks(octets: bytes, split: str = "whole", limits: Limits | None = None) -> tuple[bytes, bytes, bool]:
    return read(CHUNKED, list(SPLITS[split](octets)), limits)


def status(octets: bytes, split: str = "whole", limits: Limits | None = None) -> int:
    with pytest.raises(ProtocolError) as caught:
        read_chunks(octets, split, limits)
    return caught.value.status


# RFC 9112, section 6.2: a length.


@pytest.mark.parametrize("split", SPLITS)
def test_a_body_ends_with_its_last_octet(split: str) -> None:
    assert read(5, list(SPLITS[split](b"hello" + NEXT))) == (b"hello", NEXT, True)
    assert read(5, list(SPLITS[split](b"hello"))) == (b"hello", b"", True)
    assert read(5, list(SPLITS[split](b"hell"))) == (b"hell", b"", False)


def test_a_body_of_no_octets_is_complete_before_any_came() -> None:
    body = body_of(0, Limits())
    assert type(body) is LengthBody
    assert body.complete


@pytest.mark.parametrize(
    ("length", "octets"), [(5, b"hello"), (5, b"hello" + NEXT), (0, b""), (CHUNKED, b"0\r\n\r\n" + NEXT)]
)
def test_nothing_that_comes_after_a_complete_body_is_content(length: int, octets: bytes) -> None:
    body = body_of(length, Limits())
    body.feed(octets)
    assert body.feed(NEXT) == (b"", 0)


def test_a_body_of_chunks_is_not() -> None:
    body = body_of(CHUNKED, Limits())
    assert type(body) is ChunkedBody
    assert not body.complete


# RFC 9112, section 7.1: chunks.


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    ("octets", "content"),
    [
        (b"0\r\n\r\n", b""),
        (b"00\r\n\r\n", b""),
        (b"1\r\na\r\n0\r\n\r\n", b"a"),
        (b"01\r\na\r\n0\r\n\r\n", b"a"),
        (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
        (b"1\r\na\r\n" * 100 + b"0\r\n\r\n", b"a" * 100),
        (b"1;a\r\na\r\n0;b\r\n\r\n", b"a"),
        (b"1;a=b;c;d=e\r\na\r\n0\r\n\r\n", b"a"),
        (b'1;a=""\r\na\r\n0\r\n\r\n', b"a"),
        (b"1; a\r\na\r\n0 ;b\r\n\r\n", b"a"),
        (b'1 \t; \ta \t=\t b; c= "d" ;e\r\na\r\n0\r\n\r\n', b"a"),
        (b'1;a="; \t\\"\\\\\xff"\r\na\r\n0\r\n\r\n', b"a"),
        (b"1\r\na\r\n0\r\nX: b\r\n\r\n", b"a"),
        (b"1\r\na\r\n0\r\nX:\r\nY:\t\xe9\r\n\r\n", b"a"),
    ],
)
def test_chunks_are_joined(octets: bytes, content: bytes, split: str) -> None:
    assert read_chunks(octets + NEXT, split) == (content, NEXT, True)
    for end in range(len(octets)):
        got, rest, complete = read_chunks(octets[:end], split)
        assert (content.startswith(got), rest, complete) == (True, b"", False)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    "size",
    [
        b"",
        b"g",
        b"+1",
        b"-1",
        b"0x1",
        b"1_0",
        b" 1",
        b"1 ",
        b"\t1",
        b"1\x0b",
        b"1\x00",
        b"1,1",
        b"1;",
        b"1;;a",
        b"1 ;",
        b"1; ",
        b"1;a ",
        b"1;a=b ",
        b"1;a b",
        b"1;a = ",
        b"1;a=",
        b"1;=a",
        b"1;a=\xe9",
        b'1;a="',
        b'1;a="\\"',
        b'1;a="b"c',
        b'1;a="\x00"',
        b'1;a="\\\x00"',
        b'1;a="\r\n"',
        b"1;a\rb",
        b"1\r",
        b"1" * 16,
        b"0" * 16,
    ],
)
def test_a_malformed_size_is_refused(size: bytes, split: str) -> None:
    assert status(size + b"\r\na\r\n0\r\n\r\n", split) == 400


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    "octets",
    [
        b"1\na\r\n0\r\n\r\n",
        b"1;a\n\r\na\r\n0\r\n\r\n",
        b"1\r\na\n",
        b"1\r\na\r0",
        b"1\r\naXX",
        b"1\r\nab",
        b"1\r\na0\r\n",
        b"1\r\na\r\n\r\n",
        b"0\n",
        b"\r\n",
    ],
)
def test_lines_end_with_cr_lf_only_and_chunks_where_they_said(octets: bytes, split: str) -> None:
    assert status(octets, split) == 400


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    "trailers",
    [
        b"X\r\n",
        b"X : a\r\n",
        b": a\r\n",
        b" X: a\r\n",
        b"X: a\r\n b\r\n",
        b"X: a\nY: b\r\n",
        b"X: a\rY: b\r\n",
        b"X: \x00\r\n",
        b"X\xe9: a\r\n",
        b"\n",
        b"1\r\na\r\n",
    ],
)
def test_a_malformed_trailer_is_refused(trailers: bytes, split: str) -> None:
    assert status(b"0\r\n" + trailers + b"\r\n", split) == 400
    assert status(b"0\r\nX: a\r\n" + trailers + b"\r\n", split) == 400


# Limits: with the line end, exactly as many octets as allowed.

LIMITS = Limits(chunk_line=20, trailers=30)


@pytest.mark.parametrize("split", SPLITS)
def test_the_line_of_a_size_has_a_limit(split: str) -> None:
    line = b"1;" + b"a" * 16 + b"\r\n"
    assert len(line) == 20
    assert read_chunks(line + b"a\r\n0\r\n\r\n", split, LIMITS) == (b"a", b"", True)
    assert status(b"1;" + b"a" * 17 + b"\r\na\r\n0\r\n\r\n", split, LIMITS) == 400
    assert read_chunks(b"1;" + b"a" * 17, split, LIMITS) == (b"", b"", False)
    assert status(b"1;" + b"a" * 18, split, LIMITS) == 400


@pytest.mark.parametrize("split", SPLITS)
def test_trailers_have_a_limit(split: str) -> None:
    trailers = b"X: a\r\nY: " + b"b" * 19 + b"\r\n"
    assert len(trailers) == 30
    assert read_chunks(b"0\r\n" + trailers + b"\r\n" + NEXT, split, LIMITS) == (b"", NEXT, True)
    assert status(b"0\r\n" + trailers.replace(b"bb", b"bbb", 1), split, LIMITS) == 431
    assert read_chunks(b"0\r\n\r\n", split, Limits(trailers=0)) == (b"", b"", True)
    assert status(b"0\r\nX:\r\n\r\n", split, Limits(trailers=3)) == 431
    assert read_chunks(b"0\r\nX: " + b"a" * 26, split, LIMITS) == (b"", b"", False)
    assert status(b"0\r\nX: " + b"a" * 27, split, LIMITS) == 431


@pytest.mark.parametrize("octets", [b"0\r\n\n", b"0\r\nX\r\n", b"0\r\nX: a\n", b"0\r\nX: a\r\n\n", b"1;\n", b"\n"])
@pytest.mark.parametrize("split", SPLITS)
def test_a_hopeless_line_is_refused_with_its_end(octets: bytes, split: str) -> None:
    assert status(octets, split) == 400


@pytest.mark.parametrize("split", SPLITS)
def test_the_limit_of_trailers_is_for_trailers_and_not_for_what_follows(split: str) -> None:
    assert read_chunks(b"0\r\n\r\n" + b"a" * 100, split, LIMITS) == (b"", b"a" * 100, True)


def test_a_huge_chunk_is_handed_on_as_it_comes() -> None:
    body = ChunkedBody(Limits())
    assert body.feed(b"fffffffffffffff\r\n" + b"a" * 9) == (b"a" * 9, 26)
    assert body.feed(bytearray(b"b" * 9)) == (b"b" * 9, 9)


@settings(max_examples=settings.default.max_examples * 3 // 2)
@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    places=st.lists(st.integers(0, 500), max_size=12),
    tail=st.binary(max_size=10),
)
def test_any_chunks_at_any_splits(chunks: list[bytes], places: list[int], tail: bytes) -> None:
    octets = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n" + tail
    assert read(CHUNKED, cut_at(octets, places)) == (b"".join(chunks), tail, True)
