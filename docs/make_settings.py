"""Writes docs/settings.md from `twisted_wsgiref.settings`: the settings, their defaults, and the reasons.

python docs/make_settings.py           writes the page
python docs/make_settings.py --check   ends with status 1 if the page is not current
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from made_page import keep

from twisted_wsgiref import settings
from twisted_wsgiref._process.extras import EXTRAS
from twisted_wsgiref._settings.knobs import KIB, MIB
from twisted_wsgiref.settings import Settings, knobs

PAGE = Path(__file__).with_name("settings.md")
_BANNER = re.compile(r"    # ---- (.+?) -+$")
_KNOB = re.compile(r"    (\w+): .* = _knob\(")

_HEAD = """\
# Settings

<!-- Made by docs/make_settings.py from twisted_wsgiref/settings.py. Change that, and run it. -->

Each setting is an option of `twistd wsgiref`, `twist wsgiref` and `python -m twisted_wsgiref`. Each setting but those
of the first table is also a field of `twisted_wsgiref.settings.Settings`, with `_` for `-`. An embedded `WSGIService`
ignores `access_log`, `switch_interval` and every setting under "Processes": these are for a process of ours. Sizes
are in bytes, and take `k`, `m` and `g`. Times are in seconds, may be fractions, and are at most 31 days. The server
refuses a value that makes no sense at the start, in one line that names the setting and the source of the value.

## Where a setting may be given

The server looks in these places, and takes the first value that it finds:

1. the command line: `--max-body 10m`; a setting that is on or off is `--stream-input` or `--no-stream-input`;
2. a variable of the environment: `TWISTED_WSGIREF_MAX_BODY=10m`, with `yes` or `no` for a setting that is on or off;
3. a variable that other servers and platforms use by habit: `WEB_CONCURRENCY` for `workers`, `PORT` for `port` (every
   interface), `FORWARDED_ALLOW_IPS` for `trusted_proxy`;
4. a TOML file, which `--config FILE` or `TWISTED_WSGIREF_CONFIG` names: `max_body = "10m"` (`-` may stand for `_`);
   in a `pyproject.toml`, its table `[tool.twisted_wsgiref]`;
5. the default.

```toml
app = "shop.wsgi:application"
listen = ["tcp:8000:interface=127.0.0.1", "unix:/run/shop/http.sock:mode=660"]
workers = "auto"
max_body = "10m"            # or the number of bytes
keep_alive = 30             # or 30.5
stream_input = true
trusted_proxy = ["127.0.0.1", "unix"]
```

`--check-config` prints each setting in effect on a line, with its source, and ends with status 0. If it finds a
mistake, it prints one line and ends with status 1. It does not import the application. A name that is no setting, in
the file or after `TWISTED_WSGIREF_`, is a mistake as well. `--listen` and `--port` count as one setting: if the
command line has either, those of the environment and the file do not count. Paths in a file are relative to the
directory in which the server is started.

## What is served, where, and as whom

| setting | meaning |
| --- | --- |
"""
_TABLE = "| option | default | meaning | reason for the default |\n| --- | --- | --- | --- |\n"


class Reason(NamedTuple):
    """Where a knob stands in the file, and what the comment above it says."""

    section: str
    text: str


def reasons() -> Iterator[tuple[str, Reason]]:
    """Yield each knob's name and its `Reason`, in the order of the file."""
    section, comment = "", []
    for line in inspect.getsource(settings).partition("class Settings:")[2].splitlines():
        if banner := _BANNER.match(line):
            section, comment = banner[1], []
        elif line.startswith("    # "):
            comment.append(line.removeprefix("    # "))
        elif knob := _KNOB.match(line):
            yield knob[1], Reason(section, " ".join(comment))
            comment = []


def written(value: object, unit: str) -> str:
    """Return a default as a person would type it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if value in ("", ()):
        return "none"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    if unit in ("bytes", "octets") and isinstance(value, int):
        for factor, letter in ((KIB * MIB, "g"), (MIB, "m"), (KIB, "k")):
            if value and value % factor == 0:
                return f"`{value // factor}{letter}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def option(name: str) -> str:
    """Return the option that gives the setting `name`."""
    return f"--{name.replace('_', '-')}"


def cell(text: str) -> str:
    """Return `text` as a cell of a table."""
    return text.replace("*", "\\*")


def page() -> str:
    """Return the page. Raises `LookupError` for a knob that the comments' reader has not found."""
    found = dict(reasons())
    missing = knobs().keys() - found.keys()
    if missing:
        raise LookupError(f"not found in the source of Settings: {', '.join(sorted(missing))}")
    parts, section = [_HEAD, *(f"| `{option(name)}` | {cell(EXTRAS[name].text)} |\n" for name in EXTRAS)], ""
    for name, knob in knobs().items():
        reason = found[name]
        if reason.section != section:
            section = reason.section
            parts.append(f"\n## {section}\n\n{_TABLE}")
        default = written(getattr(Settings(), name), knob.unit)
        if name == "access_log":
            default += "; `off` for a daemon"  # the command line decides that
        cells = (f"`{option(name)}`", default, knob.text, reason.text)
        parts.append(f"| {' | '.join(cell(each) for each in cells)} |\n")
    return "".join(parts)


if __name__ == "__main__":
    sys.exit(keep(PAGE, page(), sys.argv))
