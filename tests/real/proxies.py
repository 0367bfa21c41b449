"""nginx and HAProxy as child processes, with the configurations of docs/deploying.md; and a client in front of them.

What lives here: blocks out of the page, ports, processes. What may not: what is asked, and what has to come of it.
The services of the machine are never touched: each process is started here, in the foreground, on ports of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any

from .children import COMMANDS, PATIENCE, ROOT, Child, Process, environment, started
from .wires import Answer

PAGE = ROOT / "docs" / "deploying.md"
# All of 127.0.0.0/8 is this machine: so client and proxy have addresses that can be told apart.
CLIENT = "127.0.0.2"
APP = "tests.real.proxied_app:app"

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def find_program(name: str) -> str | None:
    """Return where the program is; Debian has these in a directory that users do not search."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def page_block(language: str, title: str) -> str:
    """Return the one block of docs/deploying.md in this language whose first line is the comment `title`."""
    found = [
        code for kind, code in _BLOCK.findall(PAGE.read_text("utf-8")) if (kind, title) == (language, _first(code))
    ]
    if len(found) != 1:
        raise LookupError(f"docs/deploying.md has {len(found)} {language} blocks that begin with '# {title}'")
    return found[0]


def _first(code: str) -> str:
    return code.partition("\n")[0].lstrip("# ")


def filled(text: str, places: Mapping[str, str]) -> str:
    """Return `text` with each of the page's ports and paths replaced by the test's; each has to be there."""
    for written, here in places.items():
        if written not in text:
            raise LookupError(f"docs/deploying.md no longer says {written!r}")
        text = text.replace(written, here)
    return text


@contextlib.contextmanager
def instance(folder: Path, *words: str, ends_with: int = 0) -> Iterator[Child]:
    """Serve the application on endpoints that `words` name; in the end it is told to stop, and its status looked at."""
    command = [*COMMANDS["python -m"], *words, APP]
    with started(command, folder, environment(GATE=str(folder / "gate"))) as child:
        child.wait_for(re.compile(r"serving \S+ on "))
        yield child
        status = child.end() if child.process.returncode is None else child.process.returncode
    if status != ends_with or "Traceback" in child.said:
        raise RuntimeError(f"status {status}\n{child.said}")


@contextlib.contextmanager
def proxy(words: Sequence[str], folder: Path, port: int) -> Iterator[Process]:
    """Run a proxy in the foreground; yields once `port` takes connections. It is gone afterwards."""
    with Process(words, folder, dict(os.environ), output=folder / "proxy.log") as process:
        end = time.monotonic() + PATIENCE
        while not _takes_connections(port):
            status = process.process.poll()
            if status is not None or time.monotonic() > end:
                raise RuntimeError(f"{words[0]} does not listen, status {status}:\n{process.look()}")
            time.sleep(0.02)
        yield process
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.end(patience=5)


def _takes_connections(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def nginx(folder: Path, port: int, servers: str) -> Iterator[Process]:
    """Run nginx with `servers` as what Debian includes from /etc/nginx/conf.d."""
    temporary = "\n".join(
        f"    {kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path = folder / "nginx.conf"
    # One process: nothing is left of it when it is killed, and it stays the user who can reach the folder.
    path.write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log stderr info;\n"
        f"events {{}}\nhttp {{\n    access_log off;\n{temporary}\n{servers}}}\n"
    )
    program = find_program("nginx") or "nginx"
    with proxy([program, "-e", "stderr", "-p", str(folder), "-c", str(path)], folder, port) as process:
        yield process


@contextlib.contextmanager
def haproxy(folder: Path, port: int, text: str) -> Iterator[Process]:
    """Run HAProxy with the configuration `text`."""
    path = folder / "haproxy.cfg"
    path.write_text(text)
    with proxy([find_program("haproxy") or "haproxy", "-db", "-f", str(path)], folder, port) as process:
        yield process


@contextlib.contextmanager
def connected(port: int, certificate: Path | None = None) -> Iterator[HTTPConnection]:
    """Return a connection from `CLIENT` to the proxy; under TLS if there is a certificate to be believed."""
    if certificate is None:
        made = HTTPConnection("127.0.0.1", port, timeout=PATIENCE, source_address=(CLIENT, 0))
    else:
        context = ssl.create_default_context(cafile=str(certificate))
        made = HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, source_address=(CLIENT, 0), context=context)
    with contextlib.closing(made):
        yield made


def ask(
    connection: HTTPConnection,
    path: str,
    method: str = "GET",
    fields: Mapping[str, str] | None = None,
    body: bytes | Iterable[bytes] | None = None,
) -> Answer:
    """Send a request, and read its answer to the end."""
    connection.request(method, path, body, dict(fields or {}))
    answer = connection.getresponse()
    return Answer(answer.status, answer.headers, answer.read())


def told(connection: HTTPConnection, path: str = "/", fields: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the environ that the application tells of."""
    answer = ask(connection, path, fields=fields)
    if answer.status != 200:
        raise RuntimeError(f"{answer.status} {answer.body!r}")
    return json.loads(answer.body)


def open_sockets(pid: int) -> int:
    """Return how many sockets the process has."""
    count = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            count += str(each.readlink()).startswith("socket:")
    return count
