"""Interpreters for workers: the command of a fresh one, the environment in which it finds this package, and a file."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def command(module: str, app: str | None) -> list[str]:
    """Return the command for a fresh interpreter like this one that runs `module`.

    Its last word, `app`, is for people who list processes.
    """
    flags: list[str] = getattr(subprocess, "_args_from_interpreter_flags", list)()
    return [sys.executable, *flags, "-m", module, app or "demo"]


def environment() -> tuple[str | None, dict[str, str]]:
    """Return PYTHONPATH as it is, and an environment in which a fresh interpreter finds this package."""
    environ = dict(os.environ)
    path = environ.get("PYTHONPATH")
    root = str(Path(__file__).resolve().parent.parent.parent)
    if root not in site.getsitepackages() and root != site.getusersitepackages():
        environ["PYTHONPATH"] = os.pathsep.join([root, path] if path else [root])
    return path, environ


@contextmanager
def nameless_file(text: str) -> Iterator[int]:
    """Give the descriptor of a file with `text` in it, which no file system shows."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("wsgi-task")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    try:
        with open(descriptor, "wb", closefd=False) as written:
            written.write(text.encode("ascii"))
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
