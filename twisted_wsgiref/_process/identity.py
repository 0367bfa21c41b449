"""The user and group that this process becomes once its endpoints are bound, without the rights of root.

Here live the way from names to numbers, and the three calls in the one order that works. Called in the main thread.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted_wsgiref.settings import SettingError

if TYPE_CHECKING:
    import pwd


@dataclass(frozen=True, slots=True)
class Identity:
    """A user by number, with its group, all groups, and its variables of the environment."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    environ: tuple[tuple[str, str], ...] = ()

    def take(self) -> None:
        """Become this user. Groups come first and the user last: after that no group could be changed any more.

        Raises `SettingError` if the system refuses, or if we could become root again.
        """
        if self.is_current():
            return
        try:
            os.setgroups(self.groups)
            os.setgid(self.gid)
            os.setuid(self.uid)
        except OSError as error:
            raise SettingError(f"can not become {self.uid}:{self.gid}, user and group: {error.strerror}") from None
        if self.uid and _can_be_root():
            raise SettingError(f"became the user {self.uid}, but could be root again")
        os.environ.update(self.environ)

    def is_current(self) -> bool:
        """Return whether this process is that user already."""
        return {os.getuid(), os.geteuid()} == {self.uid} and {os.getgid(), os.getegid()} == {self.gid}


def _can_be_root() -> bool:
    try:
        os.setuid(0)
    except OSError:
        return False
    return True


def identity_of(user: str, group: str, *, root: bool) -> Identity | None:
    """Return the identity of `user` and `group`, each a name, a number or "" for no change; None if both are "".

    Raises `SettingError` for an unknown name, and for any change if we are not `root`.
    """
    if not user and not group:
        return None
    uid, gid, groups, environ = os.getuid(), os.getgid(), list[int](), list[tuple[str, str]]()
    if user:
        entry = _user(user)
        uid = int(user) if entry is None else entry.pw_uid
        if entry is not None:
            gid = entry.pw_gid
            environ = [("HOME", entry.pw_dir), ("USER", entry.pw_name), ("LOGNAME", entry.pw_name)]
        elif not group:
            raise SettingError.of("{user} is {!r}: a number that no user has, so {group} has to be given too", user)
    if group:
        gid = _group(group)
    groups = os.getgrouplist(environ[1][1], gid) if environ and not group else [gid]
    found = Identity(uid, gid, tuple(groups), tuple(environ))
    if not root and not found.is_current():
        named = "user" if user else "group"
        raise SettingError.of("{" + named + "} is {!r}: only root can become somebody else", user or group)
    return found


def _user(name: str) -> pwd.struct_passwd | None:
    # Late, as below: Windows has neither, and this module is imported there.
    import pwd

    try:
        return pwd.getpwnam(name)
    except KeyError:
        pass
    if not name.isascii() or not name.isdigit():
        raise SettingError.of("{user} is {!r}: there is no such user", name)
    try:
        return pwd.getpwuid(int(name))
    except (KeyError, OverflowError):
        return None


def _group(name: str) -> int:
    import grp

    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        pass
    if not name.isascii() or not name.isdigit():
        raise SettingError.of("{group} is {!r}: there is no such group", name)
    return int(name)
