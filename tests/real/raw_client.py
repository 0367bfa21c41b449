"""An HTTP client that sends bytes as they are given and reads answers strictly, saying how each one ended.

What lives here: one socket, one answer. What may not: any idea of what a server should do. Every call has a timeout.
Shared by the tests of this folder and by `benchmarks`.
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Any

from .secure_client import connect

#: How the body of an answer ended.
LENGTH = "by its length"
CHUNKED = "by its last chunk"
CLOSE = "by the end of the connection"
NONE = "at once"
CUT = "cut short"
RESET = "reset"


class NotHTTP(Exception):
    """What came is not an answer; the text shows its beginning."""


@dataclass
class Answer:
    """One answer. ``ended`` is one of the words above; ``early`` are the 1xx that came before."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes = b""
    ended: str = NONE
    early: list[Answer] = field(default_factory=list)
    head: bytes = b""

    @property
    def interim(self) -> list[int]:
        """The statuses of the 1xx that came before."""
        return [each.status for each in self.early]

    @property
    def whole(self) -> bool:
        """Whether the client can take the body for complete."""
        return self.ended not in (CUT, RESET)

    def get(self, name: str) -> str | None:
        """Return the values of the field `name`, joined; None without it."""
        values = [value for key, value in self.fields if key == name.lower()]
        return ", ".join(values) if values else None


class Client:
    """One connection to `where`: a port of the loopback interface, or the path of a UNIX socket. For a ``with``.

    To a `SecurePort` it speaks TLS. Raises `OSError`.
    """

    def __init__(self, where: int | str, timeout: float = 3.0, receive_buffer: int = 0) -> None:
        self.timeout = timeout
        self._buffer = b""
        self._early: list[Answer] = []  # before the answer that is awaited
        self.closed = False  # the server has closed its half
        self.was_reset = False
        self._sock: Any = connect(where, timeout, receive_buffer)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def send(self, octets: bytes) -> bool:
        """Send `octets`; return whether the other side took them."""
        try:
            self._sock.sendall(octets)
        except OSError:
            return False
        return True

    def start_tls(self, context: ssl.SSLContext, name: str = "localhost") -> str | None:
        """Go on within TLS; return the protocol that was agreed on by ALPN. Raises `OSError`."""
        self._sock = secure = context.wrap_socket(self._sock, server_hostname=name)
        return secure.selected_alpn_protocol()

    def half_close(self) -> None:
        """Send no more, but read on."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def reset(self) -> None:
        """Leave by a reset."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._sock.close()

    def is_closed(self, timeout: float) -> bool:
        """Return whether the server closes within `timeout` seconds; what else it sends is kept."""
        end = time.monotonic() + timeout
        while not self.closed and self._read_more(end):
            pass
        return self.closed

    def read_answer(self, method: str = "GET", timeout: float | None = None) -> Answer | None:
        """Return the next answer; None where none came, or its head was not complete, within the timeout.

        Raises `NotHTTP`. A body that does not end within the timeout is `CUT`.
        """
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            while b"\r\n\r\n" not in self._buffer:
                if not self._read_more(end):
                    if self._buffer and self.closed and not self._buffer.startswith(b"HTTP/"):
                        raise NotHTTP(repr(self._buffer[:80]))
                    return None
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            answer = _parse_head(head)
            if answer.status >= 200:
                answer.early, self._early = self._early, []
                self._read_body(answer, method, end)
                return answer
            self._early.append(answer)

    def next_status(self, timeout: float) -> int | None:
        """Return the status that is read next, 1xx among them; None where none comes within the timeout."""
        end = time.monotonic() + timeout
        while b"\r\n\r\n" not in self._buffer:
            if not self._read_more(end):
                return None
        return _parse_head(self._buffer.partition(b"\r\n\r\n")[0]).status

    def rest(self) -> bytes:
        """Return what came and is not read yet."""
        return self._buffer

    def _read_body(self, answer: Answer, method: str, end: float) -> None:
        if method == "HEAD" or answer.status in (204, 304):
            return
        coding, length = answer.get("transfer-encoding"), answer.get("content-length")
        if coding is not None:
            self._read_chunks(answer, end)
        elif length is not None:
            answer.ended = LENGTH if self._need(int(length), end) else self._cut()
            answer.body, self._buffer = self._buffer[: int(length)], self._buffer[int(length) :]
        else:
            while self._read_more(end):
                pass
            answer.ended = CLOSE if self.closed and not self.was_reset else self._cut()
            answer.body, self._buffer = self._buffer, b""

    def _read_chunks(self, answer: Answer, end: float) -> None:
        parts: list[bytes] = []
        while True:
            while b"\r\n" not in self._buffer:
                if not self._read_more(end):
                    answer.ended, answer.body = self._cut(), b"".join(parts)
                    return
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError:
                raise NotHTTP(f"the size of a chunk is {line[:40]!r}") from None
            whole = self._need(size + 2, end)
            parts.append(self._buffer[:size])
            if not whole or size == 0:
                self._buffer = self._buffer[size + 2 :]
                answer.ended, answer.body = CHUNKED if whole else self._cut(), b"".join(parts)
                return
            if self._buffer[size : size + 2] != b"\r\n":
                raise NotHTTP("a chunk is longer than its size")
            self._buffer = self._buffer[size + 2 :]

    def _cut(self) -> str:
        return RESET if self.was_reset else CUT

    def _need(self, octets: int, end: float) -> bool:
        parts, have = [self._buffer], len(self._buffer)
        while have < octets:
            self._buffer = b""
            if not self._read_more(end):
                break
            parts.append(self._buffer)
            have += len(self._buffer)
        self._buffer = b"".join(parts) if len(parts) > 1 else parts[0]
        return have >= octets

    def _read_more(self, end: float) -> bool:
        """Return whether something came before `end`."""
        remaining = end - time.monotonic()
        if self.closed or remaining <= 0:
            return False
        self._sock.settimeout(remaining)
        try:
            data = self._sock.recv(262144)
        except TimeoutError:
            return False
        except OSError:
            self.closed = self.was_reset = True
            return False
        finally:
            self._sock.settimeout(self.timeout)
        self._buffer += data
        self.closed = not data
        return bool(data)


def _parse_head(head: bytes) -> Answer:
    line, *lines = head.decode("latin-1").split("\r\n")
    words = line.split(" ", 2)
    if not line.startswith("HTTP/1.") or len(words) < 2 or not words[1].isdigit():
        raise NotHTTP(repr(line[:80]))
    pairs = []
    for each in lines:
        name, colon, value = each.partition(":")
        if not colon:
            raise NotHTTP(f"the field line {each[:80]!r}")
        pairs.append((name.lower(), value.strip()))
    return Answer(int(words[1]), pairs, head=head)


def ask(where: int | str, octets: bytes, method: str = "GET", timeout: float = 3.0) -> Answer | None:
    """Return the answer to `octets` on a connection of their own; None without one. Raises `NotHTTP`."""
    try:
        with Client(where, timeout) as client:
            client.send(octets)
            return client.read_answer(method)
    except OSError:
        return None


def request(path: str, method: str = "GET", lines: str = "", body: bytes = b"", version: str = "1.1") -> bytes:
    """Return a request; `lines` are field lines, each with its line end."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/{version}\r\nHost: localhost\r\n{lines}{length}\r\n".encode("latin-1") + body
