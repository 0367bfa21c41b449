"""A WSGI server on Twisted, and every name of the standard library's ``wsgiref``.

The front door: what an embedding program imports. The names of ``wsgiref`` are in the modules of the same names. A
program that wants only those does not pay for the server: these names are found when they are asked for.

PYTEST_DONT_REWRITE: pytest would warn a program that imports this before it runs pytest, for the plugin's sake.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._connection.endpoints import ListenError as ListenError
    from ._gateway.async_body import AsyncBody as AsyncBody
    from ._gateway.client_gone import ClientGone as ClientGone
    from ._gateway.client_gone import RequestExpired as RequestExpired
    from ._gateway.handler import WSGIHandler as WSGIHandler
    from ._gateway.passing import InternalMount as InternalMount
    from ._gateway.reactor_caller import ReactorCaller as ReactorCaller
    from ._gateway.reactor_caller import ServiceStopped as ServiceStopped
    from ._gateway.reactor_caller import current_reactor_caller as current_reactor_caller
    from ._observe.current import current_request_id as current_request_id
    from ._observe.record import FactsObserver as FactsObserver
    from ._observe.record import Record as Record
    from ._observe.work import Work as Work
    from ._process.foreground import serve as serve
    from .service import WSGIService as WSGIService
    from .settings import SettingError as SettingError
    from .settings import Settings as Settings

__version__ = "0.1.0"

__all__ = [
    "AsyncBody",
    "ClientGone",
    "FactsObserver",
    "InternalMount",
    "ListenError",
    "ReactorCaller",
    "Record",
    "RequestExpired",
    "ServiceStopped",
    "SettingError",
    "Settings",
    "WSGIHandler",
    "WSGIService",
    "Work",
    "current_reactor_caller",
    "current_request_id",
    "serve",
]

# Each says of itself that it is from here: pickles, tracebacks and documentation do not depend on the rooms within.
_ROOMS = {
    "AsyncBody": "_gateway.async_body",
    "ClientGone": "_gateway.client_gone",
    "FactsObserver": "_observe.record",
    "InternalMount": "_gateway.passing",
    "ListenError": "_connection.endpoints",
    "ReactorCaller": "_gateway.reactor_caller",
    "Record": "_observe.record",
    "RequestExpired": "_gateway.client_gone",
    "ServiceStopped": "_gateway.reactor_caller",
    "SettingError": "settings",
    "Settings": "settings",
    "WSGIHandler": "_gateway.handler",
    "WSGIService": "service",
    "Work": "_observe.work",
    "current_reactor_caller": "_gateway.reactor_caller",
    "current_request_id": "_observe.current",
    "serve": "_process.foreground",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_ROOMS[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
