"""Does pytest find the fixture, and does nobody pay for it who does not ask for it?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.real.children import ROOT, environment
from tests.support import PATIENCE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAME = "twisted_wsgiref"
MODULE = "twisted_wsgiref._testing.plugin"

USES = """
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

def app(environ, start_response):
    if environ["PATH_INFO"] == "/fails":
        raise ValueError("on purpose")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["SCRIPT_NAME"].encode() or b"hello"]

def test_it_serves(wsgi_server):
    url, other = wsgi_server(app), wsgi_server(app, script_name="/other")
    assert urlopen(url + "/").read() == b"hello"
    assert urlopen(other + "/other/").read() == b"/other"

def test_it_shows_what_failed(wsgi_server, capsys):
    with pytest.raises(HTTPError) as caught:
        urlopen(wsgi_server(app) + "/fails")
    caught.value.close()
    assert "ValueError: on purpose" in capsys.readouterr().err
"""
UNUSED = """
import sys

def test_nothing_is_imported():
    # "zope" itself is made by the .pth file of an old zope.interface, whenever Python starts.
    ours = [name for name in sys.modules if f"{name}.".startswith(("twisted.", "treq.", "zope.interface."))]
    assert ours == []
    assert sorted(name for name in sys.modules if name.startswith("twisted_wsgiref")) == LOADED
"""


def pytested(folder: Path, test: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `test` by a pytest that loads our plugin and no other, and takes every warning for an error."""
    (folder / "test_it.py").write_text(test)
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *words],
        cwd=folder,
        env=environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
        check=False,
    )


def test_the_package_says_where_pytest_finds_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {NAME: MODULE}


def test_an_application_is_served_as_long_as_the_test_lasts(tmp_path: Path) -> None:
    done = pytested(tmp_path, USES, "-p", MODULE)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_who_does_not_ask_for_it_imports_nothing(tmp_path: Path) -> None:
    loaded = ["twisted_wsgiref", "twisted_wsgiref._testing", MODULE]
    done = pytested(tmp_path, UNUSED.replace("LOADED", repr(loaded)), "-p", MODULE)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_without_it_there_is_no_such_fixture(tmp_path: Path) -> None:
    done = pytested(tmp_path, USES)
    assert "fixture 'wsgi_server' not found" in done.stdout


@pytest.mark.slow
def test_a_program_that_has_imported_the_package_may_run_pytest(tmp_path: Path) -> None:
    # Pytest marks what brings a plugin for rewriting, and warns of what is imported by then.
    metadata = tmp_path / "site" / "other-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(f"[pytest11]\nother = {MODULE}\n")
    (metadata / "RECORD").write_text("twisted_wsgiref/__init__.py,,\nother-1.dist-info/METADATA,,\n")
    (tmp_path / "test_it.py").write_text("def test_it(wsgi_server):\n    pass\n")
    words = ["-q", "-W", "error", "-p", "no:cacheprovider", "-p", f"no:{NAME}"]
    program = f"import sys, twisted_wsgiref, pytest; sys.exit(pytest.main({words!r}))"
    path = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env=environment(PYTHONPATH=path),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
