"""Does each client get the coding that it asks for?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_wsgiref._http.codings import choose_coding

OFFERED = ("br", "zstd", "gzip")


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        (None, None),
        ("", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, deflate, br, zstd", "br"),  # Chromium and Firefox
        ("gzip, deflate", "gzip"),  # without TLS they offer no more
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("gzip;q=0.5, br;Q=0.500", "br"),
        ("gzip ; q=0.5 , zstd;q=0.7", "zstd"),
        ("*", "br"),
        ("*;q=0.1", "br"),
        ("br;q=0, *", "zstd"),
        ("br;q=0.001, gzip", "gzip"),
        ("identity", None),
        ("identity;q=1, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("identity;q=0.5, *;q=0", None),
        ("gzip;q=0", None),
        ("*;q=0", None),
        ("identity;q=0", None),  # nothing acceptable: as it is
        ("compress, gzip", "gzip"),  # the examples of RFC 9110, section 12.5.3
        ("compress;q=0.5, gzip;q=1.0", "gzip"),
        ("gzip;q=1.0, identity; q=0.5, *;q=0", "gzip"),
        ("gzip;q=2, br;q=0.1", "br"),  # what is malformed is not there
        ("gzip;q=, gzip;level=3, ;;;, br", "br"),
        ("g zip", None),
        ("brotli", None),
    ],
)
def test_the_coding_with_the_greatest_weight_is_chosen(accepted: str | None, chosen: str | None) -> None:
    assert choose_coding(accepted, OFFERED) == chosen


def test_what_there_is_not_is_not_chosen() -> None:
    assert choose_coding("br, gzip;q=0.1", ("gzip",)) == "gzip"
    assert choose_coding("br", ("gzip",)) is None
    assert choose_coding("br, gzip", ()) is None


@given(
    st.dictionaries(st.sampled_from((*OFFERED, "identity", "deflate")), st.integers(0, 1000), max_size=5),
    st.lists(st.sampled_from(OFFERED), unique=True).map(tuple),
)
def test_nothing_that_is_offered_has_a_greater_weight(weights: dict[str, int], offered: tuple[str, ...]) -> None:
    accepted = ", ".join(f"{coding};q={weight / 1000:.3f}" for coding, weight in weights.items())
    chosen = choose_coding(accepted, offered)
    weight = weights.get(chosen or "identity", 0)
    assert all(weights.get(other, 0) <= weight for other in offered) or not offered
    assert chosen is None or (chosen in offered and weight > 0)
