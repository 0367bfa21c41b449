"""Does ``validate`` find what an application does against PEP 3333, and leave alone what is right?"""

from __future__ import annotations

import tempfile
from typing import Any

import pytest

from twisted_wsgiref import Settings
from twisted_wsgiref._process.command_line import Options

from ..support import GET, TEXT, hello, request, serving


def lists(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [list(header) for header in TEXT])
    return [b"hello"]


def reading(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [*TEXT])
    return [body]


def a_file(environ: dict[str, Any], start_response: Any) -> Any:
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(b"0123456789")
    file.seek(0)
    start_response("200 OK", [*TEXT, ("Content-Length", "10")])
    return environ["wsgi.file_wrapper"](file)


def writing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [*TEXT])(b"he")
    return [b"llo"]


def hinting(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    environ["wsgi.early_hints"]([("Link", "</style.css>; rel=preload")])
    environ["wsgi.errors"].write("a line\\n")
    start_response("200 OK", [*TEXT])
    return [b"hello"]


def text(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [*TEXT])
    return "hello"


def no_type(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


@pytest.mark.parametrize("application", [hello, a_file, writing, hinting])
@pytest.mark.parametrize("stream_input", [False, True])
def test_what_is_right_is_served_all_the_same(application: Any, stream_input: bool) -> None:
    with serving(application, validated=False, validate=True, stream_input=stream_input) as server:
        client = server.ask(GET)
        (*_, answer) = client.answers()
        assert answer.status == 200
        assert answer.body == (b"0123456789" if application is a_file else b"hello")


def test_the_rest_of_a_body_may_be_read_at_once() -> None:
    with serving(reading, validated=False, validate=True) as server:
        (answer,) = server.ask(request(method="POST", body=b"12345")).answers("POST")
        assert answer.body == b"12345"


@pytest.mark.parametrize(
    ("application", "found"),
    [
        (lists, "A header must be a tuple of name and value, not list"),
        (text, "An application returns an iterable of bytes"),
        (no_type, "The headers need a Content-Type"),
    ],
)
def test_what_is_wrong_is_an_error_only_then(application: Any, found: str) -> None:
    with serving(application, validated=False, validate=True) as server:
        (answer,) = server.ask(GET).answers()
        assert answer.status == 500
        assert f"AssertionError: {found}" in server.logged()
    if application is not text:
        with serving(application, validated=False) as server:
            (answer,) = server.ask(GET).answers()
            assert (answer.status, answer.body) == (200, b"hello")


def test_an_application_that_comes_later_is_checked_too() -> None:
    with serving(hello, validated=False, validate=True) as server:
        server.service.serve(no_type)
        (answer,) = server.ask(GET).answers()
        assert answer.status == 500


def test_it_is_a_setting_as_any_other() -> None:
    options = Options()
    options.environ = {}
    options.parseOptions(["--validate"])
    assert options["settings"] == Settings(validate=True)
