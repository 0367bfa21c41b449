"""Which hosts and targets are served, and what do they become?"""

from __future__ import annotations

import pytest

from twisted_wsgiref._http.errors import ProtocolError
from twisted_wsgiref._http.target import check_host, split_target


def split(target: str, method: str = "GET") -> tuple[str, str]:
    _, path, query = split_target(method, target)
    return path, query


def status(target: str, method: str = "GET") -> int:
    with pytest.raises(ProtocolError) as caught:
        split(target, method)
    return caught.value.status


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/a/b", "/a/b", ""),
        ("/a?", "/a", ""),
        ("/a?b=c", "/a", "b=c"),
        ("/a?b?c", "/a", "b?c"),
        ("/?/", "/", "/"),
        ("//", "//", ""),
        ("//a//b", "//a//b", ""),
        ("/a/../b/.", "/a/../b/.", ""),
        ("/a+b", "/a+b", ""),
        # Every escape is one character of latin-1, the slash too; PEP 3333, RFC 3875 4.1.5.
        ("/%2F%2f", "///", ""),
        ("/a%20b", "/a b", ""),
        ("/%C3%A9", "/\xc3\xa9", ""),
        ("/%ff", "/\xff", ""),
        ("/%25zz", "/%zz", ""),
        ("/%2525", "/%25", ""),
        ("/%3Fa?b", "/?a", "b"),
        ("/%23", "/#", ""),
        ("/%0D%0A", "/\r\n", ""),
        ("/%01", "/\x01", ""),
        # The query stays as it was sent.
        ("/?%2F%00%zz%", "/", "%2F%00%zz%"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "X"])
def test_the_path_is_decoded_and_the_query_is_not(target: str, path: str, query: str, method: str) -> None:
    assert split(target, method) == (path, query)
    if not target.startswith("//"):
        assert split("http://example.com" + target, method) == (path, query)


@pytest.mark.parametrize("target", ["/%00", "/a%00b", "/%", "/%4", "/%zz", "/%4g", "/%%41", "/%+1", "/% 1", "/a%?b"])
def test_an_escape_that_is_none_is_refused_and_nul_with_it(target: str) -> None:
    assert status(target) == 400


@pytest.mark.parametrize("target", ["/#", "/a#b", "/a?b#c", "#", "http://example.com/#", "*#"])
def test_a_fragment_is_refused(target: str) -> None:
    assert status(target) == 400
    assert status(target, "OPTIONS") == 400


def test_the_asterisk_is_for_options() -> None:
    assert split("*", "OPTIONS") == ("", "")
    assert status("*") == 400
    assert status("*", "options") == 400
    assert status("*?a", "OPTIONS") == 400


@pytest.mark.parametrize("target", ["/", "example.com:443", "*", "http://example.com/", "/#"])
def test_nobody_is_connected(target: str) -> None:
    assert status(target, "CONNECT") == 501


# RFC 9112, section 3.2.2.


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        ("http://example.com/a?b", ("example.com", "/a", "b")),
        ("HTTPS://EXAMPLE.COM/a", ("EXAMPLE.COM", "/a", "")),
        ("http://example.com", ("example.com", "/", "")),
        ("http://example.com?", ("example.com", "/", "")),
        ("http://example.com?a/b", ("example.com", "/", "a/b")),
        ("http://example.com:80/", ("example.com:80", "/", "")),
        ("http://[::1]:80/", ("[::1]:80", "/", "")),
        ("http://example.com//a", ("example.com", "//a", "")),
        ("http://example.com/http://b", ("example.com", "/http://b", "")),
        ("/http://b", (None, "/http://b", "")),
        ("//b/a", (None, "//b/a", "")),
    ],
)
def test_an_absolute_target_names_the_host(target: str, seen: tuple[str | None, str, str]) -> None:
    assert split_target("GET", target) == seen


@pytest.mark.parametrize(
    "target",
    [
        "http://example.com@evil.example/",
        "http://user@example.com/",
        "http:///a",
        "http://:80/",
        "http://?a",
        "http://",
        "http:",
        "http:/example.com/",
        "https:example.com",
        "http://example.com\\a",
        "http://example.com:a/",
        "ftp://example.com/",
        "ws://example.com/",
        "xhttp://example.com/",
        "example.com",
        "example.com:80",
        "?a",
        "a",
        "**",
        "\\",
        "%2F",
    ],
)
def test_other_targets_are_refused(target: str) -> None:
    assert status(target) == 400


# RFC 9110, section 7.2; RFC 3986, section 3.2.


@pytest.mark.parametrize(
    "host",
    [
        "a",
        "example.com",
        "EXAMPLE.com.",
        "example.com:",
        "example.com:80",
        "example.com:00080",
        "192.0.2.1:8080",
        "[::1]",
        "[2001:db8::192.0.2.1]:443",
        "[vF.a:b]",
        "a_b-c.d~e",
        "!$&'()*+;=",
        "%41",
    ],
)
def test_hosts(host: str) -> None:
    check_host(host)
    check_host(host)  # Once more: the answer is remembered.


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        " a",
        "a ",
        "a b",
        "a,b",
        "a@b",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        'a"',
        "<a>",
        "a|b",
        "a^b",
        "a\x00",
        "a\n",
        "\xe4",
        "%4",
        "%zz",
        ":80",
        "a:b",
        "a:-1",
        "a:+1",
        "a:1:2",
        "a:123456",
        "a:1 ",
        "a:\u0661",
        "::1",
        "[::1",
        "::1]",
        "[]",
        "[:]x",
        "[::1]x",
        "[::1]:x",
        "[fe80::1%25eth0]",
        "[g::]",
        "[v1]",
        "[v.a]",
        "http://a",
    ],
)
def test_what_is_no_host(host: str) -> None:
    for _ in range(2):
        with pytest.raises(ProtocolError) as caught:
            check_host(host)
        assert caught.value.status == 400
