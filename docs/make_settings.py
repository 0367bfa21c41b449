"""Writes docs/settings.md from `twisted_wsgiref.settings`: the knobs, their defaults, and the reasons in its comments.

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

from twisted_wsgiref.settings import KIB, MIB, Settings, knobs

PAGE = Path(__file__).with_name("settings.md")
_BANNER = re.compile(r"    # ---- (.+?) -+$")
_KNOB = re.compile(r"    (\w+): .* = _knob\(")

_HEAD = """\
# Settings

<!-- Made by docs/make_settings.py from twisted_wsgiref/settings.py. Change that, and run it. -->

Each is an option of `twistd wsgiref`, `twist wsgiref` and `python -m twisted_wsgiref`, and a field of
`twisted_wsgiref.settings.Settings`, with `_` for `-`. Sizes are in octets and take `k`, `m` and `g`; times are in
seconds and may be fractions. What makes no sense is refused at the start, in one line that names the setting.

Beside these the command line has `--app`, `--listen` (repeatable) and `--port`, which say what is served and where.
"""
_TABLE = "| option | default | what it is | why this default |\n| --- | --- | --- | --- |\n"


class Reason(NamedTuple):
    """Where a knob stands in the file, and what the comment above it says."""

    section: str
    text: str


def reasons() -> Iterator[tuple[str, Reason]]:
    """Yield each knob's name and its `Reason`, in the order of the file."""
    section, comment = "", []
    for line in inspect.getsource(Settings).splitlines():
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
    if unit == "octets" and isinstance(value, int):
        for factor, letter in ((KIB * MIB, "g"), (MIB, "m"), (KIB, "k")):
            if value and value % factor == 0:
                return f"`{value // factor}{letter}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def page() -> str:
    """Return the page. Raises `LookupError` for a knob that the comments' reader has not found."""
    found = dict(reasons())
    missing = knobs().keys() - found.keys()
    if missing:
        raise LookupError(f"not found in the source of Settings: {', '.join(sorted(missing))}")
    parts, section = [_HEAD], ""
    for name, knob in knobs().items():
        reason = found[name]
        if reason.section != section:
            section = reason.section
            parts.append(
                f"\n## {section}\n\n| option | default | what it is | why this default |\n| --- | --- | --- | --- |\n"
            )
        option = f"`--{name.replace('_', '-')}`"
        default = written(getattr(Settings(), name), knob.unit)
        cells = (option, f"{default} {knob.unit}".rstrip(), knob.text, reason.text)
        parts.append(f"| {' | '.join(cell.replace('*', chr(92) + '*') for cell in cells)} |\n")
    return "".join(parts)


def main(words: list[str]) -> int:
    """Write or check the page; return the exit status."""
    if "--check" in words:
        current = PAGE.read_text(encoding="utf-8") == page()
        if not current:
            print(f"{PAGE} is not current: run python docs/make_settings.py", file=sys.stderr)
        return 0 if current else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
