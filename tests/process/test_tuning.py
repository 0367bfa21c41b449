"""Is a process set for a server, and does no application pay for it?"""

from __future__ import annotations

import gc
import json
import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from twisted_wsgiref._process.tuning import settle

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "benchmarks" / "speed" / "settled.py"
PAGES_OF_A_MIB = 256
PAGES_OF_ALL_BODIES = 32 * 16

only_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="only glibc adjusts what it keeps, and Python without its lock has an allocator of its own",
)


def measured(work: str, way: str, **variables: str) -> dict[str, float]:
    """Return what the benchmark finds of a work: pages faulted in, MiB at most."""
    kept = {name: value for name, value in os.environ.items() if "MALLOC" not in name and name != "GLIBC_TUNABLES"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--child", work, way],
        env={**kept, "PYTHONPATH": str(ROOT), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return found


# ---- Freed memory --------------------------------------------------------------------------------------------------


@only_glibc
@pytest.mark.parametrize("work", ["shrink", "pieces-of-2-mib", "pieces-of-6-mib", "pieces-of-20-mib"])
def test_large_copies_of_an_application_cost_what_they_cost_elsewhere(work: str) -> None:
    elsewhere = measured(work, "bare")["faults"]
    assert measured(work, "settled")["faults"] < 1.1 * elsewhere + PAGES_OF_A_MIB


@only_glibc
def test_memory_of_many_bodies_is_kept_for_the_next() -> None:
    assert measured("bodies", "settled")["faults"] < 4 * PAGES_OF_ALL_BODIES


@only_glibc
def test_who_has_set_how_much_is_kept_knows_better() -> None:
    given_back = measured("bodies", "settled", MALLOC_TRIM_THRESHOLD_="131072")["faults"]
    assert given_back > 20 * PAGES_OF_ALL_BODIES


# ---- Collections ---------------------------------------------------------------------------------------------------


@pytest.fixture
def interpreter() -> Iterator[None]:
    """Whatever is set for all of it is taken back."""
    before, interval = gc.get_threshold(), sys.getswitchinterval()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()
    sys.setswitchinterval(interval)


@only_glibc
def test_what_an_application_leaves_in_cycles_is_freed_as_soon_as_elsewhere() -> None:
    elsewhere = measured("kept-exceptions", "bare")["most"]
    assert measured("kept-exceptions", "settled")["most"] < 1.2 * elsewhere + 20


@pytest.mark.usefixtures("interpreter")
def test_what_was_imported_is_not_collected_again() -> None:
    before = gc.get_threshold()
    settle()
    assert gc.get_freeze_count() > 1000
    assert gc.get_threshold() == before


# ---- Threads -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("interpreter")
def test_a_thread_that_computes_gives_way_sooner() -> None:
    settle(0.0005)
    assert sys.getswitchinterval() == 0.0005


@pytest.mark.usefixtures("interpreter")
@pytest.mark.parametrize("asked", [0.0005, 0.0])
def test_an_interval_that_the_application_has_set_stays(asked: float) -> None:
    sys.setswitchinterval(0.125)
    settle(asked)
    assert sys.getswitchinterval() == 0.125
