"""Do the tests on the page about testing pass, by those who run them there?"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.real.children import ROOT, environment
from tests.support import PATIENCE

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
FILES = {
    found[1]: found[0] for found in re.findall(r"^```python\n(# (\S+\.py)\n.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
}
BY_DJANGO = {"test_books.py"}
BY_TRIAL = {"test_shop_by_trial.py"}
BY_PYTEST = [name for name in FILES if name.startswith("test_") and name not in BY_DJANGO]


def run(folder: Path, *words: str, **variables: str) -> str:
    """Run the words after ``python`` in a folder of all files of the page, and return what was said."""
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", **variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 5,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_every_example_has_a_name() -> None:
    assert len(FILES) == PAGE.count("```python\n")


@pytest.mark.parametrize("name", BY_PYTEST)
def test_pytest_passes(name: str, tmp_path: Path) -> None:
    plugin = ["-p", "twisted_wsgiref._testing.plugin", "-p", "no:cacheprovider"]
    said = run(tmp_path, "-m", "pytest", "-q", "-W", "error", "-W", "ignore::DeprecationWarning", *plugin, name)
    assert "passed" in said


@pytest.mark.parametrize("name", BY_TRIAL)
def test_trial_passes(name: str, tmp_path: Path) -> None:
    assert "PASSED" in run(tmp_path, "-m", "twisted.trial", name.removesuffix(".py"))


@pytest.mark.parametrize("name", BY_DJANGO)
def test_django_passes(name: str, tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "real" / "django_project")])
    words = ["-m", "django", "test", "--settings=bookshop.settings", "-p", name]
    said = run(tmp_path, *words, PYTHONPATH=path, BOOKSHOP_DATA=str(tmp_path))
    assert "OK" in said
