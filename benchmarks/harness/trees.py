"""Other versions of this server: each is imported from a tree of its own, and all else from this checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.environment import CHECKOUT


def package_alone(tree: Path, folder: Path) -> Path:
    """Make `folder`, with a link to the package in `tree` and nothing else; return it.

    In front of this checkout on the path it gives the tree's server, and the scripts and applications of this checkout,
    which the tree has, too. Raises `SystemExit` if there is no package in `tree`.
    """
    package = tree.resolve() / "twisted_wsgiref"
    if not (package / "__init__.py").is_file():
        raise SystemExit(f"{tree}: there is no twisted_wsgiref in this folder")
    folder.mkdir()
    (folder / package.name).symlink_to(package, target_is_directory=True)
    return folder


def run_below(tree: Path, words: Sequence[str], seconds: float) -> str:
    """Run this interpreter with `words` and the package of `tree`, for `seconds` at most; return what it prints.

    Raises `SystemExit`, with the end of its errors, if it fails.
    """
    with tempfile.TemporaryDirectory(prefix="tree-") as folder:
        place = package_alone(tree, Path(folder) / "alone")
        done = subprocess.run(
            [sys.executable, *words],
            cwd=place,
            env={"PYTHONPATH": os.pathsep.join((str(place), str(CHECKOUT))), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"{tree}: {' '.join(words)} failed:\n{done.stderr[-1500:]}")
    return done.stdout
