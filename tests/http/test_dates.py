"""Is each form of a date read, and nothing else?"""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_wsgiref._http.dates import read_date

NOW = 1_800_000_000.0  # January 2027
EXAMPLE = 784111777  # of RFC 9110, section 5.6.7


@pytest.mark.parametrize(
    "text", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
)
def test_the_three_forms_of_the_rfc_say_the_same(text: str) -> None:
    assert read_date(text, NOW) == EXAMPLE


@given(st.integers(min_value=0, max_value=253402300799))
def test_what_is_sent_is_read_back(seconds: int) -> None:
    assert read_date(formatdate(seconds, usegmt=True), NOW) == seconds


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("Sunday, 06-Nov-26 08:49:37 GMT", "Sun, 06 Nov 2026 08:49:37 GMT"),
        ("Sunday, 06-Nov-77 08:49:37 GMT", "Sun, 06 Nov 2077 08:49:37 GMT"),
        ("Sunday, 06-Nov-78 08:49:37 GMT", "Sun, 06 Nov 1978 08:49:37 GMT"),
        ("Sunday, 06-Nov-00 08:49:37 GMT", "Sun, 06 Nov 2000 08:49:37 GMT"),
    ],
)
def test_a_year_of_two_digits_is_at_most_fifty_years_ahead(written: str, meant: str) -> None:
    assert read_date(written, NOW) == read_date(meant, NOW)


def test_a_leap_second_and_a_leap_day_are_read() -> None:
    assert read_date("Sat, 31 Dec 2016 23:59:60 GMT", NOW) == read_date("Sun, 01 Jan 2017 00:00:00 GMT", NOW)
    assert read_date("Thu, 29 Feb 2024 00:00:00 GMT", NOW) == 1709164800


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "784111777",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Wed, 29 Feb 2023 00:00:00 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT; length=3",  # of a browser of the last century
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun, 06 Nov 199\u0664 08:49:37 GMT",
    ],
)
def test_anything_else_is_no_date(text: str) -> None:
    assert read_date(text, NOW) is None


@given(st.text(max_size=60), st.floats(min_value=0, max_value=4e9))
def test_no_text_is_too_much(text: str, now: float) -> None:
    read = read_date(text, now)
    assert read is None or isinstance(read, int | float)
