"""What is asked of the servers: each workload by its name. Data only.

The order is the table's. `connections` are wrk's; a workload's answer is read once before it is measured, and has to
have `length` bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.harness.peers import PLAIN, Variant

# What a browser sends beside Host: twelve fields, 13 in all.
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "http://127.0.0.1/start",
    "Cookie": "sessionid=9f2c1b7e4d5a60718293a4b5c6d7e8f9; csrftoken=Zk3vYw1Qp8RtLm5X; theme=dark",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Cache-Control": "max-age=0",
    "DNT": "1",
}


#: Where the applications are, as servers are told: each finds this checkout by PYTHONPATH.
APPLICATIONS = "benchmarks.harness.applications"


@dataclass(frozen=True)
class Workload:
    """One kind of traffic, and the application and variant of each server that answer it."""

    name: str
    text: str
    application: str
    length: int
    connections: int = 32
    fields: dict[str, str] = field(default_factory=dict)
    body: int = 0  # bytes of a POST; 0: a GET
    busy: int = 0  # CPU-bound requests that always run beside
    variant: Variant = PLAIN
    pinned: bool = True  # two processes can not show much on one core
    figure: str = "rate"  # what the ratio is of: rate, p50 or p99
    handshakes: str = ""  # a TLS connection for each request: new (full handshakes) or reuse (sessions go on); else wrk


_HELLO = 14

WORKLOADS: tuple[Workload, ...] = (
    Workload("hello", "hello, one field, 32 connections", "hello", _HELLO),
    Workload("browser", "hello, a browser's 13 fields, 32 connections", "hello", _HELLO, fields=BROWSER),
    Workload("one", "hello, one field, 1 connection", "hello", _HELLO, connections=1, figure="p50"),
    Workload("many", "hello, one field, 256 connections", "hello", _HELLO, connections=256),
    Workload(
        "new",
        "hello, a new connection per request",
        "hello",
        _HELLO,
        fields={"Connection": "close"},
        variant=Variant(closing=True),
    ),
    Workload(
        "front", "behind nginx, its default upstream (TCP)", "hello", _HELLO, variant=Variant(closing=True, front=True)
    ),
    Workload(
        "front-unix",
        "behind nginx, its default upstream (UNIX socket)",
        "hello",
        _HELLO,
        variant=Variant(closing=True, front=True, unix=True),
    ),
    Workload("block", "64 KiB in one block", "block", 65536),
    Workload("generator", "64 blocks of 1 KiB from a generator", "generator", 65536),
    Workload("file", "10 MiB file by wsgi.file_wrapper, 8 connections", "file", 10 * 1024 * 1024, connections=8),
    Workload("post-1k", "POST of 1 KiB", "upload", _HELLO, body=1024),
    Workload("post-64k", "POST of 64 KiB", "upload", _HELLO, body=65536),
    Workload("sleep", "the application sleeps 5 ms, 4 connections", "sleeper", _HELLO, connections=4),
    Workload("busy", "hello beside two CPU-bound requests", "beside_busy", _HELLO, 1, busy=2, figure="p99"),
    Workload("flask", "Flask hello, 13 fields", "flask_hello", _HELLO, fields=BROWSER),
    Workload("django", "Django hello, 13 fields", "django_hello", _HELLO, fields=BROWSER),
    Workload("tls", "hello over TLS, 13 fields", "hello", _HELLO, fields=BROWSER, variant=Variant(tls=True)),
    Workload(
        "tls-full",
        "a new TLS connection per request, full handshake, 8 at a time",
        "hello",
        _HELLO,
        connections=8,
        variant=Variant(tls=True),
        handshakes="new",
    ),
    Workload(
        "tls-resumed",
        "a new TLS connection per request, session resumed, 8 at a time",
        "hello",
        _HELLO,
        connections=8,
        variant=Variant(tls=True),
        handshakes="reuse",
    ),
    Workload("log", "hello, access log on", "hello", _HELLO, fields=BROWSER, variant=Variant(access_log=True)),
    Workload(
        "processes", "hello, two processes on both cores", "hello", _HELLO, variant=Variant(processes=2), pinned=False
    ),
)

# For a first look: the ones whose targets say most.
SHORT = ("hello", "browser", "one", "many", "new", "block", "generator", "file", "post-64k", "flask")
