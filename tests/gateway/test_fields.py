"""Is what an application says of its answer judged where it is said, and sent as it is?"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.support import name_of
from twisted_wsgiref._gateway.fields import check_status, format_fields


class Text(str):
    """A subclass, as Django's SafeString."""

    __slots__ = ()


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "999 X", "200 ", "299 \xe9t\xe9 \t!"])
def test_a_status_is_three_digits_and_a_phrase(status: str) -> None:
    check_status(status)
    check_status(status)  # as one that is known


@pytest.mark.parametrize(
    "status",
    [
        "",
        "200",
        "20 OK",
        "2000 OK",
        "000 X",
        "099 X",
        "-20 X",
        "200  \n",
        "200 OK\r\n",
        "200 \x00",
        "200 Ā",
        " 200 OK",
        "abc X",
        "٢٠٠ X",
        "100 Continue",
        "101 Switching Protocols",
        "200\tOK",
        "200 \x7f",
        "+20 OK",
    ],
)
def test_anything_else_is_no_status(status: str) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="the status is"):
            check_status(status)


@pytest.mark.parametrize("status", [b"200 OK", 200, None, ["200 OK"], ("200 OK",)])
def test_a_status_is_a_str(status: Any) -> None:
    with pytest.raises(TypeError):
        check_status(status)


def test_fields_become_lines_in_their_order() -> None:
    fields = format_fields([("B", "2"), ("a", ""), ("B", " x\ty\xe9\x80 ")])
    assert fields.lines == "B: 2\r\na: \r\nB:  x\ty\xe9\x80 \r\n"
    assert (fields.length, fields.has_date, fields.has_server) == (None, False, False)
    assert format_fields([]).lines == ""


@pytest.mark.parametrize("name", ["Content-Length", "content-length", "CONTENT-LENGTH"])
@pytest.mark.parametrize("value", ["0", "5", "0005", "9" * 19])
def test_the_length_is_a_number(name: str, value: str) -> None:
    assert format_fields([(name, value)]).length == int(value)


@pytest.mark.parametrize("value", ["", "-1", "+1", " 1", "1 ", "1_0", "0x1", "1.0", "\u0661", "9" * 20, "1, 1", "1;1"])
def test_any_other_length_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="Content-Length"):
        format_fields([("Content-Length", value)])


def test_two_lengths_are_refused_even_if_they_agree() -> None:
    with pytest.raises(ValueError, match=r"(?i)content-length"):
        format_fields([("Content-Length", "1"), ("content-length", "1")])


@pytest.mark.parametrize("name", ["Date", "dAtE", "Server", "SERVER"])
def test_what_the_server_need_not_add_is_known(name: str) -> None:
    fields = format_fields([(name, "x")])
    assert (fields.has_date, fields.has_server) == (name.lower() == "date", name.lower() == "server")


FORBIDDEN = [chr(number) for number in [*range(9), *range(10, 32), 127]] + ["\u0100", "\u20ac", "\U0001f600", "\ud800"]


@pytest.mark.parametrize("character", FORBIDDEN, ids=ascii)
def test_no_value_holds_what_no_line_may(character: str) -> None:
    for value in (character, f"a{character}", f"{character}a", f"a{character}Evil: 1"):
        for _ in range(2):
            with pytest.raises(ValueError, match="the header X"):
                format_fields([("A", "\xe9"), ("X", value), ("Y", "fine")])


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a:", "a\r\n", "a\n", "\xe9", "a\0", "(a)", "a,b", "a/b", "\u0410", "a\x7f"]
)
def test_a_name_is_a_token(name: str) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="token"):
            format_fields([(name, "x")])


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "keep-alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "TE",
        "trailers",
        "TRANSFER-ENCODING",
        "Upgrade",
    ],
)
def test_hop_by_hop_fields_are_the_server_s(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        format_fields([(name, "x")])


@pytest.mark.parametrize(
    "headers",
    [
        None,
        (),
        (("a", "b"),),
        {"a": "b"},
        iter([("a", "b")]),
        "ab",
        ["ab"],
        [["a"]],
        [["a", "b", "c"]],
        [["a", 1]],
        [["a", "b"], ("c", None)],
        [("a",)],
        [("a", "b", "c")],
        [()],
        [None],
        [("a", None)],
        [("a", 1)],
        [("a", b"b")],
        [(b"a", "b")],
        [(1, "b")],
        [(None, "b")],
        [([], "b")],
        [("a", ["b"])],
        [("A", "fine"), ("a", {"b": "c"})],
    ],
    ids=name_of,
)
def test_headers_are_a_list_of_pairs_of_str(headers: Any) -> None:
    for _ in range(2):
        with pytest.raises(TypeError):
            format_fields(headers)


class Named(NamedTuple):
    name: str
    value: str


@pytest.mark.parametrize(
    "headers",
    [
        [["Content-Type", "text/plain"], ["Content-Length", "5"]],
        [("Content-Type", "text/plain"), ["Content-Length", "5"]],
        [Named("Content-Type", "text/plain"), ("Content-Length", "5")],
    ],
    ids=repr,
)
def test_a_pair_may_be_what_other_servers_take(headers: Any) -> None:
    before = list(headers)
    for _ in range(2):
        fields = format_fields(headers)
        assert fields.lines == "Content-Type: text/plain\r\nContent-Length: 5\r\n"
        assert fields.length == 5
    assert headers == before


@pytest.mark.parametrize(
    ("headers", "culprit"),
    [
        ([["a b", "c"]], "a header name is 'a b'"),
        ([["Connection", "close"]], "the header Connection is between"),
        ([["a", "b\n"]], r"the header a holds the character '\\n'"),
        ([["Content-Length", "1"], ["content-length", "1"]], "more than once"),
    ],
)
def test_what_is_checked_of_a_tuple_is_checked_of_a_list(headers: Any, culprit: str) -> None:
    with pytest.raises(ValueError, match=culprit) as caught:
        format_fields(headers)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_subclass_of_str_is_sent_by_its_characters() -> None:
    try:
        fields = format_fields([("X", Text("value"))])
    except TypeError:
        return  # as strict as PEP 3333
    assert fields.lines == "X: value\r\n"


def test_many_names_are_judged_as_the_first() -> None:
    for number in range(6000):
        assert format_fields([(f"X-{number}", "v")]).lines == f"X-{number}: v\r\n"
    with pytest.raises(ValueError, match="token"):
        format_fields([("X 1", "v")])
