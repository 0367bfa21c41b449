"""UNIX sockets that every user of this machine can connect to: asked of their files. In the reactor's thread."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from twisted.internet.interfaces import IListeningPort


def open_proxies(ports: Iterable[IListeningPort], trusted_proxy: Iterable[str]) -> str:
    """Return the line that warns of UNIX sockets of `ports` by which every user of this machine is a trusted proxy.

    "" if `trusted_proxy` trusts no UNIX peer, or only some users can connect.
    """
    if not {"unix", "*"} & set(trusted_proxy):
        return ""
    paths = ", ".join(path for path in map(_path_for_all, ports) if path)
    if not paths:
        return ""
    return (
        f"every user of this machine can connect to {paths} and is a trusted proxy there, which may pretend to be any "
        "client: keep others out by the mode of the socket, as in unix:PATH:mode=660, or by its directory's"
    )


def _path_for_all(port: IListeningPort) -> str:
    """Return the path of the UNIX socket `port` if any user may connect to it, else ""."""
    name = getattr(port.getHost(), "name", None)
    if not name:
        return ""
    path = os.fsdecode(name)
    if path.startswith("\0"):
        return f"@{path[1:]}"  # as systemd and ss write what has neither a place nor a mode
    full = os.path.abspath(path)
    try:
        if not os.stat(full).st_mode & stat.S_IWOTH:
            return ""
        while full != (full := os.path.dirname(full)):
            if not os.stat(full).st_mode & stat.S_IXOTH:
                return ""
    except OSError:
        return ""  # removed meanwhile, or not to be seen
    return path
