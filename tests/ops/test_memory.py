"""Is memory settled for a server, and does no application pay for it?"""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from twisted_wsgiref._ops.memory import settle

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES_OF_A_MIB = 256
PAGES_OF_ALL_BODIES = 32 * 16

only_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="only glibc adjusts what it keeps, and Python without its lock has an allocator of its own",
)

# Each in a thread, as an application runs: a thread has an arena of its own.
MEASURE = """
import resource, sys, threading
from twisted_wsgiref._ops.memory import settle
{settle}

def shrink():
    blob = bytes(12 * 1024 * 1024)
    while blob:
        blob = blob[65515:]

def bodies():
    for _ in range(100):
        kept = [bytes(65536).replace(b"\\0", b"1") for _ in range(32)]

def piece(mebibytes):
    for _ in range(20):
        kept = b"x" * (mebibytes * 1024 * 1024)

def measure():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    {work}
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=measure)
thread.start()
thread.join()
"""


def pages_faulted(work: str, *, settled: bool, **variables: str) -> int:
    """Return how many pages the kernel had to find while a process did the work."""
    code = MEASURE.format(settle="settle()" if settled else "", work=work)
    kept = {name: value for name, value in os.environ.items() if "MALLOC" not in name and name != "GLIBC_TUNABLES"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "PYTHONPATH": str(ROOT), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return int(done.stdout)


@only_glibc
@pytest.mark.parametrize("work", ["shrink()", "piece(2)", "piece(6)", "piece(20)"])
def test_large_copies_of_an_application_cost_what_they_cost_elsewhere(work: str) -> None:
    elsewhere = pages_faulted(work, settled=False)
    assert pages_faulted(work, settled=True) < 1.1 * elsewhere + PAGES_OF_A_MIB


@only_glibc
def test_memory_of_many_bodies_is_kept_for_the_next() -> None:
    assert pages_faulted("bodies()", settled=True) < 4 * PAGES_OF_ALL_BODIES


@only_glibc
def test_who_has_set_how_much_is_kept_knows_better() -> None:
    given_back = pages_faulted("bodies()", settled=True, MALLOC_TRIM_THRESHOLD_="131072")
    assert given_back > 20 * PAGES_OF_ALL_BODIES


@pytest.fixture
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_young_objects_are_collected_more_seldom_and_old_ones_frozen() -> None:
    before = gc.get_threshold()
    settle()
    assert gc.get_threshold() == (10_000, *before[1:])
    assert gc.get_freeze_count() > 1000


@pytest.mark.usefixtures("collector")
def test_what_the_application_has_set_stays() -> None:
    gc.set_threshold(5, 6, 7)
    settle()
    assert gc.get_threshold()[:2] == (5, 6)
