"""For tests of WSGI applications, and of programs that serve them: the server itself, on a port or in memory.

`serve` and `serving` serve on a real port, as in production, for clients of any kind. `client` is a client of `treq`
and a server in one, without a socket, a thread or time: the test takes each turn. With pytest, the fixture
``wsgi_server`` is `serve`. An application's exception is logged as a `Failure`, which trial's ``flushLoggedErrors``
finds.

Each function says which thread calls it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from ._testing.serving import Serving, running
from ._testing.stepped import SteppedPool

if TYPE_CHECKING:
    from ._testing.client import Client
    from ._twisted.reactor import Reactor
    from .types import WSGIApplication

__all__ = ["Client", "Serving", "SteppedPool", "client", "serve", "serving"]


def serve(
    application: WSGIApplication,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    reactor: Reactor | None = None,
    **given: object,
) -> AbstractContextManager[str]:
    """Serve `application` within a ``with`` block, which gets the URL, such as ``http://127.0.0.1:40123``.

    `host`: the address to listen on. By default only this machine's programs can connect.

    `port`: the TCP port; 0, the default, takes a free one.

    `reactor`: the running reactor to serve on. None, the default: the process's, if another thread runs it, else a new
    one in a thread of its own. So it works in any test, also in one of trial's, which runs in its reactor's thread.

    `given`: fields of `Settings`, such as ``threads=1``, and ``mounts``, ``handler_class``, ``observers`` and ``name``
    as of `WSGIService`.

    The end of the block waits for requests that are being answered, for ``grace`` seconds at most, here 1, and for
    nobody else: idle connections are closed. Raises `ListenError` if it can not be listened there, `SettingError` and
    `TypeError` for what is given, and `RuntimeError` for a `reactor` that does not run, or that this thread runs.
    Called in any thread but that of `reactor`; blocks it for some milliseconds.
    """
    return running(application, host=host, port=port, reactor=reactor, **given)


def serving(application: WSGIApplication, *, host: str = "127.0.0.1", port: int = 0, **given: object) -> Serving:
    """Serve `application` for a coroutine: in ``async with serving(app) as url``, or from ``await serving(app)`` on.

    What is awaited has the URL as ``url``, and ends by ``await server.stop()``, which a test of trial's may give to
    ``addCleanup``. The arguments are those of `serve`.

    The server runs on the reactor that runs the coroutine: trial's, pytest-twisted's, or the asyncio reactor under
    pytest-asyncio. Under asyncio without that reactor it runs in a thread of its own. Called in a coroutine.
    """
    return Serving(application, host, port, given)


def client(application: WSGIApplication, **given: object) -> Client:
    """Return a client of `treq` whose requests go to `application`, in memory, in turns that the test takes.

    `given`: as of `serve`. Raises `ImportError`, saying how to install it, if there is no `treq`. Called in the thread
    of the test, as all of what it returns.
    """
    try:
        from ._testing.client import Client
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "treq":
            raise
        raise ImportError(
            "twisted_wsgiref.testing.client() needs treq, which is not here: pip install 'twisted-wsgiref[testing]'",
            name=error.name,
        ) from None
    return Client(application, given)


def __getattr__(name: str) -> type[Client]:
    if name != "Client":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Late: it needs treq.
    from ._testing.client import Client

    return Client
