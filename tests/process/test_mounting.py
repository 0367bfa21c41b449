"""Is what is mounted looked at before anything is served, and is each mistake one line that names its mount?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import request, serving
from twisted_wsgiref._process.loading import LoadError
from twisted_wsgiref._process.mounting import check_modules, check_mounts, load, load_mounts
from twisted_wsgiref.settings import SettingError
from twisted_wsgiref.simple_server import demo_app

DEMO = "twisted_wsgiref.simple_server:demo_app"


def test_what_is_mounted_is_what_a_service_takes(tmp_path: Path) -> None:
    mounts = [f"/static=static:{tmp_path}", "/b/=wsgi:" + DEMO, "/=redirect:/b"]
    check_mounts(mounts)
    served = load(DEMO, mounts)
    assert served.application is demo_app
    assert served.mounts == {"/static": f"static:{tmp_path}", "/b/": demo_app, "/": "redirect:307:/b"}


@pytest.mark.parametrize(
    ("mount", "line"),
    [
        ("/a=static:{tmp}/no", "mount is '/a=static:{tmp}/no': there is no directory {tmp}/no"),
        ("/a=static:{tmp}/file", "mount is '/a=static:{tmp}/file': there is no directory {tmp}/file"),
        ("/a=internal:static:/", "mount is '/a=internal:static:/': internal: can not be mounted so far"),
    ],
)
def test_what_is_not_there_is_refused(tmp_path: Path, mount: str, line: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SettingError) as caught:
        check_mounts([mount.format(tmp=tmp_path)])
    assert str(caught.value) == line.format(tmp=tmp_path)


def test_a_second_application_that_is_none_names_its_mount(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"mount '/a=wsgi:nowhere_\w+:app': there is no module nowhere_at_all"):
        load_mounts(["/a=wsgi:nowhere_at_all:app"], str(tmp_path))
    with pytest.raises(LoadError, match=r"mount '/a=wsgi:nowhere_\w+:app': there is no module nowhere_at_all"):
        check_modules(DEMO, ["/a=wsgi:nowhere_at_all:app"], str(tmp_path))
    check_modules(DEMO, [f"/a=wsgi:{DEMO}", "/b=redirect:/c"], str(tmp_path))


TREE = """
from twisted.web.resource import Resource
from twisted.web.static import Data

made = []
page = Data(b"page", "text/plain")
number = 5

def make():
    made.append(1)
    return Data(b"made", "text/plain")

class Tree(Resource):
    isLeaf = True

    def render_GET(self, request):
        return b"a class"

def makes_none():
    return 5
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "tree_of_a_test.py").write_text(TREE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("tree_of_a_test", None)


@pytest.mark.filterwarnings("ignore:twisted.web.resource._Unsafe")
def test_a_resource_is_mounted_by_its_name_or_made_with_its_first_request(tree: Path) -> None:
    words = ("page", "make", "Tree", "make()", "makes_none")
    mounts = load_mounts([f"/{word}=tree_of_a_test:{word}" for word in words], str(tree))
    made: list[int] = sys.modules["tree_of_a_test"].made
    assert made == [1]  # by the parentheses
    with serving(demo_app, service={"mounts": mounts}) as server:
        assert made == [1]
        client = server.connect()
        for word in words:
            client.send(request(f"/{word}")).send(request(f"/{word}"))
        server.settle()
        bodies = [answer.body for answer in client.answers()]
        assert bodies[:8] == [b"page"] * 2 + [b"made"] * 2 + [b"a class"] * 2 + [b"made"] * 2
        assert [answer.status for answer in client.answers()][8:] == [500] * 2
        assert "tree_of_a_test:makes_none returned 5" in server.logged()
        assert made == [1, 1]


def test_what_is_no_resource_names_its_mount(tree: Path) -> None:
    with pytest.raises(LoadError, match=r"mount '/a=tree_of_a_test:number': .*it has to be a resource"):
        load_mounts(["/a=tree_of_a_test:number"], str(tree))
    with pytest.raises(LoadError, match="mount '/a=nowhere_at_all:page': there is no module"):
        check_modules(DEMO, ["/a=nowhere_at_all:page"], str(tree))
