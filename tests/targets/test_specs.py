"""Do the words of a mount say one thing, and does each mistake get a line that helps?"""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_wsgiref._targets.redirection import location
from twisted_wsgiref._targets.specs import (
    InternalSpec,
    RedirectSpec,
    ResourceSpec,
    Spec,
    StaticSpec,
    WSGISpec,
    read_mount,
    read_mounts,
    read_spec,
)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("static:/srv/static", StaticSpec("/srv/static")),
        ("static:/srv/a=b:c d/", StaticSpec("/srv/a=b:c d")),
        ("static:build", StaticSpec(os.path.abspath("build"))),
        ("redirect:/new", RedirectSpec("/new")),
        ("redirect:/", RedirectSpec("/")),
        ("redirect:308:https://example.com/a?b=c", RedirectSpec("https://example.com/a?b=c", 308)),
        ("redirect:http://[::1]:8000", RedirectSpec("http://[::1]:8000")),
        ("wsgi:shop.wsgi:application", WSGISpec("shop.wsgi:application")),
        ("wsgi:shop", WSGISpec("shop")),
        ("wsgi:shop:make(1)", WSGISpec("shop:make(1)")),
        ("chat:resource", ResourceSpec("chat:resource")),
        ("chat.web:Root()", ResourceSpec("chat.web:Root()")),
        ("internal:static:/srv/files", InternalSpec(StaticSpec("/srv/files"))),
        ("internal:chat:resource", InternalSpec(ResourceSpec("chat:resource"))),
    ],
)
def test_a_spec_is_read_and_written(text: str, spec: Spec) -> None:
    assert read_spec(text) == spec
    assert read_spec(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it has to be static:DIR"),
        ("static", "it has to be static:DIR"),
        ("static:", "comes a directory"),
        ("/srv/static", "a directory is static:DIR"),
        ("./static:x", "a directory is static:DIR"),
        ("https://example.com/", "a URL is redirect:URL"),
        ("redirect:", "comes a URL"),
        ("redirect:example.com", "comes a URL"),
        ("redirect://example.com/", "comes a URL"),
        ("redirect:ftp://example.com/", "comes a URL"),
        ("redirect:javascript:alert(1)", "comes a URL"),
        ("redirect:/a b", "comes a URL"),
        ("redirect:/a\r\nSet-Cookie:", "comes a URL"),
        ("redirect:https:///a", "comes a URL"),
        ("redirect:200:/a", "comes a URL"),
        ("wsgi:", "wsgi:mod:app"),
        ("wsgi:/srv/app.py", "wsgi:mod:app"),
        ("internal:", "it has to be static:DIR"),
        ("internal:internal:static:/a", "there twice"),
        ("1mod:resource", "MOD:RESOURCE"),
        ("mod", "MOD:RESOURCE"),
    ],
)
def test_what_is_no_spec_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_spec(text)


def test_a_mount_is_a_prefix_and_a_spec() -> None:
    assert read_mount("/static/=static:/srv/a=b") == ("/static", StaticSpec("/srv/a=b"))
    assert read_mounts(["/=mod:root", "/a=redirect:/b"]) == {"": ResourceSpec("mod:root"), "/a": RedirectSpec("/b")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/static", "/prefix=SPEC"),
        ("static=static:/srv", "the prefix 'static': it has to start with a slash"),
        ("=static:/srv", "the prefix '': it has to start with a slash"),
        ("/static=", "what is mounted, '': it has to be"),
        ("/static=/srv/static", "what is mounted, '/srv/static': .* a directory is static:DIR"),
    ],
)
def test_what_is_no_mount_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_mount(text)


def test_a_prefix_is_mounted_once() -> None:
    with pytest.raises(ValueError, match="/a is mounted twice"):
        read_mounts(["/a=mod:one", "/b=mod:two", "/a/=mod:three"])


@pytest.mark.parametrize(
    ("url", "rest", "query", "expected"),
    [
        ("https://example.com", "", "", "https://example.com"),
        ("https://example.com", "/a b/\xc3\xa9", "q=1", "https://example.com/a%20b/%C3%A9?q=1"),
        ("https://example.com/new/", "/a", "", "https://example.com/new/a"),
        ("https://example.com/new/", "", "", "https://example.com/new/"),
        ("/new?a=1", "/x", "b=2", "/new/x?a=1&b=2"),
        ("/", "/x", "", "/x"),
        ("/", "//evil.example/x", "", "/evil.example/x"),
        ("/", "/\\evil.example", "", "/%5Cevil.example"),
        ("https://example.com", "//evil.example", "", "https://example.com/evil.example"),
        ("/new", "/a?b#c\r\nd", "", "/new/a%3Fb%23c%0D%0Ad"),
    ],
)
def test_the_rest_of_the_path_goes_along(url: str, rest: str, query: str, expected: str) -> None:
    assert location(url, rest, query) == expected


@given(st.sampled_from(["/", "/a", "/a/", "https://example.com", "https://example.com/"]), st.text(max_size=12))
def test_no_path_names_another_host(url: str, rest: str) -> None:
    found = location(url, "/" + rest.encode("utf-8", "replace").decode("latin-1"), "")
    assert found.startswith(url.rstrip("/") + "/")
    assert not found.startswith("//")
    assert found.isascii()
    assert found.isprintable()
