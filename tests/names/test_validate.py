"""What `twisted_wsgiref.validate` says of an application: its head, its use of the streams."""

from __future__ import annotations

import inspect
import io
import subprocess
import sys
import wsgiref.validate
from typing import Any

import pytest

from tests.names.conversation import HTML, OURS_AND_THEIRS, StrOfMyOwn, answering, environ, hello, serve
from twisted_wsgiref import validate


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
def test_a_right_application_passes_unchanged(module: Any) -> None:
    assert serve(module, hello) == ([("200 OK", HTML)], [b"hello ", b"world"])


def test_every_name_of_the_module_has_the_signature_of_the_original() -> None:
    names = [
        name
        for name, value in vars(wsgiref.validate).items()
        if getattr(value, "__module__", "") == "wsgiref.validate" and not name.startswith("_")
    ]
    assert "validator" in names
    for name in names:
        theirs, ours = getattr(wsgiref.validate, name), getattr(validate, name)
        if not issubclass(theirs if inspect.isclass(theirs) else int, Warning):
            assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters), name
        if inspect.isclass(theirs):
            for method, function in vars(theirs).items():
                if inspect.isfunction(function):
                    found = inspect.signature(getattr(ours, method))
                    assert list(found.parameters) == list(inspect.signature(function).parameters), method
    assert validate.__all__ == wsgiref.validate.__all__


# --- The application's side: status, headers, exc_info


BAD_STARTS = {
    "integer status": ((200, HTML), {}),
    "bytes status": ((b"200 OK", HTML), {}),
    "short code": (("20 OK", HTML), {}),
    "long code": (("2000 OK", HTML), {}),
    "code below 100": (("099 Low", HTML), {}),
    "no space after the code": (("200OK", HTML), {}),
    "headers as tuple": (("200 OK", tuple(HTML)), {}),
    "headers as dict": (("200 OK", dict(HTML)), {}),
    "headers None": (("200 OK", None), {}),
    "item as list": (("200 OK", [*HTML, ["X-A", "b"]]), {}),
    "item of three": (("200 OK", [*HTML, ("X-A", "b", "c")]), {}),
    "item is str": (("200 OK", [*HTML, "ab"]), {}),
    "name is bytes": (("200 OK", [*HTML, (b"X-A", "b")]), {}),
    "value is bytes": (("200 OK", [*HTML, ("X-A", b"b")]), {}),
    "value is int": (("200 OK", [*HTML, ("Content-Length", 1)]), {}),
    "Status as header": (("200 OK", [*HTML, ("Status", "200 OK")]), {}),
    "sTATUS as header": (("200 OK", [*HTML, ("sTATUS", "200 OK")]), {}),
    "newline in name": (("200 OK", [*HTML, ("X\nA", "b")]), {}),
    "newline after name": (("200 OK", [*HTML, ("X-A\n", "b")]), {}),
    "colon in name": (("200 OK", [*HTML, ("X-A:", "b")]), {}),
    "space in name": (("200 OK", [*HTML, ("X A", "b")]), {}),
    "empty name": (("200 OK", [*HTML, ("", "b")]), {}),
    "name from a digit": (("200 OK", [*HTML, ("1-A", "b")]), {}),
    "dot in name": (("200 OK", [*HTML, ("X.A", "b")]), {}),
    "name ends with -": (("200 OK", [*HTML, ("X-", "b")]), {}),
    "name ends with _": (("200 OK", [*HTML, ("X_", "b")]), {}),
    "name not ASCII": (("200 OK", [*HTML, ("X-\xe9", "b")]), {}),
    "CR LF in value": (("200 OK", [*HTML, ("X-A", "b\r\nSet-Cookie: c")]), {}),
    "LF at the end of value": (("200 OK", [*HTML, ("X-A", "b\n")]), {}),
    "NUL in value": (("200 OK", [*HTML, ("X-A", "\0")]), {}),
    "tab in value": (("200 OK", [*HTML, ("X-A", "b\tc")]), {}),
    "no Content-Type": (("200 OK", []), {}),
    "no Content-Type on an error": (("404 Not Found", [("X-A", "b")]), {}),
    "Content-Type of 204": (("204 No Content", HTML), {}),
    "Content-Type of 304": (("304 Not Modified", [("content-TYPE", "a/b")]), {}),
    "one argument": (("200 OK",), {}),
    "four arguments": (("200 OK", HTML, None, None), {}),
    "a keyword": (("200 OK", HTML), {"exc_info": None}),
    "exc_info is a list": (("200 OK", HTML, [None, None, None]), {}),
    "exc_info is an exception": (("200 OK", HTML, ValueError()), {}),
}


@pytest.mark.parametrize("name", BAD_STARTS)
@pytest.mark.parametrize("module", OURS_AND_THEIRS)
def test_a_wrong_start_response_never_reaches_the_server(module: Any, name: str) -> None:
    args, kw = BAD_STARTS[name]
    reached: list[Any] = []

    def app(env: Any, start_response: Any) -> Any:
        start_response(*args, **kw)
        return [b"x"]

    with pytest.raises(AssertionError):
        serve(module, app, start=reached.append)
    assert not reached


@pytest.mark.parametrize(
    ("status", "named"),
    [
        ("", "three digits"),
        ("abc Reason", "three digits"),
        ("+20 OK", "three digits"),
        ("\xb9\xb2\xb3 OK", "three digits"),
        (" 200 OK", "three digits"),
        ("200\tOK", "control"),
        ("200 OK\r\n", "control"),
        ("200 OK ", "end with a space"),
        ("200 \u20ac", "8859"),
    ],
)
def test_statuses_that_theirs_lets_through_are_refused(status: str, named: str) -> None:
    with pytest.raises(AssertionError, match=named):
        serve(validate, answering(status, HTML))


@pytest.mark.parametrize("value", ["\x7f", "\u20ac", "\udce9"])
def test_header_values_that_cannot_be_sent_are_refused(value: str) -> None:
    with pytest.raises(AssertionError, match="X-A"):
        serve(validate, answering("200 OK", [*HTML, ("X-A", value)]))


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("200 OK", [("content-type", "")]),
        ("200 ", HTML),
        ("100 Continue", HTML),
        ("999 Caf\xe9", [*HTML, ("X_A1", "caf\xe9 \xa0")]),
        ("204 No Content", []),
        ("304 Not Modified", [("ETag", '"a"')]),
        ("200 OK", [*HTML, ("X-Same", "a"), ("X-Same", "b")]),
    ],
)
def test_right_heads_pass(module: Any, status: str, headers: Any) -> None:
    assert serve(module, answering(status, headers))[0] == [(status, headers)]


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
def test_a_status_without_reason_is_warned_of(module: Any) -> None:
    with pytest.warns(module.WSGIWarning):
        serve(module, answering("200", HTML))


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
def test_an_error_may_replace_an_answer_that_was_started(module: Any) -> None:
    def app(env: Any, start_response: Any) -> Any:
        start_response("200 OK", HTML)
        try:
            raise ValueError("late")
        except ValueError:
            start_response("500 Oops", HTML, sys.exc_info())
        return [b"sorry"]

    calls, blocks = serve(module, app)
    assert [call[0] for call in calls] == ["200 OK", "500 Oops"]
    assert blocks == [b"sorry"]


def test_a_second_start_response_without_exc_info_is_refused() -> None:
    def app(env: Any, start_response: Any) -> Any:
        start_response("200 OK", HTML)
        start_response("200 OK", HTML, None)
        return []

    with pytest.raises(AssertionError, match="twice"):
        serve(validate, app)


def test_exc_info_of_a_wrong_length_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"sys\.exc_info"):
        validate.check_exc_info((None, None))


# --- The application's side: streams and write


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
@pytest.mark.parametrize(
    "misuse",
    [
        lambda env: env["wsgi.input"].read(),
        lambda env: env["wsgi.input"].read(1, 2),
        lambda env: env["wsgi.input"].readline(1, 2),
        lambda env: env["wsgi.input"].readlines(1, 2),
        lambda env: env["wsgi.input"].close(),
        lambda env: env["wsgi.errors"].close(),
        lambda env: env["wsgi.errors"].write(b"bytes"),
        lambda env: env["wsgi.errors"].write(StrOfMyOwn("s")),
        lambda env: env["wsgi.errors"].writelines(["right", 7]),
    ],
)
def test_a_misuse_of_the_streams_is_refused(module: Any, misuse: Any) -> None:
    def app(env: Any, start_response: Any) -> Any:
        misuse(env)
        return hello(env, start_response)

    with pytest.raises(AssertionError):
        serve(module, app)


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
@pytest.mark.parametrize(
    "reading",
    [
        lambda stream: stream.read(1),
        lambda stream: stream.readline(),
        lambda stream: stream.readlines(),
        list,
    ],
)
def test_an_input_that_gives_text_is_the_servers_fault(module: Any, reading: Any) -> None:
    stream = module.InputWrapper(io.StringIO("one\ntwo"))
    with pytest.raises(AssertionError):
        reading(stream)


def test_an_input_whose_readlines_is_no_list_is_the_servers_fault() -> None:
    stream = type("Lazy", (), {"readlines": lambda self: iter([b"one"])})()
    with pytest.raises(AssertionError, match="readlines must return a list"):
        validate.InputWrapper(stream).readlines()


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
def test_right_use_of_the_streams_reaches_the_server(module: Any) -> None:
    errors = io.StringIO()
    seen: list[Any] = []

    def app(env: Any, start_response: Any) -> Any:
        stream = env["wsgi.input"]
        seen.extend([stream.read(2), stream.readline(), stream.readline(1), stream.readlines(100), list(stream)])
        env["wsgi.errors"].write("a")
        env["wsgi.errors"].writelines(["b", "c"])
        env["wsgi.errors"].flush()
        return hello(env, start_response)

    env = environ(wsgi_input=io.BytesIO(b"1\n2\n3\n4\n"), wsgi_errors=errors)
    serve(module, app, env)
    assert seen == [b"1\n", b"2\n", b"3", [b"\n", b"4\n"], []]
    assert errors.getvalue() == "abc"


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
@pytest.mark.parametrize("data", ["text", bytearray(b"x"), None, 7])
def test_write_takes_bytes_only(module: Any, data: Any) -> None:
    def app(env: Any, start_response: Any) -> Any:
        start_response("200 OK", HTML)(data)
        return []

    with pytest.raises(AssertionError):
        serve(module, app)


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
def test_write_passes_bytes_on(module: Any) -> None:
    def app(env: Any, start_response: Any) -> Any:
        start_response("200 OK", HTML)(b"first")
        return [b"second"]

    assert serve(module, app)[1] == [b"first", b"second"]


def test_a_start_response_that_gives_no_write_is_refused_when_it_is_used() -> None:
    def app(env: Any, start_response: Any) -> Any:
        write = start_response("200 OK", HTML)
        if env["PATH_INFO"] == "/write":
            write(b"x")
        return []

    body = validate.validator(app)(environ(), lambda *args: None)
    assert list(body) == []
    body.close()
    with pytest.raises(AssertionError, match="write callable"):
        validate.validator(app)(environ(PATH_INFO="/write"), lambda *args: None)


# --- Around it


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
def test_validators_can_be_nested(module: Any) -> None:
    assert serve(module, module.validator(hello))[1] == [b"hello ", b"world"]


def test_ours_accepts_what_theirs_wrapped_and_the_other_way_round() -> None:
    assert serve(validate, wsgiref.validate.validator(hello))[1] == [b"hello ", b"world"]
    assert serve(wsgiref.validate, validate.validator(hello))[1] == [b"hello ", b"world"]


def test_the_applications_own_exceptions_pass_through() -> None:
    def broken(env: Any, start_response: Any) -> Any:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        serve(validate, broken)


def test_assert_raises_with_its_arguments() -> None:
    validate.assert_(1, "nothing")
    with pytest.raises(AssertionError) as caught:
        validate.assert_([], "two", 2)
    assert caught.value.args == ("two", 2)


def test_the_checks_are_there_under_dash_o() -> None:
    program = (
        "from twisted_wsgiref.validate import check_status\n"
        "try:\n    check_status('2000 OK')\n"
        "except AssertionError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-O", "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert "2000 OK" in done.stdout
