"""The title that a process shows to whoever lists processes, if `setproctitle` is installed, which is an extra.

Here live the words. Which process has which is its own business. Called in the main thread.
"""

from __future__ import annotations

from typing import Final

# Every title begins like that, so that the commands know a process of ours by it.
BEGINNING: Final = "twisted-wsgiref: "
#: Of processes that take no commands: those are their parent's.
PARTS: Final = (f"{BEGINNING}worker ", f"{BEGINNING}fork server ")
MISSING: Final = "--name is ignored, since it needs setproctitle: pip install 'twisted-wsgiref[name]'"


def title(name: str, role: str) -> str:
    """Return the title of the process with this `role`, such as ``parent`` or ``worker 3``, of a server `name`."""
    return f"{BEGINNING}{role} [{name}]"


def take_title(name: str, role: str, *, tells: bool = False) -> None:
    """Give this process its title, if the server has a `name`. If it `tells`, the log has a line if that can not be."""
    if not name:
        return
    try:
        import setproctitle
    except ImportError:
        if tells:
            # Late: the commands, which know a process by its title, do without Twisted.
            from twisted.logger import Logger

            Logger().warn("{line}", line=MISSING)
    else:
        setproctitle.setproctitle(title(name, role))
