"""Hints for a word that names nothing here: another server's meaning of it, or the name that was misspelt.

Here lives the judgement how near two names are. The names are handed in. Called in the main thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .dictionary import translated

# Two letters of a word of four that changed places are 0.75; words that only share an ending begin differently.
_NEAR: Final = 0.75


def hint(word: str, names: Iterable[str]) -> str:
    """Return our counterpart of another server's `word`, or the question whether one of `names` was meant; or "".

    The answer writes names as `names` does.
    """
    meaning = translated(word if len(word) == 2 and word[0] == "-" else f"--{_bare(word)}")
    if meaning:
        return f": {meaning}"
    likely = max(names, key=lambda name: _likeness(word, name), default="")
    return f"; did you mean {likely}?" if likely and _likeness(word, likely) else ""


def _bare(word: str) -> str:
    return word.strip("-").lower().replace("_", "-")


def _likeness(word: str, name: str) -> float:
    """Return how likely `word` is a misspelt `name`; 0: not at all, since a part of it is another word."""
    mine, theirs = _bare(word).split("-"), _bare(name).split("-")
    if "".join(mine) == "".join(theirs):
        return 1.0
    if len(mine) != len(theirs):
        return 0.0
    # Late: only whoever mistypes needs it.
    from difflib import SequenceMatcher

    ratios = [
        SequenceMatcher(None, one, other).ratio() if one[:1] == other[:1] else 0.0
        for one, other in zip(mine, theirs, strict=True)
    ]
    return sum(ratios) / len(ratios) if min(ratios) >= _NEAR else 0.0
