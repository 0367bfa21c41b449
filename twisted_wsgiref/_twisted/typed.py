"""Classes of Twisted's that this package subclasses, with the annotations that Twisted leaves out.

At run time each is Twisted's own class; only a type checker sees another. Twisted's functions without annotations need
nothing here: ``untyped_calls_exclude`` in pyproject.toml allows calls of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.application import service
from twisted.protocols import policies
from twisted.python import usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IProtocolFactory, ITransport

    class Service(service.Service):
        """A part of an application, which is started and stopped with it."""

        def privilegedStartService(self) -> None: ...

        def startService(self) -> None: ...

        def stopService(self) -> Deferred[None] | None: ...

    class Options(usage.Options):
        """A command line, and then the values that it gives by name."""

        parent: Options | None
        shortOpt: str
        longOpt: list[str]

        def __init__(self) -> None: ...

        def parseOptions(self, options: Sequence[str] | None = None) -> None: ...

    class ProtocolWrapper(policies.ProtocolWrapper):
        """A connection that is the transport of another one."""

        def makeConnection(self, transport: ITransport) -> None: ...

    class WrappingFactory(policies.WrappingFactory[ProtocolWrapper]):
        """Makes each connection of a factory the upper one of two."""

        def __init__(self, wrappedFactory: IProtocolFactory) -> None: ...

else:
    Service = service.Service
    Options = usage.Options
    ProtocolWrapper = policies.ProtocolWrapper
    WrappingFactory = policies.WrappingFactory
