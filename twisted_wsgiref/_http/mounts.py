"""The mount that a path belongs to: prefixes, longest first, and paths that have two meanings.

A prefix covers itself and all below it: ``/static`` the paths ``/static`` and ``/static/a``, and not ``/staticx``. Both
are compared decoded, as PATH_INFO has them, so ``/%73tatic%2Fa`` is below ``/static``, too.

Some paths can be read in two ways: with ``//``, and with a segment ``.`` or ``..``. nginx resolves them before it
chooses a location; here they stay as they are, since an application gets them as they were sent. So such a path is
looked up in both ways. If both find the same mount, the request goes there with its path as it is, and the target there
judges it. If not, it is refused. So no path can avoid a mount (``//admin``), nor reach one that it does not name
(``/static/../admin``), whatever a proxy in front of us or an application behind us makes of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from .errors import ProtocolError

T = TypeVar("T")
_TWO_WAYS = re.compile(r"//|/\.\.?(?:/|\Z)")


def read_prefix(text: str) -> str:
    """Return the prefix that a person writes as `text`, without a slash at its end: ``/`` is the empty text.

    Its bytes are latin-1, as in PATH_INFO. Raises `ValueError`, which names the mistake.
    """
    if not text.startswith("/"):
        raise ValueError("it has to start with a slash, as /static")
    if "%" in text:
        raise ValueError("it has to be written decoded, without %")
    if any(character < " " or character in "?#\x7f" for character in text):
        raise ValueError("a path has no ?, no # and no control character")
    if _TWO_WAYS.search(text):
        raise ValueError("it has to have no empty segment, no . and no ..")
    return text.removesuffix("/").encode("utf-8", "surrogateescape").decode("latin-1")


class MountTable(Generic[T]):
    """The mounted targets, by their prefixes as `read_prefix` returns them. Immutable."""

    __slots__ = ("_by_prefix", "_prefixes")

    def __init__(self, mounts: Mapping[str, T]) -> None:
        self._by_prefix = dict(mounts)
        #: Each with the slash that ends its first kind of match, longest first.
        self._prefixes = sorted(((prefix, f"{prefix}/") for prefix in mounts), key=lambda pair: -len(pair[0]))

    def __iter__(self) -> Iterator[T]:
        return iter(self._by_prefix.values())

    def choose(self, path: str) -> tuple[T, str] | None:
        """Return the target that is mounted at `path`, decoded, and its prefix; None for the application.

        Raises `ProtocolError` (400) for a path that means one mount and names another, or none.
        """
        prefix = self._find(path)
        if ("//" in path or "/." in path) and self._find(resolve(path)) != prefix:
            raise ProtocolError(400, "the path means another mount than it names, by //, . or ..")
        return None if prefix is None else (self._by_prefix[prefix], prefix)

    def _find(self, path: str) -> str | None:
        for prefix, below in self._prefixes:
            if path.startswith(below) or path == prefix:
                # The path of ``OPTIONS *`` is empty: that asks for the server, and for nothing at a path.
                return prefix if path else None
        return None


def resolve(path: str) -> str:
    """Return `path` without empty segments, ``.`` and ``..``, as RFC 3986, section 5.2.4, removes the dots."""
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    below = "/" if kept and segments[-1] in ("", ".", "..") else ""
    return f"/{'/'.join(kept)}{below}"


def check_alone(prefixes: Iterable[str]) -> None:
    """Raise `ValueError` if one of `prefixes`, as `read_prefix` returns them, is there twice."""
    seen: set[str] = set()
    for prefix in prefixes:
        if prefix in seen:
            raise ValueError(f"{prefix or '/'} is mounted twice")
        seen.add(prefix)
