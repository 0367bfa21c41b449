"""Is what is mounted looked at before anything is served, and is each mistake one line that names its mount?"""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.testing import MemoryReactor
from twisted.web.resource import Resource

from twisted_wsgiref import InternalMount
from twisted_wsgiref._process.loading import LoadError
from twisted_wsgiref._process.mounting import check_modules, check_mounts, load, load_mounts
from twisted_wsgiref._process.runner import Runner
from twisted_wsgiref.settings import SettingError, Settings
from twisted_wsgiref.simple_server import demo_app

DEMO = "twisted_wsgiref.simple_server:demo_app"

MADE: list[str] = []
ROOT = Resource()
ROOT.putChild(b"child", Resource())


def make(name: str = "usual") -> Resource:
    MADE.append(name)
    return ROOT


def make_nothing() -> None:
    return None


def make_of(name: str) -> Resource:
    return make(name)


def fail() -> Resource:
    raise ZeroDivisionError("by the maker")


@pytest.fixture
def runner() -> Runner:
    MADE.clear()
    return Runner(MemoryReactor())


def test_what_is_mounted_is_what_a_service_takes(tmp_path: Path, runner: Runner) -> None:
    mounts = [f"/static=static:{tmp_path}", "/b/=wsgi:" + DEMO, "/=redirect:/b"]
    check_mounts(mounts)
    served = load(DEMO, mounts, runner)
    assert served.application is demo_app
    assert served.mounts == {"/static": f"static:{tmp_path}", "/b/": demo_app, "/": "redirect:307:/b"}


@pytest.mark.parametrize(
    ("mount", "line"),
    [
        ("/a=static:{tmp}/no", "mount is '/a=static:{tmp}/no': there is no directory {tmp}/no"),
        ("/a=static:{tmp}/file", "mount is '/a=static:{tmp}/file': there is no directory {tmp}/file"),
        (
            "/a=internal:static:{tmp}/no",
            "mount is '/a=internal:static:{tmp}/no': there is no directory {tmp}/no",
        ),
    ],
)
def test_what_is_not_there_is_refused(tmp_path: Path, mount: str, line: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SettingError) as caught:
        check_mounts([mount.format(tmp=tmp_path)])
    assert str(caught.value) == line.format(tmp=tmp_path)


def test_a_second_application_that_is_none_names_its_mount(tmp_path: Path, runner: Runner) -> None:
    with pytest.raises(LoadError, match=r"mount '/a=wsgi:nowhere_\w+:app': there is no module nowhere_at_all"):
        load_mounts(["/a=wsgi:nowhere_at_all:app"], runner, str(tmp_path))
    with pytest.raises(LoadError, match=r"mount '/a=wsgi:nowhere_\w+:app': there is no module nowhere_at_all"):
        check_modules(DEMO, ["/a=wsgi:nowhere_at_all:app"], str(tmp_path))
    check_modules(DEMO, [f"/a=wsgi:{DEMO}", "/b=redirect:/c"], str(tmp_path))


def test_what_is_internal_is_loaded_and_stays_internal(tmp_path: Path, runner: Runner) -> None:
    mounts = [f"/f=internal:static:{tmp_path}", f"/a=internal:wsgi:{DEMO}", f"/r=internal:{__name__}:ROOT"]
    check_mounts(mounts)
    check_modules(DEMO, mounts, str(tmp_path))
    loaded = [*load_mounts(mounts, runner, None).values()]
    assert [type(mounted) for mounted in loaded] == [InternalMount] * 3
    assert [mounted.mounted for mounted in loaded] == [f"static:{tmp_path}", demo_app, ROOT]  # type: ignore[attr-defined]
    with pytest.raises(LoadError, match=r"mount '/a=internal:wsgi:nowhere_\w+:app': there is no module nowhere_at_all"):
        check_modules(DEMO, ["/a=internal:wsgi:nowhere_at_all:app"], str(tmp_path))


def test_a_directory_of_files_to_send_that_is_not_there_is_refused(tmp_path: Path) -> None:
    check_mounts([], Settings(sendfile_root=(str(tmp_path),)))
    with pytest.raises(SettingError, match=r"^sendfile_root is '/no/such': there is no directory /no/such$"):
        check_mounts([], Settings(sendfile_root=(str(tmp_path), "/no/such")))


# ---- Resources of twisted.web ----------------------------------------------------------------------------------


def test_a_resource_is_mounted_as_it_is(runner: Runner) -> None:
    assert load_mounts([f"/r={__name__}:ROOT"], runner, None) == {"/r": ROOT}


@pytest.mark.parametrize(
    ("words", "name"), [("make", "usual"), ("make()", "usual"), ("make('mine')", "mine"), ("make_of('x')", "x")]
)
def test_a_resource_is_made_once_and_not_before_the_reactor_runs(runner: Runner, words: str, name: str) -> None:
    (mounted,) = load_mounts([f"/r={__name__}:{words}"], runner, None).values()
    assert not MADE
    runner.run_first()
    runner.run_first()
    assert [name] == MADE
    assert mounted.getChildWithDefault(b"child", None) is ROOT.children[b"child"]  # type: ignore[attr-defined]
    assert not mounted.isLeaf  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("nothing", f"module {__name__} has no attribute nothing"),
        ("DEMO", "is a str: it has to be a resource of twisted.web, or to make one"),
        ("make_of", "makes none when called without arguments; give it literals, as "),
        ("demo_app", f"; a WSGI application is mounted as wsgi:{__name__}:demo_app"),
    ],
)
def test_what_is_no_resource_is_refused_before_the_reactor_runs(runner: Runner, words: str, line: str) -> None:
    with pytest.raises(LoadError) as caught:
        load_mounts([f"/r={__name__}:{words}"], runner, None)
    assert str(caught.value).startswith(f"mount '/r={__name__}:{words}': ")
    assert line in str(caught.value)


@pytest.mark.parametrize(
    ("words", "line", "traced"),
    [
        ("make_nothing", "returned is None: it has to be a resource of twisted.web", False),
        ("fail", "failed: ZeroDivisionError: by the maker at ", True),
        ("fail()", "failed: ZeroDivisionError: by the maker at ", True),
    ],
)
def test_a_maker_that_makes_none_is_told_when_the_reactor_runs(
    runner: Runner, words: str, line: str, traced: bool
) -> None:
    load_mounts([f"/r={__name__}:{words}"], runner, None)
    with pytest.raises(LoadError) as caught:
        runner.run_first()
    assert str(caught.value).startswith(f"mount '/r={__name__}:{words}': ")
    assert line in str(caught.value)
    assert bool(caught.value.traceback) is traced
