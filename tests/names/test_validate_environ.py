"""What `twisted_wsgiref.validate` says of a server: the environ, and how it calls."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from tests.names.conversation import OURS_AND_THEIRS, StrOfMyOwn, environ, hello, serve
from twisted_wsgiref import validate


class DictOfMyOwn(dict):  # type: ignore[type-arg]
    pass


BAD_ENVIRONS = {
    "a subclass of dict": DictOfMyOwn(environ()),
    "not even a dict": list(environ().items()),
    **{
        f"no {key}": environ(**{key: ...})
        for key in ("REQUEST_METHOD", "SERVER_NAME", "SERVER_PORT", "wsgi_version", "wsgi_input", "wsgi_errors")
    },
    "no multithread": environ(wsgi_multithread=...),
    "no multiprocess": environ(wsgi_multiprocess=...),
    "no run_once": environ(wsgi_run_once=...),
    "HTTP_CONTENT_TYPE": environ(HTTP_CONTENT_TYPE="text/plain"),
    "HTTP_CONTENT_LENGTH": environ(HTTP_CONTENT_LENGTH="0"),
    "bytes value": environ(HTTP_HOST=b"example.com"),
    "integer port": environ(SERVER_PORT=80),
    "str subclass": environ(HTTP_X=StrOfMyOwn("x")),
    "None value": environ(CONTENT_TYPE=None),
    "version is a list": environ(wsgi_version=[1, 0]),
    "scheme": environ(wsgi_url_scheme="ftp"),
    "input is bytes": environ(wsgi_input=b"body"),
    "input without readline": environ(wsgi_input=type("I", (), {"read": 1, "readlines": 1, "__iter__": 1})()),
    "errors is None": environ(wsgi_errors=None),
    "errors without writelines": environ(wsgi_errors=type("E", (), {"write": 1, "flush": 1})()),
    "SCRIPT_NAME /": environ(SCRIPT_NAME="/"),
    "SCRIPT_NAME without slash": environ(SCRIPT_NAME="app"),
    "PATH_INFO without slash": environ(PATH_INFO="page"),
    "negative length": environ(CONTENT_LENGTH="-1"),
}


@pytest.mark.parametrize("name", BAD_ENVIRONS)
@pytest.mark.parametrize("module", OURS_AND_THEIRS)
def test_a_wrong_environ_is_refused_before_the_application_is_called(module: Any, name: str) -> None:
    def never(env: Any, start_response: Any) -> Any:
        pytest.fail("the application was called")

    with pytest.raises(AssertionError):
        module.validator(never)(BAD_ENVIRONS[name], lambda *args: None)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"wsgi_url_scheme": ...}, r"wsgi\.url_scheme"),
        ({"wsgi_version": (1,)}, r"wsgi\.version"),
        ({"wsgi_version": ("1", "0")}, r"wsgi\.version"),
        ({"CONTENT_LENGTH": "ten"}, "CONTENT_LENGTH.*'ten'"),
        ({"CONTENT_LENGTH": "+1"}, "CONTENT_LENGTH"),
        ({"CONTENT_LENGTH": "1_0"}, "CONTENT_LENGTH"),
        ({"CONTENT_LENGTH": "\u0661"}, "CONTENT_LENGTH"),
        ({"SERVER_NAME": ""}, "SERVER_NAME"),
        ({"SERVER_PORT": ""}, "SERVER_PORT"),
        ({"REQUEST_METHOD": ""}, "REQUEST_METHOD"),
        ({"PATH_INFO": "/\u20ac"}, "PATH_INFO.*8859"),
        ({"HTTP_X_NAME": "\u0436"}, "HTTP_X_NAME.*8859"),
        ({"SCRIPT_NAME": "", "PATH_INFO": ...}, "PATH_INFO"),
        ({"SCRIPT_NAME": ..., "PATH_INFO": ...}, "SCRIPT_NAME or a PATH_INFO"),
    ],
)
def test_our_environ_check_names_what_the_pep_forbids_and_theirs_misses(changes: Any, named: str) -> None:
    with pytest.raises(AssertionError, match=named):
        validate.check_environ(environ(**changes))


def test_a_key_that_is_no_string_is_refused() -> None:
    with pytest.raises(AssertionError, match="keys of environ"):
        validate.check_environ({**environ(), 7: "seven"})  # type: ignore[dict-item]


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
@pytest.mark.parametrize(
    "changes",
    [
        {"SCRIPT_NAME": "/app", "PATH_INFO": ""},
        {"CONTENT_LENGTH": ""},
        {"CONTENT_LENGTH": "007"},
        {"wsgi_url_scheme": "https"},
        {"PATH_INFO": "/caf\xc3\xa9"},
        {"LS_COLORS": "\u20ac \udce9"},  # a variable of the operating system is not the client's
        {"server.anything": object()},
        {"wsgi_file_wrapper": iter},
    ],
)
def test_what_the_pep_leaves_free_is_let_through(module: Any, changes: Any) -> None:
    assert len(serve(module, hello, environ(**changes))[1]) == 2


@pytest.mark.parametrize("changes", [{"SCRIPT_NAME": ...}, {"SCRIPT_NAME": "/app", "PATH_INFO": ...}])
def test_one_of_the_two_paths_is_enough(changes: Any) -> None:
    # PEP 3333 lets either be absent when it would be empty; theirs ends with a KeyError.
    validate.check_environ(environ(**changes))


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
@pytest.mark.parametrize("changes", [{"REQUEST_METHOD": "BREW"}, {"QUERY_STRING": ...}])
def test_questionable_environs_are_warned_of(module: Any, changes: Any) -> None:
    with pytest.warns(module.WSGIWarning):
        serve(module, hello, environ(**changes))


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
def test_known_methods_are_not_warned_of(module: Any, method: str) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        serve(module, hello, environ(REQUEST_METHOD=method))
    assert warned == []


@pytest.mark.parametrize("module", OURS_AND_THEIRS)
@pytest.mark.parametrize(
    ("args", "kw"),
    [((), {}), ((environ(),), {}), ((environ(), print, 1), {}), ((environ(),), {"start_response": print})],
)
def test_the_server_calls_with_two_positional_arguments(module: Any, args: Any, kw: Any) -> None:
    with pytest.raises(AssertionError):
        module.validator(hello)(*args, **kw)


def test_a_start_response_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(AssertionError, match="start_response must be callable"):
        validate.validator(hello)(environ(), None)


def test_warnings_can_be_made_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", validate.WSGIWarning)
        with pytest.raises(validate.WSGIWarning, match="BREW"):
            validate.check_environ(environ(REQUEST_METHOD="BREW"))
