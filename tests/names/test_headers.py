"""Does `Headers` do what the documentation says, keep the caller's list, and let nobody end a line early?"""

from __future__ import annotations

import wsgiref.headers
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_wsgiref.headers import Headers

# Every control character of ASCII. RFC 9110, section 5.5, allows HTAB in values alone.
CONTROLS = [chr(code) for code in (*range(0x20), 0x7F)]
NOT_IN_VALUES = [each for each in CONTROLS if each != "\t"]

NAMES = st.sampled_from(["a", "A", "B", "b", "Content-Type", "content-TYPE", "X-Other"])
# What may stand in a latin-1 field value; C1 controls are obs-text (RFC 9110, section 5.5). HTAB may too, but the
# standard library took and refused it by version, so that it is no measure there.
TEXTS = st.text(st.characters(max_codepoint=0xFF, exclude_characters=CONTROLS), max_size=8)
PAIRS = st.lists(st.tuples(NAMES, TEXTS), max_size=6)
KEYWORDS = st.sampled_from(["filename", "one_two", "_", "q"])
PARAMETERS = st.dictionaries(KEYWORDS, st.none() | TEXTS, max_size=3)
STEPS = st.one_of(
    st.tuples(st.just("set"), NAMES, TEXTS),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("setdefault"), NAMES, TEXTS),
    st.tuples(st.just("add"), NAMES, st.none() | TEXTS, PARAMETERS),
)


class Name(str):
    """A str of somebody's own; PEP 3333 wants `str` itself."""

    __slots__ = ()


def two_of_a_kind() -> Headers:
    return Headers([("Set-Cookie", "one"), ("Vary", "*"), ("set-cookie", "two")])


class TestTheList:
    def test_is_it_the_callers_own_list(self) -> None:
        pairs = [("A", "1")]
        headers = Headers(pairs)
        headers["B"] = "2"
        headers.add_header("C", "3")
        headers.setdefault("D", "4")
        del headers["A"]
        assert pairs == [("B", "2"), ("C", "3"), ("D", "4")]

    def test_is_an_empty_list_wrapped_too(self) -> None:
        pairs: list[tuple[str, str]] = []
        Headers(pairs)["A"] = "1"
        assert pairs == [("A", "1")]

    def test_is_what_the_caller_does_to_the_list_seen(self) -> None:
        pairs = [("A", "1")]
        headers = Headers(pairs)
        pairs.append(("B", "2"))
        assert headers["b"] == "2"
        assert len(headers) == 2

    @pytest.mark.parametrize("arguments", [(), (None,), ([],)])
    def test_may_it_start_empty(self, arguments: tuple[Any, ...]) -> None:
        assert Headers(*arguments).items() == []

    def test_do_two_that_start_empty_share_nothing(self) -> None:
        first, second = Headers(), Headers()
        first["A"] = "1"
        assert second.items() == []

    @pytest.mark.parametrize("wrong", [(), (("A", "1"),), {"A": "1"}, "A: 1", iter([]), 0, False])
    def test_what_is_not_a_list_is_refused(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match="list"):
            Headers(wrong)
        with pytest.raises(TypeError):
            wsgiref.headers.Headers(wrong)

    def test_a_list_of_ones_own_kind_is_refused(self) -> None:
        class Mine(list):  # type: ignore[type-arg]
            pass

        with pytest.raises(TypeError, match="list"):
            Headers(Mine())

    def test_the_copies_that_it_hands_out_are_the_readers_own(self) -> None:
        headers = two_of_a_kind()
        items, keys, values, all_ = headers.items(), headers.keys(), headers.values(), headers.get_all("vary")
        for each in (items, keys, values, all_):
            each.clear()
        assert len(headers) == len(headers.items()) == len(headers.keys()) == len(headers.values()) == 3
        assert headers.get_all("vary") == ["*"]


class TestReading:
    def test_names_have_no_case_and_keep_theirs(self) -> None:
        headers = Headers([("Content-Type", "text/plain")])
        for spelling in ("Content-Type", "content-type", "CONTENT-TYPE"):
            assert headers[spelling] == headers.get(spelling) == "text/plain"
            assert spelling in headers
        assert headers.keys() == ["Content-Type"]

    def test_what_is_not_there_reads_as_none(self) -> None:
        headers = Headers()
        assert headers["A"] is None
        assert headers.get("A") is None
        assert headers.get("A", "other") == "other"
        assert headers.get("A", default="other") == "other"
        assert headers.get_all("A") == []
        assert "A" not in headers

    def test_of_several_the_first_is_read_and_all_can_be(self) -> None:
        headers = two_of_a_kind()
        assert headers["SET-COOKIE"] == "one"
        assert headers.get_all("Set-cookie") == ["one", "two"]
        assert headers.keys() == ["Set-Cookie", "Vary", "set-cookie"]
        assert headers.values() == ["one", "*", "two"]
        assert headers.items() == [("Set-Cookie", "one"), ("Vary", "*"), ("set-cookie", "two")]

    def test_an_empty_value_is_there(self) -> None:
        headers = Headers([("A", "")])
        assert headers["A"] == ""
        assert "A" in headers
        assert headers.setdefault("A", "other") == ""

    def test_the_length_counts_fields_not_names(self) -> None:
        assert len(two_of_a_kind()) == 3
        assert not Headers()

    def test_a_dict_of_it_has_the_first_value_of_each_spelling(self) -> None:
        # What dict() takes from anything that has keys() and __getitem__.
        assert dict(two_of_a_kind()) == {"Set-Cookie": "one", "Vary": "*", "set-cookie": "one"}

    def test_the_old_iteration_by_index_meets_names_that_are_no_str(self) -> None:
        # It is no iterable; Python then asks for item 0, which is no name. Sequence iteration is refused, not endless.
        with pytest.raises(AssertionError, match="0"):
            list(Headers([("A", "1")]))  # type: ignore[call-overload]


class TestWriting:
    def test_setting_takes_all_of_that_name_and_adds_at_the_end(self) -> None:
        headers = two_of_a_kind()
        headers["SET-cookie"] = "three"
        assert headers.items() == [("Vary", "*"), ("SET-cookie", "three")]

    def test_deleting_takes_all_of_that_name(self) -> None:
        headers = two_of_a_kind()
        del headers["SET-COOKIE"]
        assert headers.items() == [("Vary", "*")]

    def test_deleting_what_is_not_there_does_nothing(self) -> None:
        headers = two_of_a_kind()
        del headers["Other"]
        assert len(headers) == 3

    def test_setdefault_adds_only_what_is_missing(self) -> None:
        headers = Headers([("A", "1")])
        assert headers.setdefault("a", "2") == "1"
        assert headers.setdefault("B", "2") == "2"
        assert headers.items() == [("A", "1"), ("B", "2")]

    def test_a_refused_setting_leaves_the_old_field(self) -> None:
        headers = Headers([("A", "1")])
        with pytest.raises(ValueError, match="control"):
            headers["A"] = "2\r\n"
        with pytest.raises(AssertionError, match="value"):
            headers["A"] = 2  # type: ignore[assignment]
        assert headers.items() == [("A", "1")]


class TestAddHeader:
    @pytest.mark.parametrize(
        ("value", "parameters", "expected"),
        [
            ("attachment", {}, "attachment"),
            ("attachment", {"filename": "bud.gif"}, 'attachment; filename="bud.gif"'),
            ("text/plain", {"charset": "utf-8", "format_": "flowed"}, 'text/plain; charset="utf-8"; format-="flowed"'),
            ("x", {"one_two_three": "4"}, 'x; one-two-three="4"'),
            ("x", {"flag": None}, "x; flag"),
            ("x", {"some_flag": None}, "x; some-flag"),
            ("x", {"empty": ""}, "x; empty"),
            (None, {"one": "1", "two": None}, 'one="1"; two'),
            (None, {}, ""),
            ("", {"one": "1"}, '; one="1"'),
            ("x", {"name": 'a "quoted" \\ word'}, 'x; name="a \\"quoted\\" \\\\ word"'),
            ("x", {"name": "a; b=c, (d)"}, 'x; name="a; b=c, (d)"'),
        ],
    )
    def test_how_do_value_and_parameters_read(
        self, value: str | None, parameters: dict[str, str | None], expected: str
    ) -> None:
        headers = Headers()
        headers.add_header("Name", value, **parameters)
        assert headers.items() == [("Name", expected)]
        theirs = wsgiref.headers.Headers()
        theirs.add_header("Name", value, **parameters)
        assert theirs.items() == headers.items()

    def test_may_a_parameter_hold_a_tab(self) -> None:
        headers = Headers()
        headers.add_header("A", "x", name="a\tb")
        assert headers["A"] == 'x; name="a\tb"'

    def test_is_it_added_to_those_of_the_same_name(self) -> None:
        headers = Headers([("A", "1"), ("B", "2")])
        headers.add_header("a", "3")
        assert headers.items() == [("A", "1"), ("B", "2"), ("a", "3")]

    def test_may_a_parameter_be_called_name_or_value(self) -> None:
        headers = Headers()
        headers.add_header("A", "x", name="n", value="v")
        assert headers["A"] == 'x; name="n"; value="v"'

    def test_a_refused_parameter_adds_nothing(self) -> None:
        headers = Headers()
        with pytest.raises(ValueError, match="parameter"):
            headers.add_header("A", "x", good="1", bad="\n")
        assert headers.items() == []


class TestFormatting:
    def test_each_field_is_a_line_and_an_empty_one_ends_them(self) -> None:
        headers = Headers([("Content-Type", "text/plain"), ("X-Empty", "")])
        assert str(headers) == "Content-Type: text/plain\r\nX-Empty: \r\n\r\n"
        assert bytes(headers) == b"Content-Type: text/plain\r\nX-Empty: \r\n\r\n"

    def test_nothing_is_the_empty_line(self) -> None:
        assert (str(Headers()), bytes(Headers())) == ("\r\n", b"\r\n")

    def test_the_bytes_are_latin_1(self) -> None:
        assert bytes(Headers([("A", "\xe9\xff")])) == b"A: \xe9\xff\r\n\r\n"

    def test_text_that_is_no_octets_is_refused_when_it_becomes_bytes(self) -> None:
        headers = Headers([("A", "\u20ac")])
        assert str(headers) == "A: \u20ac\r\n\r\n"
        with pytest.raises(UnicodeEncodeError):
            bytes(headers)

    def test_the_repr_can_be_typed_in_and_names_a_subclass(self) -> None:
        class Mine(Headers):
            pass

        pairs = [("A", "1"), ("B", "it's")]
        assert repr(Headers(pairs)) == f"Headers({pairs!r})"
        assert eval(repr(Headers(pairs))).items() == pairs
        assert repr(Mine()) == "Mine([])"


def ways_in() -> dict[str, Callable[[Any, Any], Headers]]:
    """Return every way in which a name and a value come into headers, by its name; each returns the headers."""

    def by(method: str) -> Callable[[Any, Any], Headers]:
        def way(name: Any, value: Any) -> Headers:
            headers = Headers()
            getattr(headers, method)(name, value)
            return headers

        return way

    methods = {"setitem": "__setitem__", "setdefault": "setdefault", "add_header": "add_header"}
    return {
        "constructor": lambda name, value: Headers([(name, value)]),
        **{name: by(method) for name, method in methods.items()},
    }


def lookups() -> dict[str, Any]:
    """Return every way to ask for a name, by what it is called."""
    return {
        "getitem": lambda name: Headers()[name],
        "get": lambda name: Headers().get(name),
        "get_all": lambda name: Headers().get_all(name),
        "contains": lambda name: name in Headers(),
        "delitem": lambda name: Headers().__delitem__(name),
    }


class TestRefusals:
    """AssertionError and ValueError are raised, not asserted: they hold under ``python -O``."""

    @pytest.mark.parametrize("way", ways_in())
    @pytest.mark.parametrize("wrong", [b"A", 1, ["A"], Name("A")], ids=repr)
    def test_a_name_that_is_no_str(self, way: str, wrong: Any) -> None:
        with pytest.raises(AssertionError, match="name"):
            ways_in()[way](wrong, "1")

    @pytest.mark.parametrize("way", ways_in())
    @pytest.mark.parametrize("wrong", [b"1", 1, ["1"], Name("1")], ids=repr)
    def test_a_value_that_is_no_str(self, way: str, wrong: Any) -> None:
        with pytest.raises(AssertionError, match="value"):
            ways_in()[way]("A", wrong)

    @pytest.mark.parametrize("way", ["constructor", "setitem", "setdefault"])
    def test_none_is_a_value_for_add_header_only(self, way: str) -> None:
        with pytest.raises(AssertionError, match="None"):
            ways_in()[way]("A", None)

    @pytest.mark.parametrize("wrong", [b"1", 1, Name("1")], ids=repr)
    def test_a_parameter_that_is_no_str(self, wrong: Any) -> None:
        with pytest.raises(AssertionError, match="parameter"):
            Headers().add_header("A", "x", one=wrong)

    @pytest.mark.parametrize("way", lookups())
    def test_asking_for_a_name_that_is_no_str(self, way: str) -> None:
        with pytest.raises(AssertionError, match="name"):
            lookups()[way](b"A")

    @pytest.mark.parametrize("way", ways_in())
    @pytest.mark.parametrize("control", CONTROLS, ids=repr)
    def test_a_control_character_in_a_name(self, way: str, control: str) -> None:
        for name in (control, f"A{control}", f"{control}A", f"A{control}B"):
            with pytest.raises(ValueError, match="name"):
                ways_in()[way](name, "1")

    @pytest.mark.parametrize("way", ways_in())
    @pytest.mark.parametrize("control", NOT_IN_VALUES, ids=repr)
    def test_a_control_character_in_a_value(self, way: str, control: str) -> None:
        for value in (control, f"1{control}", f"{control}1", f"1{control}2"):
            with pytest.raises(ValueError, match="value"):
                ways_in()[way]("A", value)

    @pytest.mark.parametrize("control", NOT_IN_VALUES, ids=repr)
    def test_a_control_character_in_a_parameter(self, control: str) -> None:
        with pytest.raises(ValueError, match="parameter"):
            Headers().add_header("A", "x", one=f"1{control}")

    @pytest.mark.parametrize("control", CONTROLS, ids=repr)
    @pytest.mark.parametrize("value", [None, "1"])
    def test_a_control_character_in_a_parameters_name(self, control: str, value: str | None) -> None:
        with pytest.raises(ValueError, match="parameter"):
            Headers().add_header("A", "x", **{f"one{control}": value})

    @pytest.mark.parametrize("way", lookups())
    def test_asking_for_a_name_with_a_control_character(self, way: str) -> None:
        with pytest.raises(ValueError, match="name"):
            lookups()[way]("A\n")

    def test_a_split_answer_is_named_in_the_error(self) -> None:
        with pytest.raises(ValueError, match=r"/\\r\\nSet-Cookie: evil"):
            Headers([("Location", "/\r\nSet-Cookie: evil=1")])

    @pytest.mark.parametrize("way", ways_in())
    @pytest.mark.parametrize("name", ["", "\xc4", "X-\xc4", "\u20ac", "X Y", "X:", "X: Y", "X(Y)", '"X"'])
    def test_a_name_that_is_no_token(self, way: str, name: str) -> None:
        # Clients on http.client take such a line for the end of the head, and overlook the fields after it.
        with pytest.raises(ValueError, match="token"):
            ways_in()[way](name, "1")

    def test_asking_for_a_name_that_can_not_be_there(self) -> None:
        headers = Headers([("A", "1")])
        assert ("\xc4" in headers, headers["X Y"], headers.get_all("")) == (False, None, [])
        del headers["X: Y"]
        assert headers.items() == [("A", "1")]

    @pytest.mark.parametrize("way", ways_in())
    @pytest.mark.parametrize("value", ["\t", "a\tb", "a b", "\x80\x9f\xff", "\u20ac"], ids=repr)
    def test_a_tab_and_what_is_above_ascii_may_stand_in_a_value(self, way: str, value: str) -> None:
        assert ways_in()[way]("A", value).items() == [("A", value)]

    def test_a_pair_that_is_no_pair(self) -> None:
        with pytest.raises(ValueError, match="unpack"):
            Headers([("A", "1", "2")])  # type: ignore[list-item]


def play(headers: Any, steps: list[Any]) -> list[Any]:
    """Do the steps, and return what each left behind, as every reader sees it."""
    seen: list[Any] = []
    for step in steps:
        returned = None
        match step:
            case "set", name, value:
                headers[name] = value
            case "delete", name:
                del headers[name]
            case "setdefault", name, value:
                returned = headers.setdefault(name, value)
            case "add", name, value, parameters:
                headers.add_header(name, value, **parameters)
        name = step[1]
        seen.append((returned, headers.items(), headers.keys(), headers.values(), len(headers), name in headers))
        seen.append((headers[name], headers.get(name, "other"), headers.get_all(name)))
        seen.append((str(headers), bytes(headers), repr(headers)))
    return seen


@given(PAIRS, st.lists(STEPS, max_size=8))
def test_any_use_ends_as_with_the_standard_librarys(pairs: list[tuple[str, str]], steps: list[Any]) -> None:
    ours, theirs = list(pairs), list(pairs)
    assert play(Headers(ours), steps) == play(wsgiref.headers.Headers(theirs), steps)
    assert ours == theirs
