"""Asking a status site, for the command ``status``: where it is, and its numbers.

Here live the words for a place, one request over TCP, TLS or a UNIX socket, and the line of each mistake. How the
numbers are shown is `status_table`'s business. Nothing of Twisted: a terminal is not to wait for it. Called in the main
thread of a process of its own.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

from .status_table import Numbers, Request, Requests

# A site answers within 50 ms, and asks processes that hang for a second.
PATIENCE: Final = 5.0
# Of a page with the stacks of ten thousand threads.
_MOST: Final = 64 * 1024 * 1024


class NoStatus(Exception):
    """The site can not be asked; the text is the one line that says why."""


class Place(NamedTuple):
    """Where a site is: the `path` of a UNIX socket, or a `host` and a `port`; its pages are below `prefix`."""

    path: str
    host: str
    port: int
    secure: bool
    prefix: str

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}{self.prefix}"


def place_of(text: str) -> Place:
    """Return the place that `text` is: ``unix:PATH``, ``HOST:PORT``, a URL, or an endpoint. Raises `NoStatus`."""
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest:
        return Place(_unescaped(rest.split(":mode=")[0]), "", 0, False, "")
    wrong = NoStatus(f"{text!r} is no place of a status site: it has to be unix:PATH, HOST:PORT or http://HOST:PORT")
    if kind in ("tcp", "tcp6"):
        plain, *named = rest.replace("\\:", "\0").split(":")
        words = dict(word.partition("=")[::2] for word in [f"port={plain.removeprefix('port=')}", *named])
        host = words.get("interface", "").replace("\0", ":")
        text = f"{f'[{host}]' if ':' in host else host or 'localhost'}:{words['port']}"
    try:
        url = urlsplit(text if "://" in text else f"//{text}")
        port, host = url.port, url.hostname or ("localhost" if url.netloc.startswith(":") else "")
    except ValueError:
        raise wrong from None
    secure = url.scheme == "https"
    if url.scheme not in ("", "http", "https") or not host or (port is None and not url.scheme):
        raise wrong
    return Place("", host, port or (443 if secure else 80), secure, url.path.rstrip("/"))


def _unescaped(path: str) -> str:
    return path.removeprefix("address=").replace("\\:", ":").replace("\\\\", "\\")


class _UNIXConnection(HTTPConnection):
    """A connection to the UNIX socket at `path`."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path
        self._seconds = timeout

    def connect(self) -> None:
        """Connect. Raises `OSError`."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._seconds)
        self.sock.connect(self._path)


def _connect(place: Place) -> HTTPConnection:
    if place.path:
        return _UNIXConnection(place.path, PATIENCE)
    kind = HTTPSConnection if place.secure else HTTPConnection
    return kind(place.host, place.port, timeout=PATIENCE)


class StatusClient:
    """Asks the site at `place`, which may want a `token`; `connect` makes a connection to it."""

    def __init__(self, place: Place, token: str, connect: Callable[[Place], HTTPConnection] = _connect) -> None:
        self._place = place
        self._token = token
        self._connect = connect

    def numbers(self) -> Numbers:
        """Return the numbers of now. Raises `NoStatus`."""
        return cast(Numbers, self._asked("/status.json"))

    def requests(self) -> list[Request]:
        """Return the requests that run, the oldest first. Raises `NoStatus`."""
        return cast(Requests, self._asked("/requests"))["requests"]

    def _asked(self, path: str) -> object:
        fields = {"Accept": "application/json", "Connection": "close"}
        if self._token:
            fields["Authorization"] = f"Bearer {self._token}"
        try:
            connection = self._connect(self._place)
            try:
                connection.request("GET", self._place.prefix + path, headers=fields)
                answer = connection.getresponse()
                status, body = answer.status, answer.read(_MOST)
            finally:
                connection.close()
        except (OSError, HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise NoStatus(f"{self._place} can not be asked: {why}") from None
        if status == 401:
            what = "refuses this token" if self._token else "asks for a token"
            raise NoStatus(f"{self._place} {what}: --status-token TOKEN, or file:PATH")
        try:
            if status != 200:
                raise ValueError
            values: object = json.loads(body)
        except ValueError:
            raise NoStatus(f"{self._place} is no status site: {path} was answered with {status}") from None
        return values
