"""Does the front door lead where it says, and only there?"""

from __future__ import annotations

import ast
import builtins
import pickle
import re
import subprocess
import sys
import typing
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import twisted_wsgiref

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Those for users; the others are for who works on this package.
FOR_USERS = [ROOT / name for name in ("README.md", "docs/behavior.md", "docs/embedding.md", "docs/deploying.md")]
FOR_USERS += [ROOT / "docs/testing.md"]
# Classes that the pages name and that are Twisted's, or of the names of wsgiref.
OTHERS = {"BaseHandler", "FileWrapper", "IService", "IStreamServerEndpoint", "IListeningPort"}
OTHERS |= {"LiveServerTestCase", "StaticFilesHandler", "TestCase", "TransactionTestCase"}  # Django's
OTHERS |= {"SteppedPool"}  # of twisted_wsgiref.testing
OTHERS |= {"ExecReload", "PrivateTmp"}  # and systemd's words


@pytest.mark.parametrize("name", twisted_wsgiref.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(twisted_wsgiref, name).__name__ == name
    assert name in dir(twisted_wsgiref)


@pytest.mark.parametrize("name", twisted_wsgiref.__all__)
def test_every_public_name_says_that_it_is_from_here(name: str) -> None:
    value = getattr(twisted_wsgiref, name)
    assert value.__module__ == "twisted_wsgiref"
    assert pickle.loads(pickle.dumps(value)) is value


@pytest.mark.parametrize("value", [twisted_wsgiref.Settings, twisted_wsgiref.Record])
def test_the_types_of_values_can_be_looked_up(value: Any) -> None:
    assert typing.get_type_hints(value)  # in the module that the class names


def test_values_survive_a_pickle_that_names_no_inner_room() -> None:
    record = twisted_wsgiref.Record.refused("127.0.0.1", 400, 0, 1.0)
    for value in (twisted_wsgiref.Settings(threads=3), record):
        data = pickle.dumps(value, protocol=0)
        assert b"twisted_wsgiref\n" in data
        assert b"twisted_wsgiref." not in data
        assert pickle.loads(data) == value


def test_the_end_of_a_request_is_one_family() -> None:
    assert issubclass(twisted_wsgiref.RequestExpired, twisted_wsgiref.ClientGone)
    assert not issubclass(twisted_wsgiref.ClientGone, Exception)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_that_a_page_imports_from_us_exists(page: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "twisted_wsgiref":
                module: Any = import_module(node.module or "")
                missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
                assert missing == []


@pytest.mark.parametrize("page", FOR_USERS, ids=lambda page: page.name)
def test_every_class_that_a_page_promises_is_public(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`([A-Z][a-z]+[A-Z][A-Za-z]*)`", text))
    assert named - set(dir(builtins)) - OTHERS - set(twisted_wsgiref.__all__) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_counts_in_bytes(page: Path) -> None:
    # Names of messages and of media types have the RFCs' word.
    assert re.findall(r"(?<![-/])\boctets?\b(?!-)", page.read_text(encoding="utf-8"), re.IGNORECASE) == []


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'nonsense'"):
        twisted_wsgiref.nonsense  # noqa: B018


@pytest.mark.parametrize("name", ["util", "headers", "types", "handlers", "validate", "simple_server"])
def test_the_names_of_wsgiref_do_not_bring_twisted(name: str) -> None:
    program = f"import sys, twisted_wsgiref.{name}; sys.exit('twisted' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
