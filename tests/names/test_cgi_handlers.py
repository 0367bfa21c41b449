"""The handlers of a CGI process, and the environment that they read, beside the standard library's."""

from __future__ import annotations

import io
import os
import sys
import wsgiref.handlers
from typing import Any

import pytest

from twisted_wsgiref import handlers
from twisted_wsgiref.handlers import CGIHandler, IISCGIHandler, read_environ

CGI_VARIABLES = {
    "PATH_INFO": "/caf\xe9/\u20ac",
    "SCRIPT_NAME": "/\xfc",
    "HTTP_COOKIE": "a=\xe9",
    "HTTPS": "on",
    "SSL_SERVER_S_DN": "CN=\xe9",
    "REDIRECT_QUERY_STRING": "\xe9",
    "REDIRECT_REDIRECT_HTTP_X": "\xe9",
    "REDIRECT_STATUS": "\xe9",
    "QUERY_STRING": "\udce9=\udcff",
    "NOT_OF_THE_REQUEST": "\xe9\u20ac",
}


def test_read_environ_is_bytes_in_unicode_as_in_the_standard_library(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CGI_VARIABLES.items():
        monkeypatch.setenv(name, value)
    environ = read_environ()
    assert environ == wsgiref.handlers.read_environ()
    assert environ is not os.environ
    assert environ["NOT_OF_THE_REQUEST"] == "\xe9\u20ac"
    assert environ["PATH_INFO"].encode("latin-1") == os.fsencode("/caf\xe9/\u20ac")
    assert environ["QUERY_STRING"].encode("latin-1") == os.fsencode("\udce9=\udcff")


def process(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """The standard output of a CGI process, whose input is ``abc``."""
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"abc")))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out))
    monkeypatch.setenv("SERVER_PROTOCOL", "HTTP/1.1")
    return out


def test_a_cgi_process_answers_with_a_status_field(monkeypatch: pytest.MonkeyPatch) -> None:
    # Called here, not a fixture: pytest puts its own sys.stdout back between the two.
    out = process(monkeypatch)
    seen: dict[str, Any] = {}

    def app(environ: Any, start_response: Any) -> Any:
        seen.update(environ)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["wsgi.input"].read()]

    CGIHandler().run(app)
    assert out.getvalue() == b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc"
    assert (seen["wsgi.run_once"], seen["wsgi.multithread"], seen["wsgi.multiprocess"]) == (True, False, True)
    assert "SERVER_SOFTWARE" not in seen


@pytest.mark.parametrize(
    ("script", "path", "left"),
    [
        ("/app", "/app/x", "/x"),
        ("/app", "/app", ""),
        ("/app", "/apple", "/apple"),
        ("/app", "/x", "/x"),
        ("", "/x", "/x"),
        ("", "", ""),
    ],
)
def test_iis_has_its_doubled_script_name_taken_away(
    monkeypatch: pytest.MonkeyPatch, script: str, path: str, left: str
) -> None:
    process(monkeypatch)
    monkeypatch.setenv("SCRIPT_NAME", script)
    monkeypatch.setenv("PATH_INFO", path)
    for module in (handlers, wsgiref.handlers):
        handler = module.IISCGIHandler()
        handler.setup_environ()
        assert handler.environ["PATH_INFO"] == left
        assert handler.environ["SCRIPT_NAME"] == script
    assert issubclass(IISCGIHandler, handlers.BaseCGIHandler)
