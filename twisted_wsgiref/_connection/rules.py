"""The settings of a service as its connections need them: plain values, and what this process can afford of them.

What lives here: names of `Settings` on the one side, of `Rules`, `Limits` and the environ on the other. What may not:
anything that is done. Called in the reactor's thread.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted_wsgiref._gateway.environ import service_environ
from twisted_wsgiref._gateway.reactor_caller import ReactorCaller
from twisted_wsgiref._http.forwarded import TrustedPeers
from twisted_wsgiref._http.limits import Limits
from twisted_wsgiref._threads.pool import Pool
from twisted_wsgiref.settings import Settings

if TYPE_CHECKING:
    from twisted_wsgiref._gateway.environ import WSGIEnvironment

if sys.platform != "win32":
    import resource


@dataclass(frozen=True, slots=True)
class Rules:
    """What a connection may do and for how long: sizes in bytes, times in seconds. The reasons are in `settings`."""

    limits: Limits
    max_body: int
    body_memory: int
    max_connections: int
    max_pipelined: int
    head_timeout: float
    keep_alive: float
    body_rate: int
    send_timeout: float
    tls_timeout: float
    linger: float
    queue_age: float
    request_timeout: float
    high_water: int
    stream_input: bool
    stream_chunked: bool
    trusted: TrustedPeers | None  # None: nobody was asked to be believed, so fields pass as they came
    request_id: bool


def pools_of(
    settings: Settings, make: Callable[..., Pool], name: str, failed: Callable[[BaseException], object]
) -> tuple[Pool, Pool]:
    """Return the threads that run the application, and the one that writes large bodies to their files.

    One is enough for the disk, of which there is mostly one.
    """
    workers = make(
        name,
        minimum=settings.threads,
        maximum=settings.threads_max,
        idle=settings.threads_idle,
        limit=settings.queue,
        failed=failed,
    )
    return workers, make(f"{name}-disk", minimum=0, maximum=1, idle=settings.threads_idle, limit=10**9, failed=failed)


def rules_of(settings: Settings) -> Rules:
    """Return what `settings` mean for each connection."""
    limits = Limits(
        request_line=settings.max_request_line,
        field=settings.max_field,
        head=settings.max_head,
        fields=settings.max_fields,
        chunk_line=settings.max_chunk_line,
        trailers=settings.max_trailers,
    )
    return Rules(
        limits=limits,
        max_body=settings.max_body,
        body_memory=settings.body_memory,
        max_connections=_affordable(settings.max_connections, max(settings.threads, settings.threads_max)),
        max_pipelined=settings.max_pipelined,
        head_timeout=settings.head_timeout,
        keep_alive=settings.keep_alive,
        body_rate=settings.body_rate,
        send_timeout=settings.send_timeout,
        tls_timeout=settings.tls_timeout,
        linger=settings.linger,
        queue_age=settings.queue_age,
        request_timeout=settings.request_timeout,
        high_water=settings.high_water,
        stream_input=settings.stream_input,
        stream_chunked=settings.stream_chunked,
        trusted=TrustedPeers.parse(settings.trusted_proxy) if settings.trusted_proxy else None,
        request_id=settings.request_id,
    )


def environ_of(
    settings: Settings,
    errors: object,
    multiprocess: bool,
    file_wrapper: object,
    caller: ReactorCaller,
    stopping: Callable[[], bool],
) -> WSGIEnvironment:
    """Return the part of the environ that is the same for every request."""
    environ = service_environ(
        software=settings.server_header or "twisted_wsgiref",
        script_name=settings.mount,
        multiprocess=multiprocess,
        errors=errors,
        file_wrapper=file_wrapper,
        stopping=stopping,
    )
    environ["twisted_wsgiref.reactor"] = caller
    return environ


def _affordable(connections: int, threads: int) -> int:
    """Return how many of `connections` this process has descriptors for, with some left for files and sockets.

    A connection that is closed for another in time is better than one that can not be accepted.
    """
    if sys.platform == "win32":
        return connections
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return connections
    # The interpreter, its reactor, logs, listening sockets: about 20. A wake signal for each of `threads`. A quarter
    # more for the application.
    return max(1, min(connections, (soft - 20 - threads) * 3 // 4))
