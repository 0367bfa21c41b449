"""The words of a mount, ``/prefix=SPEC``: read, and refused with a line that says what they have to be.

Nothing is imported here, and no file is looked at; whoever makes a target of a spec does that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from twisted_wsgiref._http.mounts import check_alone, read_prefix

_MODULE: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_REDIRECT: Final = re.compile(r"(?:(30[12378]):)?((?:https?://[^/?#\s]+|/(?!/))[!-~]*|/)")
_KINDS: Final = "static:DIR, redirect:URL, status:, wsgi:MOD:APP, MOD:RESOURCE or internal:SPEC"


@dataclass(frozen=True, slots=True)
class StaticSpec:
    """The files below `directory`, an absolute path."""

    directory: str

    def __str__(self) -> str:
        return f"static:{self.directory}"


@dataclass(frozen=True, slots=True)
class RedirectSpec:
    """Another `url`: the path below the prefix, and the query, are added to it."""

    url: str
    # A browser repeats the request as it was, and asks here again the next time: a mistake is not for ever.
    status: int = 307

    def __str__(self) -> str:
        return f"redirect:{self.status}:{self.url}"


@dataclass(frozen=True, slots=True)
class WSGISpec:
    """A second application, which `words` name as ``mod:app``."""

    words: str

    def __str__(self) -> str:
        return f"wsgi:{self.words}"


@dataclass(frozen=True, slots=True)
class ResourceSpec:
    """An `IResource`, or what makes one, which `words` name as ``mod:resource``."""

    words: str

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True, slots=True)
class StatusSpec:
    """The status site."""

    def __str__(self) -> str:
        return "status:"


@dataclass(frozen=True, slots=True)
class InternalSpec:
    """Any of the others, for answers of the application alone."""

    spec: StaticSpec | RedirectSpec | WSGISpec | ResourceSpec | StatusSpec

    def __str__(self) -> str:
        return f"internal:{self.spec}"


Spec = StaticSpec | RedirectSpec | WSGISpec | ResourceSpec | StatusSpec | InternalSpec


def read_spec(text: str) -> Spec:
    """Return what `text` says. Raises `ValueError`, which says what it has to be.

    A directory is relative to the current one, as it is now.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind == "internal":
        spec = read_spec(rest)
        if isinstance(spec, InternalSpec):
            raise ValueError("internal: is there twice")
        return InternalSpec(spec)
    if colon and kind == "static":
        if not rest or "\0" in rest:
            raise ValueError("after static: comes a directory, as static:/srv/static")
        return StaticSpec(os.path.abspath(rest))
    if colon and kind == "redirect":
        found = _REDIRECT.fullmatch(rest)
        if found is None:
            raise ValueError(
                "after redirect: comes a URL with http:// or https://, or a path, and before it perhaps "
                "301:, 302:, 303:, 307: or 308:"
            )
        return RedirectSpec(found[2], int(found[1] or 307))
    if colon and kind == "status":
        if rest:
            raise ValueError("nothing comes after status:")
        return StatusSpec()
    if colon and kind == "wsgi":
        if _MODULE.fullmatch(rest.partition(":")[0]) is None:
            raise ValueError("after wsgi: comes an application, as wsgi:mod:app")
        return WSGISpec(rest)
    if not colon or rest.startswith("//") or _MODULE.fullmatch(kind) is None:
        hint = "; a directory is static:DIR" if "/" in kind or os.sep in kind else ""
        hint = "; a URL is redirect:URL" if rest.startswith("//") else hint
        raise ValueError(f"it has to be {_KINDS}{hint}")
    return ResourceSpec(text)


def read_mount(text: str) -> tuple[str, Spec]:
    """Return the prefix, as `read_prefix` does, and the spec that ``/prefix=SPEC`` says. Raises `ValueError`."""
    written, sign, spec = text.partition("=")
    if not sign:
        raise ValueError(f"it has to be /prefix=SPEC, and SPEC {_KINDS}")
    try:
        prefix = read_prefix(written)
    except ValueError as error:
        raise ValueError(f"the prefix {written!r}: {error}") from None
    try:
        return prefix, read_spec(spec)
    except ValueError as error:
        raise ValueError(f"what is mounted, {spec!r}: {error}") from None


def read_mounts(texts: Iterable[str]) -> dict[str, Spec]:
    """Return what each prefix of `texts` says. Raises `ValueError`, also for a prefix that is there twice."""
    pairs = [read_mount(text) for text in texts]
    check_alone(prefix for prefix, _ in pairs)
    return dict(pairs)
