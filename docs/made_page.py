"""How a page that a script beside this one makes is written, or checked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def keep(page: Path, text: str, words: Sequence[str]) -> int:
    """Write `text` as `page`, or with ``--check`` see that it is that already; return the exit status.

    `words` are those of the command line, the script's own path first.
    """
    if "--check" not in words:
        page.write_text(text, encoding="utf-8")
        return 0
    current = page.read_text(encoding="utf-8") == text
    if not current:
        print(f"{page} is not current: run python docs/{Path(words[0]).name}", file=sys.stderr)
    return 0 if current else 1
