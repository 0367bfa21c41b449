"""Applications that run the reactor themselves, in a thread that their import starts."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from twisted.internet import reactor, task, threads

running: Any = reactor
KIND = os.environ["KIND"]
# How long an import waits for its thread: no longer than for any process.
PATIENCE = 30.0


def _run_later() -> None:
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.01)
    running.run(installSignalHandlers=False)


def _run_to_its_end() -> None:
    running.callWhenRunning(running.stop)
    running.run(installSignalHandlers=False)


TARGETS = {"thread": running.run, "late": _run_later, "ended": _run_to_its_end}

if KIND == "crochet":
    import crochet

    crochet.setup()
else:
    thread = threading.Thread(target=TARGETS[KIND], name="theirs", daemon=True)
    thread.start()
    if KIND == "ended":
        thread.join(PATIENCE)


def ask_the_reactor() -> str:
    found: str = threads.blockingCallFromThread(running, task.deferLater, running, 0.01, lambda: "the reactor answers")
    return found


# As a program does whose clients connect when it is imported.
AT_IMPORT = ask_the_reactor() if KIND in {"thread", "crochet"} else "nothing was asked"


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{ask_the_reactor()}, {AT_IMPORT}".encode()]
