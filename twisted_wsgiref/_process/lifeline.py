"""A worker's parent, watched by a thread: whatever the worker does, it does not live on without it.

Here live the thread, and the time that an orphan may go on. An orderly end may not live here: it is the worker's, while
its reactor turns.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from typing import Final

from twisted_wsgiref._threads.forks import drop, tell

from .out_of_the_way import copied
from .supervisor import CUT_SHORT, FAILED

# No parent is left to kill an orphan in the end, so port and process are gone within 6 seconds.
ORPHAN_GRACE: Final = 4.0
# An orderly end comes first; this much later, in seconds, it has not come.
_MARGIN: Final = 1.0
# Once the line is closed the parent is looked for this often, in seconds.
_LOOK: Final = 0.5


class Lifeline:
    """Ends this process at most `ORPHAN_GRACE` and a second after its parent, or at once if it does not serve yet.

    `sock` is the line to the parent, and is not read. `parent` is the pid of the process that started this one, of
    before that could end: asked for here, it may be another's already. Made in the main thread.
    """

    def __init__(self, sock: socket.socket, parent: int) -> None:
        self.serves = False
        self._descriptor = copied(sock.fileno())
        self._parent = parent
        tell(self)
        threading.Thread(target=self._run, name="parent", daemon=True).start()

    def forked(self, heir: bool) -> None:
        """Let go of the line, in a child that is a stranger's: the parent waits for its end."""
        if not heir:
            drop((self._descriptor,))

    # ---- The thread's own --------------------------------------------------------------------------------------

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLHUP)
        poll.poll()
        # The line ends with this process's reactor, too, and the rest of its end may still take a while.
        while os.getppid() == self._parent:
            time.sleep(_LOOK)
        if self.serves:
            time.sleep(ORPHAN_GRACE + _MARGIN)
        os._exit(CUT_SHORT if self.serves else FAILED)
