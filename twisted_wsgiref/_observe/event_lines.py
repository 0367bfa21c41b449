"""An event of Twisted's log as the lines that a process of ours writes: text for people, or an object of JSON.

What an application has written itself, to ``wsgi.errors`` or to an output that Twisted redirects, goes out as it is:
without a time and a name in front of it, and whatever the least level is. In JSON a line that is an object already
passes, and any other text becomes the message of one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Final, cast

from twisted.logger import LogEvent, formatEvent, formatEventAsClassicLogText
from twisted.python.failure import Failure

from .current import current_request_id

#: The words for levels, from the least on. These are Twisted's.
LEVELS: Final = ("debug", "info", "warn", "error", "critical")
# Whose events are what an application has written.
_SAID: Final = frozenset({"wsgi.errors", "stdout", "stderr"})
#: Facts of a request in an event, and the names that they have in the access log, too.
_FACTS: Final = {
    "method": "http.request.method",
    "path": "url.path",
    "client": "client.address",
    "request_id": "request_id",
    "thread": "thread.name",
}

#: Gives the lines of an event, with their ends; None or "" for none.
Format = Callable[[LogEvent], "str | None"]


def said(event: Mapping[str, object]) -> str | None:
    """Return the text that an application has written, if `event` is that, without the end of its last line."""
    if event.get("log_namespace") not in _SAID or "log_failure" in event:
        return None
    text = event.get("text", event.get("log_io"))
    return text if isinstance(text, str) else None


def level_of(event: Mapping[str, object]) -> str:
    """Return the level of `event` as one of `LEVELS`; an old event has none, and is ``info`` or ``error``."""
    name = getattr(event.get("log_level"), "name", None)
    if name in LEVELS:
        return cast(str, name)
    return "error" if event.get("isError") else "info"


def at_least(level: str, lines: Format) -> Format:
    """Return `lines` for events of `level` and above, and for all that an application has written."""
    allowed = frozenset(LEVELS[LEVELS.index(level) :])

    def some(event: LogEvent) -> str | None:
        return lines(event) if level_of(event) in allowed or said(event) is not None else None

    return some


def as_text(begin: str = "") -> Format:
    """Return a format for people, whose lines begin with `begin`."""

    def lines(event: LogEvent) -> str | None:
        text = said(event)
        if text is not None:
            return f"{text}\n"
        classic = formatEventAsClassicLogText(event)
        ident = event.get("request_id")
        if classic and ident:
            classic = classic.replace("\n", f" [request {ident}]\n", 1)
        # Of a traceback every line, since other workers may write between two of them.
        return classic and "".join(f"{begin}{line}" for line in classic.splitlines(keepends=True))

    return lines


def as_json(number: int | None = None) -> Format:
    """Return a format with an object a line, for the worker of `number`; None for a process that is none."""

    def lines(event: LogEvent) -> str | None:
        text = said(event)
        if text is None:
            return f"{json.dumps(_object(event, formatEvent(event), number))}\n"
        parts = text.split("\n")
        if any(map(_is_object, parts)):
            return "".join(
                f"{each}\n" if _is_object(each) else f"{json.dumps(_object(event, each, number))}\n" for each in parts
            )
        return f"{json.dumps(_object(event, text, number))}\n"

    return lines


def _is_object(line: str) -> bool:
    if not (line.startswith("{") and line.rstrip().endswith("}")):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _object(event: Mapping[str, object], message: str, number: int | None) -> dict[str, object]:
    found = event.get("log_time")
    now = found if isinstance(found, int | float) else time.time()
    told: dict[str, object] = {
        "timestamp": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03}Z",
        "level": level_of(event),
        "logger": str(event.get("log_namespace") or "-"),
        "message": message,
        "process.pid": os.getpid(),
    }
    if number is not None:
        told["worker"] = number
    for name, key in _FACTS.items():
        value = event.get(name)
        if isinstance(value, str) and value:
            told[key] = value
    told.setdefault("request_id", current_request_id())
    if not told["request_id"]:
        del told["request_id"]
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        told |= _exception(failure)
    return told


def _exception(failure: Failure) -> dict[str, object]:
    """Return what is told of an exception, by OpenTelemetry's names; its text may raise whatever its class does."""
    told: dict[str, object] = {"exception.type": getattr(failure.type, "__qualname__", str(failure.type))}
    try:
        told["exception.message"] = failure.getErrorMessage()
        told["exception.stacktrace"] = failure.getTraceback().rstrip()
    except Exception as error:
        told["exception.stacktrace"] = f"the traceback can not be told: {type(error).__name__}"
    return told
