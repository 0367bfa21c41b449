"""What does a process that serves not import, since only others need it?"""

from __future__ import annotations

import subprocess
import sys

import pytest

# Each takes memory in every process, and time at each start.
LATE = ("argparse", "difflib", "OpenSSL", "cryptography", "twisted.web", "twisted_wsgiref._process.control")
LOOK = "import sys, twisted_wsgiref.__main__, twisted_wsgiref._process.standalone\nprint(*sorted(sys.modules))"


@pytest.fixture(scope="module")
def imported() -> set[str]:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", LATE)
def test_a_process_that_serves_does_not_import(module: str, imported: set[str]) -> None:
    assert "twisted_wsgiref._process.worker" in imported
    assert module not in imported
