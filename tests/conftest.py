"""How the suite is run: which examples Hypothesis looks at, and how ``-n auto`` shares the tests out.

And what tests of all rooms are given: the log.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

# The machine may be busy with other things, so the time that an example takes says nothing of ours; and what passes
# here passes elsewhere: the same examples each time.
settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
# With --hypothesis-profile: .ci/run has the suite on one Python look at all examples, and on others at the first ones.
settings.register_profile("brief", settings.get_profile("suite"), max_examples=20)
settings.load_profile("suite")

ROOT = Path(__file__).resolve().parent.parent
# Few tests, each of which takes long: they come first, or the others would be done long before.
LONG = ("test_packaging.py", "test_haproxy.py", "test_prompts.py", "test_workers.py")
# So many files of other tests between two of real processes.
BETWEEN = 3


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Two for each processor: a test of a real process waits for two thirds of its time."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    return 2 * (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share out file by file, in the order of `pytest_collection_modifyitems`: the tests of a file share servers."""
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Import another part of the tests first in each process of ``-n``, if all are to be run.

    pytest rewrites each test module, and keeps it as bytecode: so each process does that for its part, and not each for
    all. An image may have said that Python shall not keep any.
    """
    config = session.config
    given = getattr(config, "workerinput", None)
    if given is None or config.args != config.getini("testpaths"):
        return
    sys.dont_write_bytecode = False
    files = sorted(ROOT.glob("tests/**/test_*.py"))
    for path in files[int(given["workerid"].removeprefix("gw")) :: given["workercount"]]:
        with contextlib.suppress(Exception, pytest.skip.Exception):  # pytest says so when it comes to the file
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mix tests that wait with tests that compute; of those that wait, long files first, and those with most tests."""
    if not hasattr(config, "workerinput"):
        return
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    waiting = [files.pop(name) for name in list(files) if "/real/" in name]
    waiting.sort(key=lambda tests: (tests[0].path.name not in LONG, -len(tests)))
    computing = iter(files.values())
    items[:] = itertools.chain(*_mixed(waiting, computing))


def pytest_collection_finish() -> None:
    """Keep what stays for all of the run out of the garbage collector's rounds: tests and their modules."""
    gc.collect()
    gc.freeze()


def _mixed(waiting: list[list[pytest.Item]], computing: Iterator[list[pytest.Item]]) -> Iterator[list[pytest.Item]]:
    for tests in waiting:
        yield tests
        yield from itertools.islice(computing, BETWEEN)
    yield from computing


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    """Return a list of all that is logged meanwhile."""
    found: list[LogEvent] = []
    globalLogPublisher.addObserver(found.append)
    yield found
    globalLogPublisher.removeObserver(found.append)


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Return a list of all that is logged meanwhile, as text, as it was at that moment."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)
