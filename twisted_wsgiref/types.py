"""The shapes of PEP 3333 for static typing. Nothing here does anything at run time.

The names and their members are those of the standard library's ``wsgiref.types`` (Python 3.11).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Protocol, TypeAlias

__all__ = [
    "ErrorStream",
    "FileWrapper",
    "InputStream",
    "StartResponse",
    "WSGIApplication",
    "WSGIEnvironment",
]

_ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType]
_OptExcInfo: TypeAlias = _ExcInfo | tuple[None, None, None]


class StartResponse(Protocol):
    """The callable with which an application begins its answer. PEP 3333, "The start_response() Callable"."""

    def __call__(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: _OptExcInfo | None = ...,
        /,
    ) -> Callable[[bytes], object]:
        """Set status and headers; return the ``write`` callable."""


#: The environ of a request: a real ``dict``. PEP 3333, "environ Variables".
WSGIEnvironment: TypeAlias = dict[str, Any]

#: An application: takes an environ and a `StartResponse`, returns an iterable of blocks.
WSGIApplication: TypeAlias = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]


class InputStream(Protocol):
    """``wsgi.input``. PEP 3333, "Input and Error Streams"."""

    def read(self, size: int = ..., /) -> bytes:
        """Return at most `size` bytes of the body, without `size` all that are left."""

    def readline(self, size: int = ..., /) -> bytes:
        """Return one line, or its first `size` bytes."""

    def readlines(self, hint: int = ..., /) -> list[bytes]:
        """Return the lines that are left, or about `hint` bytes of them."""

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the lines."""


class ErrorStream(Protocol):
    """``wsgi.errors``. PEP 3333, "Input and Error Streams"."""

    def flush(self) -> object:
        """Send everything that was written to the log."""

    def write(self, s: str, /) -> object:
        """Write text."""

    def writelines(self, seq: list[str], /) -> object:
        """Write several texts."""


class _Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes:
        """Return at most `size` bytes."""

    # An optional method, close(), is called when there is one.


class FileWrapper(Protocol):
    """``wsgi.file_wrapper``. PEP 3333, "Optional Platform-Specific File Handling"."""

    def __call__(self, file: _Readable, block_size: int = ..., /) -> Iterable[bytes]:
        """Return an iterable over the rest of `file`."""
