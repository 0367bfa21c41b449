"""Is what is mounted looked at before anything is served, and is each mistake one line that names its mount?"""

from __future__ import annotations

from pathlib import Path

import pytest

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
        ("/a=mod:resource", "mount is '/a=mod:resource': only static:, redirect: and wsgi: can be mounted so far"),
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
