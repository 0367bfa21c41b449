"""Is it said clearly who a process can not become, and are strangers' ends waited for without taking anybody's own?"""

from __future__ import annotations

import grp
import os
import pwd

import pytest

from twisted_wsgiref._process import identity
from twisted_wsgiref._process.identity import Identity, identity_of
from twisted_wsgiref._process.orphans import reap_strangers
from twisted_wsgiref._process.watching import is_watched
from twisted_wsgiref.settings import SettingError

ME = pwd.getpwuid(os.getuid())
OTHER = next(each for each in pwd.getpwall() if each.pw_uid not in (0, os.getuid()))


def test_nobody_named_is_no_change() -> None:
    assert identity_of("", "", root=False) is None


def test_a_user_brings_its_groups_and_its_home() -> None:
    found = identity_of(OTHER.pw_name, "", root=True)
    assert found is not None
    assert (found.uid, found.gid) == (OTHER.pw_uid, OTHER.pw_gid)
    assert OTHER.pw_gid in found.groups
    assert dict(found.environ)["HOME"] == OTHER.pw_dir
    assert identity_of(str(OTHER.pw_uid), "", root=True) == found


def test_a_group_may_be_another() -> None:
    other = next(each for each in grp.getgrall() if each.gr_gid != OTHER.pw_gid)
    found = identity_of(OTHER.pw_name, other.gr_name, root=True)
    assert found is not None
    assert (found.uid, found.gid) == (OTHER.pw_uid, other.gr_gid)
    assert OTHER.pw_gid not in found.groups
    alone = identity_of("", str(other.gr_gid), root=True)
    assert alone == Identity(os.getuid(), other.gr_gid, (other.gr_gid,))


def test_a_group_that_is_named_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getgrouplist", lambda user, gid: [gid, 4, 999])
    other = next(each for each in grp.getgrall() if each.gr_gid != OTHER.pw_gid)
    named, unnamed = (identity_of(OTHER.pw_name, group, root=True) for group in (other.gr_name, ""))
    assert named is not None
    assert unnamed is not None
    assert named.groups == (other.gr_gid,)
    assert unnamed.groups == (OTHER.pw_gid, 4, 999)


def test_a_number_that_no_user_has_needs_a_group() -> None:
    assert identity_of("54321", "54322", root=True) == Identity(54321, 54322, (54322,))


@pytest.mark.parametrize(
    ("user", "group", "root", "line"),
    [
        ("no-such", "", True, "user is 'no-such': there is no such user"),
        ("", "no-such", True, "group is 'no-such': there is no such group"),
        ("54321", "", True, "user is '54321': a number that no user has, so group has to be given too"),
        ("-1", "", True, "user is '-1': there is no such user"),
        (OTHER.pw_name, "", False, f"user is {OTHER.pw_name!r}: only root can become somebody else"),
        ("", "54322", False, "group is '54322': only root can become somebody else"),
    ],
)
def test_who_can_not_be_become_is_one_line(user: str, group: str, root: bool, line: str) -> None:
    with pytest.raises(SettingError) as caught:
        identity_of(user, group, root=root)
    assert str(caught.value) == line


def test_who_is_that_already_needs_no_root() -> None:
    found = identity_of(ME.pw_name, str(os.getgid()), root=False)
    assert found is not None
    found.take()


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the system was asked for, in order; it lets nobody be root, and nothing happens."""
    calls: list[object] = []

    def call(name: str, value: object) -> None:
        calls.append((name, value))
        if (name, value) == ("setuid", 0):
            raise PermissionError(1, "Operation not permitted")

    for name in ("setgroups", "setgid", "setuid"):
        monkeypatch.setattr(identity.os, name, lambda value, name=name: call(name, value))
    return calls


def test_the_user_goes_last_and_then_root_is_tried(done: list[object]) -> None:
    Identity(54321, 54322, (54322, 7)).take()
    assert done == [("setgroups", (54322, 7)), ("setgid", 54322), ("setuid", 54321), ("setuid", 0)]


def test_whoever_could_be_root_again_does_not_start(done: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity.os, "setuid", lambda value: None)
    with pytest.raises(SettingError, match="became the user 54321, but could be root again"):
        Identity(54321, 54322, ()).take()


def test_a_system_that_refuses_is_one_line(done: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match=r"^can not become 0:54322, user and group: Operation not permitted$"):
        Identity(0, 54322, ()).take()


# ---- As the first process of a container -----------------------------------------------------------------------------


def ended_child(status: int) -> int:
    """The pid of a child that has ended, and that nobody has waited for."""
    pid = os.posix_spawn("/bin/sh", ["/bin/sh", "-c", f"exit {status}"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def test_strangers_are_waited_for() -> None:
    pids = {ended_child(0), ended_child(3)}
    assert set(reap_strangers(lambda pid: pid not in pids)) == pids
    for pid in pids:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def test_whoever_is_known_is_left_to_who_knows_it() -> None:
    pid = ended_child(3)
    assert reap_strangers(lambda each: each == pid) == []
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


@pytest.mark.parametrize(
    ("name", "include", "counts"),
    [
        ("views.py", [], True),
        ("views.pyc", [], False),
        ("page.html", [], False),
        ("page.html", ["*.html", "*.css"], True),
        ("py", [], False),
    ],
)
def test_which_files_are_watched(name: str, include: list[str], counts: bool) -> None:
    assert is_watched(name, include) is counts
