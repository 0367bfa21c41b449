"""Every knob of the server, its default, and the reason for it: one frozen value.

The command line (`_process.words`), the environment and a configuration file (`_process.sources`) read these
fields, so that a knob exists everywhere or nowhere. `Settings` stops at the service: lower rooms take plain values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Final, TypeVar

from ._settings.checks import check
from ._settings.knobs import (
    KIB,
    LARGEST,
    LONGEST,
    MIB,
    Knob,
    Value,
    one_of,
    parse_lines,
    parse_number,
    parse_pattern,
    parse_seconds,
    parse_size,
    parse_truth,
    parse_umask,
    parse_words,
    parse_workers,
    shown,
)
from ._settings.setting_error import SettingError

__all__ = ["SettingError", "Settings", "from_words", "knobs"]

# What their shared memory has room for is more; no machine has use for these.
MOST_WORKERS = 512
# As many stacks are 80 GB of addresses; systems stop at a third of it by default.
MOST_THREADS = 10_000


_T = TypeVar("_T", bound=Value)


def _knob(
    default: _T, text: str, parse: Callable[[str], _T], unit: str = "", *, least: float = 0, most: float | None = None
) -> _T:
    """Return a field of `Settings`; the type of its `default` is the type of its values."""
    if most is None:
        most = LONGEST if isinstance(default, float) else LARGEST
    return field(default=default, metadata={"knob": Knob(text, parse, unit, least, most)})


@dataclass(frozen=True, slots=True)
class Settings:
    """How a service behaves. Immutable; `dataclasses.replace` makes a variant.

    Raises `SettingError` if a value makes no sense. Durations are in seconds, sizes in bytes. 0 means "no limit" only
    if the text says so.
    """

    __module__ = "twisted_wsgiref"

    # ---- Threads -----------------------------------------------------------------------------------------------
    # waitress starts 4, gunicorn's gthread 1, cheroot 10. Applications wait for databases, so one is too few. Each
    # costs a stack and, often, a connection, and many that compute only add switching. 4 is good for both.
    threads: int = _knob(
        4, "threads that run the application and are always there", parse_number, least=1, most=MOST_THREADS
    )
    # 0 keeps the number fixed: you can then plan memory and database connections.
    threads_max: int = _knob(
        0, "most threads, while there is work for them; 0: as many as --threads", parse_number, most=MOST_THREADS
    )
    # A thread costs its stack and, often, a database connection, so an unneeded one should not stay for long.
    threads_idle: float = _knob(
        30.0, "seconds without work after which a thread beyond --threads ends", parse_seconds, "seconds"
    )
    # At 4 threads and 50 ms a request this is 13 seconds of work, more than most clients wait.
    queue: int = _knob(
        1024, "requests that may wait for a thread; the server answers 503 to any more", parse_number, least=1
    )
    # Browsers and proxies wait 30 to 60 seconds; an answer later than that has no reader.
    queue_age: float = _knob(
        30.0,
        "seconds that a request may wait for a thread; then the server answers 503",
        parse_seconds,
        "seconds",
        least=0.1,
    )

    # ---- Limits on requests ------------------------------------------------------------------------------------
    # Apache's 8190, nginx's 8 KiB, gunicorn's 4094.
    max_request_line: int = _knob(
        8190, "bytes that a request line may have; the server answers 414 to a longer one", parse_size, "bytes", least=1
    )
    # Apache's and gunicorn's 8190, nginx's 8 KiB.
    max_field: int = _knob(
        8190, "bytes that a header field may have; the server answers 431 to a longer one", parse_size, "bytes", least=1
    )
    # nginx: 4 buffers of 8 KiB. The largest heads in practice are cookies, about 16 KiB.
    max_head: int = _knob(
        32 * KIB,
        "bytes that a request line and its header fields may have together; the server answers 431 to more",
        parse_size,
        "bytes",
        least=1,
    )
    # gunicorn's and Apache's 100; browsers send about 20.
    max_fields: int = _knob(
        100, "header fields that a request may have; the server answers 431 to more", parse_number, least=1
    )
    # A size takes at most 16 digits, and in practice nobody sends extensions.
    max_chunk_line: int = _knob(
        256,
        "bytes that the line with a chunk's size may have; the server answers 400 to a longer one",
        parse_size,
        "bytes",
        least=1,
    )
    # As much as one header field: trailers are rare, and the server drops them.
    max_trailers: int = _knob(
        8190, "bytes that the trailers of a chunked body may have; the server answers 431 to more", parse_size, "bytes"
    )
    # waitress takes 1 GiB, gunicorn any size, nginx 1 MiB. Uploads are common, but a full disk is bad.
    max_body: int = _knob(
        1024 * MIB, "bytes that a request body may have; the server answers 413 to a larger one", parse_size, "bytes"
    )
    # Most forms and API calls fit; 1,000 bodies at once take at most 256 MiB.
    body_memory: int = _knob(
        256 * KIB,
        "bytes up to which a request body stays in memory; a larger one goes to a temporary file",
        parse_size,
        "bytes",
        least=1,
    )
    # A hundred times as many as waitress's; one costs a few KiB. The usual limit on descriptors is 1024 or far more.
    max_connections: int = _knob(
        10000,
        "connections at the same time; one more closes the one that has been idle for longest",
        parse_number,
        least=1,
    )
    # One read: a body of 64 KiB, as clients like to send, together with its head. Less than 64 KiB is read as 64 KiB.
    max_pipelined: int = _knob(
        96 * KIB,
        "bytes that the server keeps of later requests of a connection while it answers one",
        parse_size,
        "bytes",
    )

    # ---- Deadlines ---------------------------------------------------------------------------------------------
    # Apache's RequestReadTimeout is 20 to 40, nginx's client_header_timeout 60; a phone on a bad line needs 5.
    head_timeout: float = _knob(
        20.0, "seconds in which all of a request head has to arrive", parse_seconds, "seconds", least=0.1
    )
    # Above 60, the idle timeout of common balancers, so that they close first and lose no request.
    keep_alive: float = _knob(
        65.0,
        "seconds that an idle connection stays open for the next request; 0: it closes after each answer",
        parse_seconds,
        "seconds",
    )
    # Slower than the slowest modem, over any 10 seconds.
    body_rate: int = _knob(
        256, "bytes a second at which a request body has to arrive, over any ten seconds; 0: any rate", parse_size
    )
    # nginx's send_timeout.
    send_timeout: float = _knob(
        60.0,
        "seconds after which a client that takes nothing of its answer is cut off",
        parse_seconds,
        "seconds",
        least=0.1,
    )
    # Off: only the application's author knows how long an answer may take. gunicorn's timeout of 30 kills the whole
    # worker.
    request_timeout: float = _knob(
        0.0, "seconds that an application may take before its client gets 504; 0: no limit", parse_seconds, "seconds"
    )
    # Off: the exception may come between any two steps of Python code, so a lock that an application or a library has
    # just taken may stay taken, and a connection to a database half used. Use it for code that is known to bear that.
    request_interrupt: bool = _knob(
        False, "raise an exception in the application's thread when --request-timeout is over", parse_truth
    )
    # Two round trips and some computing; on a bad line ten times that.
    tls_timeout: float = _knob(10.0, "seconds in which a TLS handshake has to end", parse_seconds, "seconds", least=0.1)
    # Long enough for a client far away to read an error before its connection is reset.
    linger: float = _knob(
        2.0,
        "seconds for which the server still reads after its last answer, so that the client can read that",
        parse_seconds,
        "seconds",
    )
    # Below the 30 after which Kubernetes kills, and the 90 of systemd.
    grace: float = _knob(25.0, "seconds that requests in flight may take after SIGTERM", parse_seconds, "seconds")

    # ---- Answers and logs --------------------------------------------------------------------------------------
    # waitress: 16 MiB; asyncio: 64 KiB. A worker goes on once the reactor has sent half of it.
    high_water: int = _knob(
        256 * KIB, "bytes of unsent answer at which the application waits for its client", parse_size, "bytes", least=1
    )
    # The name has no version: that would help only attackers.
    server_header: str = _knob("twisted_wsgiref", "value of the Server header field; empty: no such field", str)
    # In the foreground and in a container, logs belong on standard output; a daemon has none.
    access_log: str = _knob(
        "-",
        "file for the access log; -: standard output; syslog:, syslog:PATH, syslog:HOST:PORT: messages of syslog, as "
        "syslog:,facility=local0,tag=shop; off: none",
        str,
    )
    # What tools have read for thirty years.
    access_log_format: str = _knob(
        "combined",
        "lines of the access log: combined, json (OpenTelemetry's names), or a format in gunicorn's atoms, as "
        "'%(h)s %(r)s %(s)s'",
        str,
    )
    # None: a probe every second is a tenth of the log of a quiet site, and nothing to a busy one.
    access_log_skip: str = _knob(
        "",
        "requests that the access log leaves out: those in whose path this regular expression finds something, as "
        "'^/health$'",
        parse_pattern,
    )

    # Off: it adds a field to each answer, and costs a request some 4 us.
    request_id: bool = _knob(
        False,
        "identify requests: X-Request-ID and traceparent of a trusted proxy, or made, for the application, the answer "
        "and the logs",
        parse_truth,
    )
    # Text is for people. A collector of logs reads JSON, and has a traceback as one field of it.
    log_format: str = _knob(
        "text", "lines of the server's own log, of every process: text, or json", one_of("text", "json")
    )
    # Debugging is for those who write the server, or Twisted.
    log_level: str = _knob(
        "info",
        "least level of the server's own log: debug, info, warn, error or critical",
        one_of("debug", "info", "warn", "error", "critical"),
    )

    # ---- Status and metrics ------------------------------------------------------------------------------------
    # None: it shows paths, clients and stacks. On a UNIX socket or on loopback only this machine's users reach it.
    status: str = _knob(
        "",
        "endpoint of the status site: health, metrics, what runs now; as unix:/run/app/status.sock or "
        "tcp:9180:interface=127.0.0.1; empty: none",
        str,
    )
    # None: a site that only this machine reaches needs none. In a file it is in no list of processes.
    status_token: str = _knob(
        "",
        "secret for which the status site asks (Authorization: Bearer), as text or as file:PATH; needed if more than "
        "this machine reaches the site",
        str,
    )
    # None: an application may have a path of its own for this.
    health_path: str = _knob(
        "",
        "path of every endpoint at which the server itself answers a balancer's check, without a thread and without a "
        "line in the access log, as /healthz; empty: none",
        str,
    )
    # Prometheus' own bounds, and two more below: an answer from memory takes less than 5 ms, a queue's wait too.
    histogram_buckets: tuple[str, ...] = _knob(
        ("0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10"),
        "bounds of the histograms of durations and waits, in seconds, in ascending order",
        parse_words,
    )

    # None: a daemon of statsd has no usual place.
    statsd: str = _knob(
        "",
        "address of a statsd as HOST:PORT; counts by gunicorn's names are sent there by UDP each second; empty: none",
        str,
    )
    # As gunicorn.
    statsd_prefix: str = _knob("", "text before each name that is sent to statsd, as shop", str)

    # ---- Files of a mount --------------------------------------------------------------------------------------
    # None: a client asks each time, and a 304 tells it that it has the file. Nobody can call back a file that clients
    # keep for a year by mistake, and only whoever names the files knows which of them never change.
    static_max_age: tuple[str, ...] = _knob(
        (),
        "seconds that a client may use a file without asking again, as PATTERN=SECONDS, hashed=SECONDS or SECONDS; the "
        "first that fits decides",
        parse_words,
    )
    # Off: a link that somebody puts into the directory opens the rest of the disk. collectstatic --link makes such.
    static_links: bool = _knob(False, "symbolic links may lead out of the directory of a static: mount", parse_truth)
    # None: an application that lets strangers say a path would send any file that this process may read.
    sendfile_root: tuple[str, ...] = _knob(
        (), "directory with files that the application may send by X-Sendfile, naming their paths", parse_lines
    )

    # ---- Trust, and how the server calls the application -------------------------------------------------------
    # A peer that the server believes can pretend to be anybody. So it believes nobody until the operator names proxies.
    trusted_proxy: tuple[str, ...] = _knob(
        (),
        "networks of proxies whose X-Forwarded-* and Forwarded the server believes; *: all; unix: UNIX sockets",
        parse_words,
    )
    # Off: with it the server cuts off every connection that does not begin with such a header.
    proxy_protocol: bool = _knob(
        False, "expect a PROXY header of a trusted proxy at the start of each connection", parse_truth
    )
    # Off: with it a slow upload holds a thread for as long as it comes.
    stream_input: bool = _knob(
        False, "call the application at the end of the request head, before the body has come", parse_truth
    )
    # Off: Django and Bottle read as many bytes as CONTENT_LENGTH says, which nobody knows here: none, with status 200.
    # Flask and Pyramid ask for wsgi.input_terminated.
    stream_chunked: bool = _knob(
        False,
        "with --stream-input, do so for a body in chunks, too: the application has to know wsgi.input_terminated",
        parse_truth,
    )
    # Libraries, such as Django's caches, keep a connection for each thread in context variables. With a context for
    # each request they open a connection for each. The other servers have a context for each thread.
    context: str = _knob(
        "thread",
        "lifetime of context variables that a request sets: that of its thread (thread), or its own (request)",
        one_of("thread", "request"),
    )
    # Off: a generator that goes on in another thread does not find what it keeps for its thread (`threading.local`).
    suspend_streams: bool = _knob(
        False, "a generator whose client reads slowly gives its thread back; implies --context request", parse_truth
    )
    # Off: code that PEP 3333 forbids, but every server bears, would give a 500, and each request costs more.
    validate: bool = _knob(
        False,
        "check the application: whatever it does against PEP 3333 raises an exception; for developing",
        parse_truth,
    )
    # None: most applications are at the root of their site.
    script_name: str = _knob("", "path under which the application is mounted, its SCRIPT_NAME", str)
    # With Python's own 5 ms a short request waits so long behind each thread that computes: with two of them its p99 is
    # 19 ms. At 0.5 ms it is 4.1, and the computing itself is some 3 % slower. An idle server pays nothing.
    switch_interval: float = _knob(
        0.0005,
        "seconds after which a thread that computes gives way; 0: Python's own; an embedded service never sets it",
        parse_seconds,
        "seconds",
        most=60,
    )
    # As waitress; nginx has 511, gunicorn 2048, and Linux cuts it to 4096 (net.core.somaxconn).
    backlog: int = _knob(
        1024, "connections that the kernel keeps until the server accepts them", parse_number, least=1, most=65535
    )

    # ---- TLS ---------------------------------------------------------------------------------------------------
    # None: most servers have a proxy in front of them that speaks TLS.
    tls_cert: str = _knob(
        "", "file of the certificate, with all above it; TCP ports that are given without TLS speak it then", str
    )
    # None: often one file has both.
    tls_key: str = _knob("", "file of the private key; none: it is in the file of --tls-cert", str)
    # None: a key that the server has to read without anybody there is protected by the rights of its file.
    tls_passphrase_file: str = _knob("", "file of the passphrase, if the key is encrypted", str)
    # None: sites for everybody know their users in other ways.
    tls_client_ca: str = _knob(
        "", "file of the authorities one of which has to have signed each client's certificate", str
    )
    # As Mozilla's "intermediate" profile, whose suites there are: all browsers since 2014. 1.3 is its "modern" one.
    tls_min: str = _knob("1.2", "oldest version of TLS that --tls-cert speaks, 1.2 or 1.3", one_of("1.2", "1.3"))

    # ---- Processes ---------------------------------------------------------------------------------------------
    # One process needs no parent. With several, each has its own interpreter and memory, so you have to choose that.
    workers: int = _knob(
        1,
        "worker processes, which a parent process watches; auto: one for each core",
        parse_workers,
        least=1,
        most=MOST_WORKERS,
    )
    # Never: this only helps to live with a memory leak, and cures none.
    max_requests: int = _knob(
        0, "requests, give or take a tenth, after which a worker process is replaced; 0: never", parse_number
    )
    # Never: only the operator knows the memory of the application and of the machine.
    max_rss: int = _knob(0, "bytes of memory above which a worker process is replaced; 0: never", parse_size, "bytes")
    # Never: as max_requests.
    max_worker_age: float = _knob(
        0.0, "seconds, give or take a tenth, after which a worker process is replaced; 0: never", parse_seconds
    )
    # Off: threads, event loops and connections that an import makes do not come with a fork, or are shared by all.
    preload: bool = _knob(
        False, "import the application once, and fork the workers from the process that has it", parse_truth
    )
    # The largest Django sites import for 20 seconds on a loaded machine; systemd waits for 90.
    start_timeout: float = _knob(
        60.0,
        "seconds in which a worker process has to begin to serve, or it is killed; 0: no limit",
        parse_seconds,
        "seconds",
    )
    # As gunicorn's timeout. But this is no limit on requests, since the reactor does not wait for them.
    watchdog: float = _knob(
        30.0,
        "seconds without a turn of its reactor after which a worker process is killed; 0: never",
        parse_seconds,
        "seconds",
    )
    # Far longer than any turn should take, and short enough to catch a stall that clients notice.
    stall: float = _knob(
        1.0,
        "seconds without a turn of the reactor after which the log shows every thread's stack; 0: never",
        parse_seconds,
        "seconds",
    )

    # None: whoever starts the server is in the right directory; systemd and containers can say so, too.
    chdir: str = _knob("", "directory to change to, before the application and every other file are looked for", str)
    # None: a service manager knows the process that it has started. twistd has a file of its own for it.
    pidfile: str = _knob(
        "", "file for the number of the process, or of the parent of workers, from when it serves to its end", str
    )
    # None: most applications need not know how they are served.
    hooks: str = _knob(
        "", "module with any of worker_started, worker_stopping, request_finished and worker_died, to be called", str
    )
    # None: processes are shown as they were started, which says more.
    name: str = _knob("", "name of the server in the titles of its processes; needs setproctitle", str)
    # Off: systemd, containers and supervisors watch a process in the foreground.
    daemon: bool = _knob(
        False, "leave the terminal once the server serves; twistd without -n does so, too, in its own way", parse_truth
    )
    # None: variables stay as they are; systemd and containers set them, too.
    env: tuple[str, ...] = _knob(
        (),
        "variables to set before the application is imported, as NAME=VALUE; in a variable blanks separate them",
        parse_lines,
    )
    # None: whoever starts the server has said which files others may read.
    umask: str = _knob(
        "",
        "rights that new files do not get, as three octal digits; a UNIX socket without a mode loses them, too",
        parse_umask,
    )

    def __post_init__(self) -> None:
        for name, default, knob in _FIELDS:
            value = getattr(self, name)
            if value is not default:
                try:
                    object.__setattr__(self, name, knob.judged(value, default))
                except ValueError as error:
                    raise SettingError.of("{" + name + "} is {}: {}", shown(value), error) from None
        check(self)

    @property
    def mount(self) -> str:
        """`script_name` as PEP 3333 has paths: bytes as latin-1, also those that were no UTF-8 on the command line."""
        return self.script_name.encode("utf-8", "surrogateescape").decode("latin-1")


_FIELDS: Final = [(each.name, each.default, each.metadata["knob"]) for each in fields(Settings)]


def knobs() -> dict[str, Knob]:
    """Return what there is to set: the name of each field of `Settings`, in order, and its `Knob`."""
    return {name: knob for name, _, knob in _FIELDS}


def from_words(words: dict[str, str]) -> Settings:
    """Return the settings that `words` ask for: names of fields and their values as text.

    Raises `SettingError`, naming the setting, for an unknown name or a value that can not be read.
    """
    known = knobs()
    values: dict[str, Value] = {}
    for name, word in words.items():
        if name not in known:
            raise SettingError(f"there is no setting {name}")
        try:
            values[name] = known[name].parse(word)
        except ValueError as error:
            raise SettingError.of("{" + name + "} is {}: {}", shown(word), error) from None
    make: Callable[..., Settings] = Settings
    return make(**values)
