"""Is whatever a fork would not take along found, and nothing else taken for it?"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from twisted_wsgiref._process.imported import Imported
from twisted_wsgiref._process.loading import LoadError
from twisted_wsgiref._process.preloading import obstacles, preload

MODULE = """
import threading
def app(environ, start_response):
    return []
made = threading.Event()
"""


@pytest.fixture(autouse=True)
def _no_reactor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever other tests have left in this process is not looked at."""
    monkeypatch.delitem(sys.modules, "twisted.internet.reactor", raising=False)
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.main_thread()])


def test_a_process_that_only_imported_has_no_obstacle() -> None:
    assert [each for each in obstacles() if "loop" not in each] == []


def test_threads_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [threading.Thread(name=name) for name in ("rebuilder", "poller")]
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.main_thread(), *others])
    assert obstacles()[0] == "threads (rebuilder, poller)"


def test_a_reactor_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "twisted.internet.reactor", ModuleType("EPollReactor"))
    assert "Twisted's reactor (module)" in obstacles()


def test_an_open_event_loop_is_named_and_a_closed_one_is_not() -> None:
    before = "".join(obstacles()).count("SelectorEventLoop")
    loop = asyncio.SelectorEventLoop()
    try:
        assert "".join(obstacles()).count("SelectorEventLoop") == before + 1
    finally:
        loop.close()
    assert "".join(obstacles()).count("SelectorEventLoop") == before


def test_what_is_imported_is_what_workers_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "preloaded_shop.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr("twisted_wsgiref._process.preloading.obstacles", list)
    found = preload("preloaded_shop:app", ["/api=wsgi:preloaded_shop:app"])
    module = sys.modules.pop("preloaded_shop")
    assert found.served.application is module.app
    assert dict(found.served.mounts) == {"/api": module.app}


def test_an_obstacle_is_one_line_of_no_ones_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "preloaded_shop.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr("twisted_wsgiref._process.preloading.obstacles", lambda: ["a thread (x)", "an event loop (y)"])
    with pytest.raises(LoadError, match=r"^preloaded_shop:app can not be preloaded.*: a thread \(x\); an ") as caught:
        preload("preloaded_shop:app", [])
    sys.modules.pop("preloaded_shop")
    assert caught.value.traceback == ""


# ---- The files of what is imported ---------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "one_that_is_imported.py"
    path.write_text("")
    made = ModuleType("one_that_is_imported")
    made.__file__ = str(path)
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return path


def test_files_that_nobody_touches_stay_current(module: Path) -> None:
    assert Imported.now().is_current()


def test_a_file_that_was_written_to_is_another_one(module: Path) -> None:
    imported = Imported.now()
    module.write_text("more")
    assert not imported.is_current()


def test_a_file_in_the_place_of_another_is_another_one(module: Path) -> None:
    imported = Imported.now()
    other = module.with_name("new")
    other.write_text("")
    state = module.stat()
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    other.replace(module)
    assert not imported.is_current()


def test_a_file_that_is_gone_is_another_one(module: Path) -> None:
    imported = Imported.now()
    module.unlink()
    assert not imported.is_current()
