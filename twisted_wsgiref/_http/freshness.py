"""The time for which a client may use a file without asking again: rules by the file's name. RFC 9111, section 5.2.2.

Without a rule a client asks each time, and gets a 304 if it has the file already: then a cache can do nothing wrong.
Only the person who names the files knows which of them never change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

#: The word for names that have a hash of the content in them.
HASHED: Final = "hashed"
#: Ask each time before using a kept file. RFC 9111, section 5.2.2.4.
ASK: Final = "no-cache"

# As Django's ManifestStaticFilesStorage names files: app.55e7cbb9ba48.css. A time of 12 digits is no hash; one hash in
# 280 looks like that, and is asked for again.
_HASHED_NAME: Final = re.compile(r".+\.(?=[0-9]*[a-f])[0-9a-f]{12}(?:\.[^./]*)?")
# RFC 9111, section 1.2.2: a client that can not count further takes this for ever.
_MOST: Final = 2**31


class AgeRule(NamedTuple):
    """A client may use files whose names match `pattern` for so many `seconds`."""

    pattern: str
    seconds: int


def read_age_rule(word: str) -> AgeRule:
    """Return the rule in `word`: ``PATTERN=SECONDS``, ``hashed=SECONDS``, or ``SECONDS`` for every file.

    Raises `ValueError`, which names the mistake.
    """
    pattern, _, seconds = word.rpartition("=")
    if not seconds.isascii() or not seconds.isdigit():
        raise ValueError(f"{word!r} has to be PATTERN=SECONDS, as *.css=3600, hashed=SECONDS or SECONDS")
    return AgeRule(pattern or "*", min(int(seconds[:20]), _MOST))


def cache_control(rules: Iterable[AgeRule], path: str, private: bool = False) -> str:
    """Return the value of Cache-Control for the file at `path`, below the mount and without a slash before it.

    The first of `rules` that matches decides. ``*`` stands for any text, also over slashes, and ``?`` for one
    character; a pattern without a slash is for the last segment alone. With `private` it is for the client's own cache
    alone (RFC 9111, section 5.2.2.7).
    """
    name = path.rpartition("/")[2]
    for pattern, seconds in rules:
        if pattern == HASHED:
            matches = _HASHED_NAME.fullmatch(name) is not None
        else:
            matches = fnmatchcase(path if "/" in pattern else name, pattern)
        if matches:
            if not seconds:
                break
            whose = "private" if private else "public"
            return f"{whose}, max-age={seconds}{', immutable' if pattern == HASHED else ''}"
    return f"private, {ASK}" if private else ASK
