"""Are the shapes of PEP 3333 here those of Python 3.11's ``wsgiref.types``, and do our own classes have them?"""

from __future__ import annotations

import importlib
import inspect
import io
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

from twisted_wsgiref import types
from twisted_wsgiref.util import FileWrapper, setup_testing_defaults

# The standard library has the module from 3.11 on; ours is there on 3.10 too.
standard: Any = importlib.import_module("wsgiref.types") if sys.version_info >= (3, 11) else None

PROTOCOLS = ["StartResponse", "InputStream", "ErrorStream", "FileWrapper"]
METHODS = [
    ("StartResponse", "__call__"),
    ("InputStream", "read"),
    ("InputStream", "readline"),
    ("InputStream", "readlines"),
    ("InputStream", "__iter__"),
    ("ErrorStream", "flush"),
    ("ErrorStream", "write"),
    ("ErrorStream", "writelines"),
    ("FileWrapper", "__call__"),
]

needs_standard = pytest.mark.skipif(standard is None, reason="wsgiref.types came with Python 3.11")

# What a type checker has to accept; the names are used as a program written for wsgiref.types uses them.
ACCEPTED = """
import io, sys
from collections.abc import Iterable
from twisted_wsgiref.types import (
    ErrorStream, FileWrapper, InputStream, StartResponse, WSGIApplication, WSGIEnvironment)
from twisted_wsgiref import simple_server, util

def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"first")
    try:
        1 / 0
    except ZeroDivisionError:
        kind, error, trace = sys.exc_info()
        assert kind is not None and error is not None and trace is not None
        start_response("500 Sorry", [], (kind, error, trace))
    start_response("200 OK", [], None)
    return [b"second"]

an_application: WSGIApplication = application
the_demo: WSGIApplication = simple_server.demo_app
body: InputStream = io.BytesIO()
errors: ErrorStream = sys.stderr
wrapper: FileWrapper = util.FileWrapper
"""
REFUSED = [
    "from twisted_wsgiref.types import *\napp: WSGIApplication = lambda environ: []",
    "from twisted_wsgiref.types import *\nbody: InputStream = open('x')",
    "from twisted_wsgiref.types import *\nenviron: WSGIEnvironment = {1: 2}",
    "from twisted_wsgiref.types import *\nerrors: ErrorStream = object()",
]


def parameters(cls: Any, name: str) -> list[tuple[str, Any, Any]]:
    found = inspect.signature(inspect.getattr_static(cls, name)).parameters.values()
    return [(each.name, each.kind, each.default) for each in found]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_it_is_a_protocol(name: str) -> None:
    cls = getattr(types, name)
    assert issubclass(cls, typing.Protocol)
    with pytest.raises(TypeError, match="Protocols"):
        cls()


def test_the_aliases_are_what_they_say() -> None:
    assert types.WSGIEnvironment == dict[str, Any]
    arguments, result = typing.get_args(types.WSGIApplication)
    assert arguments == [types.WSGIEnvironment, types.StartResponse]
    assert typing.get_args(result) == (bytes,)


def test_every_name_is_in_all() -> None:
    assert sorted(types.__all__) == sorted([*PROTOCOLS, "WSGIApplication", "WSGIEnvironment"])


@needs_standard
def test_all_is_that_of_the_standard_library() -> None:
    assert sorted(types.__all__) == sorted(standard.__all__)


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_the_hints_of_every_method_can_be_resolved(name: str, method: str) -> None:
    assert typing.get_type_hints(getattr(getattr(types, name), method))["return"]


@needs_standard
@pytest.mark.parametrize(("name", "method"), METHODS)
def test_the_methods_take_and_return_what_the_standard_librarys_do(name: str, method: str) -> None:
    ours, theirs = getattr(types, name), getattr(standard, name)
    assert parameters(ours, method) == parameters(theirs, method)
    # Text, since each module's hints name its own classes.
    our_hints = typing.get_type_hints(getattr(ours, method))
    their_hints = typing.get_type_hints(getattr(theirs, method))
    assert str(our_hints).replace("twisted_wsgiref", "wsgiref") == str(their_hints)


@needs_standard
@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_members_are_those_of_the_standard_library(name: str) -> None:
    def members(cls: Any) -> set[str]:
        methods = {each for each, value in vars(cls).items() if inspect.isfunction(value)}
        return methods - {"__init__", "__subclasshook__"}  # Put there by Protocol itself, by version.

    assert members(getattr(types, name)) == members(getattr(standard, name))


def test_the_shapes_fit_what_the_names_make() -> None:
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    body: types.InputStream = environ["wsgi.input"]
    errors: types.ErrorStream = environ["wsgi.errors"]
    wrapper: types.FileWrapper = FileWrapper
    for name, method in METHODS:
        value = {"InputStream": body, "ErrorStream": errors, "FileWrapper": wrapper}.get(name, len)
        assert callable(getattr(value, method))
    assert list(wrapper(io.BytesIO(b"abc"), 2)) == [b"ab", b"c"]


@pytest.mark.slow
def test_a_type_checker_accepts_right_programs_and_refuses_wrong_ones(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "accepted.py").write_text(ACCEPTED)
    for number, code in enumerate(REFUSED):
        (tmp_path / f"refused_{number}.py").write_text(code)
    done = subprocess.run(
        # A configuration and a cache of its own: the project's would be read from the working directory.
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    wrong = {line.partition(":")[0] for line in done.stdout.splitlines() if ": error:" in line}
    assert wrong == {f"refused_{number}.py" for number in range(len(REFUSED))}, done.stdout + done.stderr
