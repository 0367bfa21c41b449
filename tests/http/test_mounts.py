"""Does each path reach the mount that it names, and no other?"""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_wsgiref._http.errors import ProtocolError
from twisted_wsgiref._http.mounts import MountTable, check_alone, read_prefix, resolve

PREFIXES = ("/static", "/static/admin", "/ws", "/caf\xc3\xa9", "/a b")
TABLE = MountTable({each: each for each in PREFIXES})


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("/static", "/static"),
        ("/static/", "/static"),
        ("/static/css/app.css", "/static"),
        ("/static/admin", "/static/admin"),
        ("/static/admin/x", "/static/admin"),
        ("/static/adminx", "/static"),
        ("/%73tatic%2Fcss", "/static"),
        ("/ws", "/ws"),
        ("/caf%C3%A9/menu", "/caf\xc3\xa9"),
        ("/a%20b/", "/a b"),
        ("/a+b/", None),
        ("/", None),
        ("", None),
        ("/staticx", None),
        ("/stati", None),
        ("/Static/", None),
        ("/app/static/", None),
        ("/%2573tatic/", None),  # decoded once
        ("/static;x=1/a", None),
        ("/static\\a", None),
        # two readings, but one mount
        ("/static/a//b", "/static"),
        ("/static/./a", "/static"),
        ("/static/a/../b", "/static"),
        ("/static/.hidden", "/static"),
        ("/static/...", "/static"),
        ("/app//x", None),
        ("/app/../other", None),
        ("/./app", None),
        ("//app", None),
    ],
)
def test_the_longest_prefix_of_the_decoded_path_is_chosen(path: str, prefix: str | None) -> None:
    chosen = TABLE.choose(unquote(path, "latin-1"))
    assert (None if chosen is None else chosen[1]) == prefix
    assert chosen is None or chosen[0] == prefix


@pytest.mark.parametrize(
    "path",
    [
        "//static/a",
        "/./static/a",
        "/%2e/static/a",
        "/../static/a",
        "/app/../static/a",
        "/static/../app",
        "/static/%2e%2e/app",
        "/static/%2E%2e%2fapp",
        "/static/..",
        "/static/../ws",
        "/static//admin",
        "/static/./admin/x",
        "/static/x/../admin",
        "/static/admin/../x",
        "/static%2f%2fadmin",
    ],
)
def test_a_path_that_means_another_mount_than_it_says_is_refused(path: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        TABLE.choose(unquote(path, "latin-1"))
    assert caught.value.status == 400


def test_a_mount_at_the_root_has_all_that_no_longer_prefix_has() -> None:
    table = MountTable({"": "root", "/app": "app"})
    assert table.choose("/") == ("root", "")
    assert table.choose("/x//y/../z") == ("root", "")
    assert table.choose("/app/x") == ("app", "/app")
    assert table.choose("") is None  # OPTIONS *
    with pytest.raises(ProtocolError):
        table.choose("/x/../app")


_PATHS = st.lists(st.sampled_from(["", ".", "..", "static", "admin", "ws", "x", "..."]), max_size=6).map(
    lambda segments: "/" + "/".join(segments)
)


@given(_PATHS)
def test_whoever_resolves_the_path_finds_the_same_mount(path: str) -> None:
    try:
        chosen = TABLE.choose(path)
    except ProtocolError:
        assert resolve(path) != path
    else:
        assert TABLE.choose(resolve(path)) == chosen


@given(_PATHS)
def test_what_is_resolved_can_be_read_in_one_way(path: str) -> None:
    resolved = resolve(path)
    assert resolve(resolved) == resolved
    assert not {"", ".", ".."} & set(resolved.split("/")[1:-1])


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("/a/b/c/./../../g", "/a/g"),  # RFC 3986, section 5.2.4
        ("/mid/content=5/../6", "/mid/6"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/..", "/"),
        ("//", "/"),
        ("/a/", "/a/"),
    ],
)
def test_dots_are_resolved_as_the_rfc_does(path: str, resolved: str) -> None:
    assert resolve(path) == resolved


@pytest.mark.parametrize(
    ("text", "prefix"),
    [("/static", "/static"), ("/static/", "/static"), ("/", ""), ("/a b", "/a b"), ("/caf\u00e9", "/caf\xc3\xa9")],
)
def test_a_prefix_is_read(text: str, prefix: str) -> None:
    assert read_prefix(text) == prefix


@pytest.mark.parametrize(
    "text", ["", "static", "//", "/a//b", "/a/./b", "/..", "/a/..", "/a?b", "/a#b", "/a\nb", "/a%20b", "http://a/"]
)
def test_what_is_no_prefix_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"it has to|a path has"):
        read_prefix(text)


def test_a_prefix_twice_is_refused() -> None:
    check_alone(["/a", "", "/b"])
    with pytest.raises(ValueError, match="/a is mounted twice"):
        check_alone(["/a", "/b", "/a"])
    with pytest.raises(ValueError, match="/ is mounted twice"):
        check_alone(["", ""])
