"""Does a client that has something already get what RFC 9110, section 13, says?"""

from __future__ import annotations

from email.utils import formatdate
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_wsgiref._http.conditional import Validators, is_entity_tag, judge, read_tags, wants_range
from twisted_wsgiref._http.conditional import match_strongly as strongly
from twisted_wsgiref._http.conditional import match_weakly as weakly

NOW = 1_800_000_000.0
CHANGED = 1_700_000_000
BEFORE, THEN, AFTER = (formatdate(CHANGED + each, usegmt=True) for each in (-1, 0, 1))
STRONG = Validators('"xyzzy"', CHANGED)
WEAK = Validators('W/"xyzzy"', CHANGED)
NONE = Validators()


def verdict(validators: Validators = STRONG, method: str = "GET", **fields: str) -> int:
    return judge(method, {f"HTTP_{name}": value for name, value in fields.items()}, validators, NOW)


@pytest.mark.parametrize(
    ("one", "other", "same", "alike"),
    [  # the table of RFC 9110, section 8.8.3.2
        ('W/"1"', 'W/"1"', False, True),
        ('W/"1"', 'W/"2"', False, False),
        ('W/"1"', '"1"', False, True),
        ('"1"', '"1"', True, True),
    ],
)
def test_tags_are_compared_as_the_table_of_the_rfc_has_it(one: str, other: str, same: bool, alike: bool) -> None:
    assert (strongly(one, other), weakly(one, other)) == (same, alike)
    assert (strongly(other, one), weakly(other, one)) == (same, alike)


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ('"xyzzy"', ('"xyzzy"',)),
        ('"xyzzy", "r2d2xxxx", "c3piozzzz"', ('"xyzzy"', '"r2d2xxxx"', '"c3piozzzz"')),
        ('W/"xyzzy", W/"r2d2xxxx",W/"c3piozzzz"', ('W/"xyzzy"', 'W/"r2d2xxxx"', 'W/"c3piozzzz"')),
        ('""', ('""',)),
        (', "a",, "b" ,', ('"a"', '"b"')),
        ('"a,b"', ('"a,b"',)),
        ('"\\"', ('"\\"',)),  # no escape: a tag is no quoted string
        ("", None),
        (",", None),
        ("a", None),
        ('w/"a"', None),
        ('"a" "b"', None),
        ('"a', None),
        ('"a b"', None),
        ('"a", *', None),
    ],
)
def test_a_list_of_tags_is_read(text: str, tags: tuple[str, ...] | None) -> None:
    assert read_tags(text) == tags


@pytest.mark.parametrize("validators", [STRONG, WEAK])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("value", ['"xyzzy"', 'W/"xyzzy"', '"a", W/"xyzzy", "b"', "*", " * "])
def test_what_the_client_has_is_not_sent_again(validators: Validators, method: str, value: str) -> None:
    assert verdict(validators, method, IF_NONE_MATCH=value) == 304
    assert verdict(validators, "PUT", IF_NONE_MATCH=value) == 412


@pytest.mark.parametrize("value", ['"other"', "xyzzy", '"xyzz"', '"a" "xyzzy"', ""])
def test_what_is_new_to_the_client_is_sent(value: str) -> None:
    assert verdict(IF_NONE_MATCH=value) == 0


def test_if_match_compares_strongly() -> None:
    assert verdict(IF_MATCH='"a", "xyzzy"') == 0
    assert verdict(IF_MATCH="*") == 0
    assert verdict(IF_MATCH='W/"xyzzy"') == 412
    assert verdict(WEAK, IF_MATCH='W/"xyzzy"') == 412
    assert verdict(IF_MATCH='"other"') == 412
    assert verdict(IF_MATCH="xyzzy") == 412
    assert verdict(NONE, IF_MATCH='"xyzzy"') == 412


def test_dates_decide_to_the_second() -> None:
    assert [verdict(IF_MODIFIED_SINCE=date) for date in (BEFORE, THEN, AFTER)] == [0, 304, 304]
    assert [verdict(IF_UNMODIFIED_SINCE=date) for date in (BEFORE, THEN, AFTER)] == [412, 0, 0]
    assert verdict(method="POST", IF_MODIFIED_SINCE=AFTER) == 0
    assert verdict(method="POST", IF_UNMODIFIED_SINCE=BEFORE) == 412


@pytest.mark.parametrize("name", ["IF_MODIFIED_SINCE", "IF_UNMODIFIED_SINCE"])
@pytest.mark.parametrize("value", ["", "yesterday", f"{AFTER}, {AFTER}", '"xyzzy"'])
def test_what_is_no_date_is_ignored(name: str, value: str) -> None:
    assert verdict(**{name: value}) == 0


@pytest.mark.parametrize("name", ["IF_MODIFIED_SINCE", "IF_UNMODIFIED_SINCE"])
def test_without_a_date_of_change_dates_are_ignored(name: str) -> None:
    assert verdict(Validators('"xyzzy"'), **{name: BEFORE}) == 0


def test_tags_go_before_dates() -> None:
    assert verdict(IF_NONE_MATCH='"other"', IF_MODIFIED_SINCE=AFTER) == 0
    assert verdict(IF_NONE_MATCH='"xyzzy"', IF_MODIFIED_SINCE=BEFORE) == 304
    assert verdict(IF_MATCH='"xyzzy"', IF_UNMODIFIED_SINCE=BEFORE) == 0
    assert verdict(IF_MATCH='"other"', IF_UNMODIFIED_SINCE=AFTER) == 412


def test_what_has_to_hold_goes_before_what_has_not() -> None:
    assert verdict(IF_MATCH='"other"', IF_NONE_MATCH='"xyzzy"') == 412
    assert verdict(IF_UNMODIFIED_SINCE=BEFORE, IF_MODIFIED_SINCE=AFTER) == 412
    assert verdict(IF_MATCH='"xyzzy"', IF_NONE_MATCH='"xyzzy"') == 304


def test_every_combination_follows_the_steps_of_the_rfc() -> None:
    tags = (None, '"xyzzy"', '"other"')
    dates = (None, BEFORE, AFTER)
    for match, unmodified, none_match, modified, method in product(tags, dates, tags, dates, ("GET", "HEAD", "PUT")):
        names = ("IF_MATCH", "IF_UNMODIFIED_SINCE", "IF_NONE_MATCH", "IF_MODIFIED_SINCE")
        given = dict(zip(names, (match, unmodified, none_match, modified), strict=True))
        fields = {name: value for name, value in given.items() if value is not None}
        expected = 0
        if match == '"other"' or (match is None and unmodified == BEFORE):
            expected = 412
        elif none_match == '"xyzzy"':
            expected = 412 if method == "PUT" else 304
        elif none_match is None and modified == AFTER and method != "PUT":
            expected = 304
        assert verdict(STRONG, method, **fields) == expected, (method, fields)


def test_a_part_is_for_get_alone() -> None:
    fields = {"HTTP_RANGE": "bytes=0-1"}
    assert wants_range("GET", fields, STRONG, NOW) == "bytes=0-1"
    assert wants_range("HEAD", fields, STRONG, NOW) is None
    assert wants_range("POST", fields, STRONG, NOW) is None
    assert wants_range("GET", {}, STRONG, NOW) is None


@pytest.mark.parametrize(
    ("validators", "condition", "holds"),
    [
        (STRONG, '"xyzzy"', True),
        (STRONG, THEN, True),
        (STRONG, AFTER, False),  # no comparison of dates: it has to be the very one
        (STRONG, BEFORE, False),
        (STRONG, 'W/"xyzzy"', False),
        (STRONG, '"other"', False),
        (STRONG, '"xyzzy", "other"', False),
        (STRONG, "xyzzy", False),
        (STRONG, "", False),
        (WEAK, 'W/"xyzzy"', False),
        (WEAK, '"xyzzy"', False),
        (NONE, THEN, False),
        (NONE, '"xyzzy"', False),
        (NONE, "", False),
    ],
)
def test_a_part_goes_only_with_the_version_that_it_is_of(validators: Validators, condition: str, holds: bool) -> None:
    fields = {"HTTP_RANGE": "bytes=0-1", "HTTP_IF_RANGE": condition}
    assert (wants_range("GET", fields, validators, NOW) is not None) is holds


@given(st.lists(st.text(st.sampled_from("ab,;!~\xff"), max_size=5).map('"{}"'.format), min_size=1, max_size=8))
def test_every_tag_of_a_list_is_found(tags: list[str]) -> None:
    for separator in (",", ", ", " ,, "):
        text = separator.join(tags)
        assert read_tags(text) == tuple(tags)
        assert all(verdict(Validators(tag), IF_NONE_MATCH=text) == 304 for tag in tags)
    assert all(map(is_entity_tag, tags))


@given(st.text(st.sampled_from('W/",* \tab1'), max_size=40))
def test_no_field_is_too_much(text: str) -> None:
    for name in ("IF_MATCH", "IF_NONE_MATCH", "IF_MODIFIED_SINCE", "IF_UNMODIFIED_SINCE"):
        assert verdict(**{name: text}) in (0, 304, 412)


def test_a_long_field_is_read_in_a_time_that_grows_with_it() -> None:
    assert verdict(IF_NONE_MATCH=" " * 8000 + "x") == 0
    assert verdict(IF_NONE_MATCH='"' * 8001) == 0
    assert verdict(IF_NONE_MATCH=", " * 4000 + '"xyzzy"') == 304
