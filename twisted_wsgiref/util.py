"""Small tools for environs: a request's URI, the rest of its path, an environ to test with, files as answers.

Every function takes an environ as PEP 3333 describes it. Nothing here belongs to a server's inner rooms. Any thread may
call anything here.
"""

from __future__ import annotations

import warnings
from io import BytesIO, StringIO
from posixpath import normpath
from typing import TYPE_CHECKING, Final, Protocol, cast
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable

    from .types import WSGIEnvironment

__all__ = [
    "FileWrapper",
    "application_uri",
    "guess_scheme",
    "is_hop_by_hop",
    "request_uri",
    "setup_testing_defaults",
    "shift_path_info",
]

# RFC 2616, section 13.5.1, to which PEP 3333 refers.
_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


class _Readable(Protocol):
    """A file-like object. `close`, `seek` and `tell` are looked for, and need not be there."""

    def read(self, size: int, /) -> bytes: ...


class FileWrapper:
    """A file-like object as an iterable of blocks of `blksize` bytes; the first empty block ends it.

    ``close`` is there if the file-like object has one, and calls it. PEP 3333, "Optional Platform-Specific File
    Handling". So are ``seekable``, ``seek`` and ``tell``, which Werkzeug uses to answer with a range of a file, and
    ``app_iter_range``, which WebOb uses. Without them both read the file from its start.
    """

    #: The most bytes that are still to come, those of a range; None for the whole file.
    remaining: int | None = None

    def __init__(self, filelike: _Readable, blksize: int = 8192) -> None:
        self.filelike = filelike
        self.blksize = blksize
        close = getattr(filelike, "close", None)
        if close is not None:
            self.close = close

    def __getattr__(self, name: str) -> Callable[..., object]:
        # Python calls this for a missing attribute only, so a wrapper that nobody seeks in costs no more to make.
        if name in ("seekable", "seek", "tell"):
            return cast("Callable[..., object]", getattr(self.filelike, name))
        if name == "app_iter_range" and hasattr(self.filelike, "seek"):
            return self._range
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __getitem__(self, key: int) -> bytes:
        """Return the next block, whatever `key` is: the old sequence protocol. Raises `IndexError` at the end."""
        warnings.warn(
            "FileWrapper is no sequence: iterate over it instead of indexing",
            DeprecationWarning,
            stacklevel=2,
        )
        for block in self:
            return block
        raise IndexError(key)

    def __iter__(self) -> FileWrapper:
        return self

    def __next__(self) -> bytes:
        if self.remaining is None:
            block = self.filelike.read(self.blksize)
        elif not self.remaining:
            raise StopIteration
        else:
            block = self.filelike.read(min(self.blksize, self.remaining))
            self.remaining -= len(block)
        if not block:
            self.remaining = 0  # the end is the end, also of a file that grows
            raise StopIteration
        return block

    def _range(self, start: int, stop: int | None) -> FileWrapper:
        """Return a wrapper of the bytes from `start` to before `stop`, counted from the file's position."""
        self.seek(cast(int, self.tell()) + start)
        part = type(self)(self.filelike, self.blksize)
        if stop is not None:
            part.remaining = stop - start
        return part


def guess_scheme(environ: WSGIEnvironment) -> str:
    """Return "https" if the variable HTTPS is one of "yes", "on" and "1", else "http"."""
    return "https" if environ.get("HTTPS") in ("yes", "on", "1") else "http"


def application_uri(environ: WSGIEnvironment) -> str:
    """Return the URI under which the application is mounted. PEP 3333, "URL Reconstruction".

    The path is quoted as its latin-1 bytes; an empty one gives a slash.
    """
    scheme = environ["wsgi.url_scheme"]
    host = environ.get("HTTP_HOST")
    if not host:
        host = environ["SERVER_NAME"]
        if environ["SERVER_PORT"] != _DEFAULT_PORTS.get(scheme, "80"):
            host += f":{environ['SERVER_PORT']}"
    return f"{scheme}://{host}{_quote_path(environ.get('SCRIPT_NAME') or '/')}"


def request_uri(environ: WSGIEnvironment, include_query: bool = True) -> str:
    """Return the URI of the request, with its query unless told not to. PEP 3333, "URL Reconstruction"."""
    uri = application_uri(environ)
    path = quote(environ.get("PATH_INFO", ""), safe="/;=,", encoding="latin-1")
    # Without a SCRIPT_NAME the application's URI ends with the slash that starts the path.
    uri += path if environ.get("SCRIPT_NAME") else path.removeprefix("/")
    if include_query and environ.get("QUERY_STRING"):
        uri += f"?{environ['QUERY_STRING']}"
    return uri


def _quote_path(path: str) -> str:
    return quote(path, encoding="latin-1")


def shift_path_info(environ: WSGIEnvironment) -> str | None:
    """Take the first name off PATH_INFO, put it at the end of SCRIPT_NAME and return it; None if there is none.

    It skips empty segments and ".". A path that is only a slash gives "", and its slash goes to the end of SCRIPT_NAME,
    so that ``/x/`` and ``/x`` stay different. It changes `environ`. Raises `ValueError` for a PATH_INFO that does not
    start with a slash ("*" of ``OPTIONS *``): it has no first name (RFC 3875, section 4.1.5).
    """
    path = environ.get("PATH_INFO", "")
    if not path:
        return None
    if not path.startswith("/"):
        raise ValueError(f"PATH_INFO has to be empty or start with a slash, not {path!r}")
    *inner, last = path.split("/")[1:]
    inner = [segment for segment in inner if segment not in ("", ".")]
    name, *left = [*inner, last]
    script = normpath(f"{environ.get('SCRIPT_NAME', '')}/{name}").removesuffix("/")
    # normpath drops the slash of an empty last segment, which has to stay.
    environ["SCRIPT_NAME"] = script if name else script.rstrip("/") + "/"
    environ["PATH_INFO"] = "".join(f"/{segment}" for segment in left)
    return None if name == "." else name


def setup_testing_defaults(environ: WSGIEnvironment) -> None:
    """Add the keys that PEP 3333 requires to `environ`, for tests; keys that are there already stay.

    Not for servers: all values are made up.
    """
    put = environ.setdefault
    put("SERVER_NAME", "127.0.0.1")
    put("SERVER_PROTOCOL", "HTTP/1.0")
    put("HTTP_HOST", environ["SERVER_NAME"])
    put("REQUEST_METHOD", "GET")
    if "SCRIPT_NAME" not in environ and "PATH_INFO" not in environ:
        put("SCRIPT_NAME", "")
        put("PATH_INFO", "/")
    put("wsgi.version", (1, 0))
    put("wsgi.run_once", 0)
    put("wsgi.multithread", 0)
    put("wsgi.multiprocess", 0)
    put("wsgi.input", BytesIO())
    put("wsgi.errors", StringIO())
    put("wsgi.url_scheme", guess_scheme(environ))
    put("SERVER_PORT", _DEFAULT_PORTS.get(environ["wsgi.url_scheme"], "80"))


def is_hop_by_hop(header_name: str) -> bool:
    """Return whether `header_name`, in any case, is for one connection only: RFC 2616, section 13.5.1."""
    return header_name.lower() in _HOP_BY_HOP
