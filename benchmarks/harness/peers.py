"""The servers that are compared: what to install, and how each is started with one process and four threads.

Data only. A command is one line with {placeholders}: {bin} is the environment's directory of commands,
{port}, {path} (of a UNIX socket), {app} (module:name), {dotted} (module.name), {cert}, {key}, and {listen}, {log},
{processes}, which the variant decides. All other settings are the server's defaults, unless its note says otherwise.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

OURS = "twisted_wsgiref"


@dataclass(frozen=True)
class Variant:
    """How a workload wants its server.

    `closing` says that each connection is for one request, `front` that an nginx with its default upstream passes the
    requests on, and `unix` that it does so by a UNIX socket.
    """

    tls: bool = False
    access_log: bool = False
    processes: int = 1
    closing: bool = False
    front: bool = False
    unix: bool = False


PLAIN = Variant()


@dataclass(frozen=True)
class Server:
    """One server. Where a field is None, the server can not do it, and is left out of the workloads that ask for it."""

    name: str
    requirement: str  # for pip; empty: comes with the checkout or with Python
    command: str
    listen: str = ""
    listen_tls: str | None = None
    listen_unix: str | None = None
    listen_closing: str = ""  # empty: as `listen`
    log_off: str = ""
    log_on: str | None = None
    processes: str | None = None
    needs_word: str = ""  # `processes` only where this word is in the help text of `help`
    help: str = ""
    note: str = ""

    def without_processes(self) -> Server:
        """Return the same server, of a version that can not do several processes."""
        return replace(self, processes=None)

    def can(self, variant: Variant) -> bool:
        """Return whether the server can be started so."""
        return not (
            (variant.tls and self.listen_tls is None)
            or (variant.unix and self.listen_unix is None)
            or (variant.access_log and self.log_on is None)
            or (variant.processes > 1 and self.processes is None)
        )

    def words(self, variant: Variant, application: str, port: int, places: dict[str, Path]) -> list[str]:
        """Return the command's words; `places` holds bin, cert and key, and path if the variant asks for it."""
        given = {name: shlex.quote(str(path)) for name, path in places.items()}
        given |= {"port": str(port), "app": application, "dotted": application.replace(":", "."), "threads": "4"}
        parts = {
            "listen": self._listen(variant),
            "log": (self.log_on or "") if variant.access_log else self.log_off,
            "processes": (self.processes or "").replace("{n}", str(variant.processes)) if variant.processes > 1 else "",
        }
        line = self.command
        for name, part in parts.items():
            line = line.replace(f"{{{name}}}", part)
        return shlex.split(line.format_map(given))

    def _listen(self, variant: Variant) -> str:
        if variant.unix:
            return self.listen_unix or ""
        if variant.tls:
            return self.listen_tls or ""
        return (self.listen_closing if variant.closing else "") or self.listen


def _gunicorn(name: str, parser: str) -> Server:
    return Server(
        name=name,
        requirement="gunicorn[fast]",
        command=(
            f"{{bin}}/gunicorn --worker-class gthread --threads {{threads}} --http-parser {parser} --no-control-socket "
            "--log-level warning {listen} {log} {processes} {app}"
        ),
        listen="--bind 127.0.0.1:{port}",
        listen_tls="--bind 127.0.0.1:{port} --certfile {cert} --keyfile {key}",
        listen_unix="--bind unix:{path}",
        log_on="--access-logfile -",
        processes="--workers {n}",
        note=f"gthread, --http-parser {parser}",
    )


SERVERS: tuple[Server, ...] = (
    Server(
        name=OURS,
        requirement="",
        command="{bin}/python -m twisted_wsgiref {listen} --threads {threads} {log} {processes} {app}",
        listen="--listen tcp:{port}:interface=127.0.0.1",
        listen_tls="--listen tcp:{port}:interface=127.0.0.1 --tls-cert {cert} --tls-key {key}",
        listen_unix="--listen unix:{path}",
        log_off="--access-log off",
        log_on="--access-log -",
        processes="--workers {n}",
        needs_word="--workers",
        help="{bin}/python -m twisted_wsgiref --help",
    ),
    Server(
        name="granian",
        requirement="granian",
        command=(
            "{bin}/granian --interface wsgi --blocking-threads {threads} --log-level warning {listen} {log} "
            "{processes} {app}"
        ),
        listen="--host 127.0.0.1 --port {port}",
        listen_tls="--host 127.0.0.1 --port {port} --ssl-certificate {cert} --ssl-keyfile {key}",
        listen_unix="--uds {path}",
        # The access log is written at level info.
        log_on="--access-log --log-level info",
        processes="--workers {n}",
    ),
    Server(
        name="uwsgi",
        requirement="pyuwsgi",
        command=("{bin}/uwsgi {listen} --wsgi {app} --threads {threads} --need-app --die-on-term {log} {processes}"),
        listen="--http11-socket 127.0.0.1:{port}",
        listen_closing="--http-socket 127.0.0.1:{port}",
        listen_unix="--http-socket {path}",
        log_off="--disable-logging",
        log_on="",
        processes="--master --processes {n}",
        note="a thread belongs to its connection while that is open; new connections: --http-socket, since "
        "--http11-socket ignores Connection: close",
    ),
    _gunicorn("gunicorn", "python"),
    _gunicorn("gunicorn[fast]", "fast"),
    Server(
        name="waitress",
        requirement="waitress",
        command=("{bin}/waitress-serve {listen} --threads={threads} --connection-limit=1000 {app}"),
        listen="--listen=127.0.0.1:{port}",
        listen_unix="--unix-socket={path}",
        note="connection limit raised from 100, for the 256 connections",
    ),
    Server(
        name="cheroot",
        requirement="cheroot",
        command="{bin}/cheroot {listen} --threads {threads} --max-threads {threads} {app}",
        listen="--bind 127.0.0.1:{port}",
    ),
    Server(
        name="bjoern",
        requirement="bjoern-binary",
        command="{bin}/python -m benchmarks.harness.bjoern_server {listen} {app}",
        listen="127.0.0.1:{port}",
        listen_unix="unix:{path}",
        note="C; one thread, which runs the application too",
    ),
    Server(
        name="fastwsgi",
        requirement="fastwsgi",
        command="{bin}/fastwsgi --host 127.0.0.1 --port {port} --loglevel 0 {app}",
        note="C; one thread, which runs the application too",
    ),
    Server(
        name="twisted.web",
        requirement="",
        command="{bin}/twistd --nodaemon --pidfile= {log} web --notracebacks --wsgi={dotted} {listen}",
        listen="--listen=tcp:{port}:interface=127.0.0.1",
        listen_tls="--listen=ssl:{port}:interface=127.0.0.1:privateKey={key}:certKey={cert}",
        # An observer that drops everything. Never --logfile=/dev/null: twistd renames any log of 1 MB, devices too.
        log_off="--logger=twisted.logger.LogPublisher",
        log_on="",
        note="the reactor's own threads, up to 10; the access log is always made, and dropped where it is off",
    ),
    Server(
        name="wsgiref",
        requirement="",
        command="{bin}/python -m benchmarks.harness.stdlib_server {port} {app} {log}",
        log_off="off",
        log_on="on",
        note="one thread, one request at a time, no keep-alive",
    ),
)
