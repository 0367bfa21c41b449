"""Handlers that run one WSGI application for one request, over streams or in a CGI process.

Here live the handlers that know the source of their streams and environment; they share ``BaseHandler``
(``_wsgiref.base_handler``). Nothing here opens a socket or knows of Twisted. The one thread that calls ``run`` calls
every method.
"""

from __future__ import annotations

import sys
import warnings
from typing import IO, TYPE_CHECKING

from ._wsgiref.base_handler import BaseHandler, format_date_time
from ._wsgiref.cgi_environ import read_environ

# Programs import these from here, too.
from .headers import Headers as Headers  # noqa: PLC0414
from .util import FileWrapper as FileWrapper  # noqa: PLC0414
from .util import guess_scheme as guess_scheme  # noqa: PLC0414
from .util import is_hop_by_hop as is_hop_by_hop  # noqa: PLC0414

if TYPE_CHECKING:
    from io import BufferedIOBase

    from .types import ErrorStream, InputStream, WSGIEnvironment

__all__ = [
    "BaseCGIHandler",
    "BaseHandler",
    "CGIHandler",
    "IISCGIHandler",
    "SimpleHandler",
    "format_date_time",
    "read_environ",
]


class SimpleHandler(BaseHandler):
    """A handler over given streams and a given environment, for HTTP origin servers.

    *stdin* and *stderr* become ``wsgi.input`` and ``wsgi.errors``. *stdout* is a binary stream with
    ``write``, which should take each chunk whole as ``io.BufferedIOBase`` does, and ``flush``.
    """

    def __init__(
        self,
        stdin: InputStream,
        stdout: IO[bytes] | BufferedIOBase,
        stderr: ErrorStream,
        environ: WSGIEnvironment,
        multithread: bool = True,
        multiprocess: bool = False,
    ) -> None:
        self.environ = self.base_env = environ
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self.wsgi_multithread, self.wsgi_multiprocess = multithread, multiprocess

    def add_cgi_vars(self) -> None:
        self.environ.update(self.base_env)

    def get_stdin(self) -> InputStream:
        return self.stdin

    def get_stderr(self) -> ErrorStream:
        return self.stderr

    def _write(self, data: bytes) -> None:
        taken = self.stdout.write(data)
        # A stream that does not count the bytes returns None.
        if taken is None or taken == len(data):
            return
        warnings.warn(
            "stdout took only a part of a block, and gets the rest in another call: wrap it in io.BufferedWriter",
            DeprecationWarning,
            stacklevel=2,
        )
        while taken is not None and len(data := data[taken:]) > 0:
            taken = self.stdout.write(data)

    def _flush(self) -> None:
        self.stdout.flush()


class BaseCGIHandler(SimpleHandler):
    """As ``SimpleHandler``, for gateway protocols that want the status in a ``Status:`` header."""

    origin_server = False


class _ProcessHandler(BaseCGIHandler):
    """One request a process, over the process's own streams and environment."""

    wsgi_run_once = True
    os_environ: dict[str, str] = {}  # the environment comes through the constructor

    def __init__(self) -> None:
        super().__init__(
            sys.stdin.buffer,
            sys.stdout.buffer,
            sys.stderr,
            self._read_environ(),
            multithread=False,
            multiprocess=True,
        )

    def _read_environ(self) -> dict[str, str]:
        return read_environ()


class CGIHandler(_ProcessHandler):
    """Runs an application as a CGI script: ``CGIHandler().run(app)``."""


class IISCGIHandler(_ProcessHandler):
    """As ``CGIHandler``, for IIS, which puts SCRIPT_NAME in front of PATH_INFO once more."""

    def _read_environ(self) -> dict[str, str]:
        environ = read_environ()
        script = environ.get("SCRIPT_NAME", "")
        path = environ.get("PATH_INFO", "")
        # "/app" is in front of "/app/x" and of "/app", not of "/apple".
        if f"{path}/".startswith(f"{script}/"):
            environ["PATH_INFO"] = path[len(script) :]
        return environ
