"""Which files may a client use without asking again, and for how long?"""

from __future__ import annotations

import pytest

from twisted_wsgiref._http.freshness import AgeRule, cache_control, read_age_rule
from twisted_wsgiref._http.media_types import media_type


@pytest.mark.parametrize(
    ("word", "rule"),
    [
        ("3600", ("*", 3600)),
        ("*.css=60", ("*.css", 60)),
        ("a=b=60", ("a=b", 60)),
        ("hashed=31536000", ("hashed", 31536000)),
        ("*=0", ("*", 0)),
        (f"*={'9' * 5000}", ("*", 2**31)),
    ],
)
def test_a_rule_is_read(word: str, rule: tuple[str, int]) -> None:
    assert read_age_rule(word) == AgeRule(*rule)


@pytest.mark.parametrize("word", ["", "*.css", "*.css=", "*.css=1h", "*.css=-1", "*.css=1.5", "=", "*=\u0661"])
def test_what_is_no_rule_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="PATTERN=SECONDS"):
        read_age_rule(word)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*", "css/app.css", True),
        ("*.css", "css/app.css", True),
        ("*.css", "css/app.CSS", False),
        ("app.*", "css/app.css", True),
        ("css/*", "css/deep/app.css", True),
        ("css/*", "other/css/app.css", False),
        ("*/css/*", "other/css/app.css", True),
        ("assets/*.??????.js", "assets/app.a1B2c3.js", True),
        ("hashed", "css/app.55e7cbb9ba48.css", True),
        ("hashed", "app.55e7cbb9ba48", True),
        ("hashed", "app.55e7cbb9ba48.min.css", False),
        ("hashed", "app.202711281255.csv", False),  # a time
        ("hashed", "app.55e7cbb9ba4.css", False),
        ("hashed", "app.55e7cbb9ba481.css", False),
        ("hashed", "app.55E7CBB9BA48.css", False),
        ("hashed", "55e7cbb9ba48.css", False),
        ("hashed", "55e7cbb9ba48/app.css", False),
        ("hashed", "hashed", False),
    ],
)
def test_a_pattern_matches_names(pattern: str, path: str, matches: bool) -> None:
    assert (cache_control([AgeRule(pattern, 60)], path) != "no-cache") is matches


def test_the_first_rule_that_matches_decides() -> None:
    rules = [AgeRule("hashed", 31536000), AgeRule("*.css", 60), AgeRule("*.html", 0), AgeRule("*", 3600)]
    assert cache_control(rules, "app.55e7cbb9ba48.css") == "public, max-age=31536000, immutable"
    assert cache_control(rules, "app.css") == "public, max-age=60"
    assert cache_control(rules, "index.html") == "no-cache"
    assert cache_control(rules, "app.js") == "public, max-age=3600"
    assert cache_control([], "app.css") == "no-cache"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.min.JS", "text/javascript; charset=utf-8"),
        ("a.svg", "image/svg+xml"),
        ("a.woff2", "font/woff2"),
        ("a.tar.gz", "application/gzip"),
        ("a.unknown", "application/octet-stream"),
        ("README", "application/octet-stream"),
        ("html", "application/octet-stream"),
        ("dir.html/file", "application/octet-stream"),
    ],
)
def test_the_end_of_a_name_tells_its_media_type(name: str, kind: str) -> None:
    assert media_type(name) == kind
