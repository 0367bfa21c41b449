"""Twisted's reactor and endpoints, imported without the TLS beneath them: that is imported when somebody first uses it.

Twisted imports pyOpenSSL and cryptography with every reactor, 15 MiB in each process, also where nobody speaks TLS.
Here live the names that stand in their place in three modules of Twisted (``tcp`` by way of ``_newtls``, ``posixbase``,
``endpoints``) until they are used. Nothing stays in ``sys.modules``, and no import is watched: ``import OpenSSL`` and
``twisted.internet.ssl`` are the real ones for everybody, at any time. So are all of Twisted's own ways to TLS:
``startTLS``, ``connectSSL``, ``listenSSL``, and endpoints. Only in processes of our own, which import this first.

What an upgrade of Twisted has to check: those three modules take what they need of TLS by ``from ... import``, and only
call it, ask it for attributes, or catch it once it was called. `tests/test_late_tls.py` does.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Final

# What is not to be imported yet. Those of Twisted import the others.
_LATE: Final = ("OpenSSL", "OpenSSL.SSL", "twisted.internet.ssl", "twisted.protocols.tls", "twisted.protocols._sni")
# What is to be imported without them.
_EARLY: Final = ("twisted.internet.posixbase", "twisted.internet.endpoints")
# What is imported with those: who has it already has the real TLS in it.
_WITH_THEM: Final = ("twisted.internet.tcp", "twisted.internet._newtls")


class LateName:
    """Stands for the name `name` of the module `module`, which is imported at the first use. Any thread may use it."""

    def __init__(self, module: str, name: str) -> None:
        self.__module = module
        self.__name = name

    def __real(self) -> object:
        real: object = getattr(import_module(self.__module), self.__name)
        for early in _EARLY:
            _complete(sys.modules.get(early))
        return real

    def __call__(self, *args: object, **named: object) -> object:
        call = self.__real()
        return call(*args, **named) if callable(call) else None

    def __getattr__(self, name: str) -> object:
        return getattr(self.__real(), name)

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[object, ...]:
        return (self.__real(),)

    def __instancecheck__(self, instance: object) -> bool:
        real = self.__real()
        return isinstance(real, type) and isinstance(instance, real)

    def __subclasscheck__(self, subclass: type) -> bool:
        real = self.__real()
        return isinstance(real, type) and issubclass(subclass, real)

    def __repr__(self) -> str:
        return f"<{self.__module}.{self.__name}, imported when it is used>"

    def is_there(self) -> bool:
        """Return whether the real thing is imported already."""
        return hasattr(sys.modules.get(self.__module), self.__name)

    def resolved(self) -> object:
        """Return the real thing, whose module is imported already."""
        return getattr(sys.modules[self.__module], self.__name)


class _LateModule(ModuleType):
    """A module each name of which is a `LateName`."""

    def __getattr__(self, name: str) -> LateName:
        if name.startswith("__"):
            raise AttributeError(name)
        return LateName(self.__name__, name)


def _complete(module: ModuleType | None) -> None:
    """Put the real things in the place of `LateName` in `module`: an ``except`` clause takes nothing else."""
    for name, value in list(vars(module).items()) if module is not None else ():
        if isinstance(value, LateName) and value.is_there():
            setattr(module, name, value.resolved())


def import_without_tls() -> bool:
    """Import Twisted's reactors and endpoints, and return whether that was done without TLS.

    It is not if they, or pyOpenSSL, are imported already, if there is no pyOpenSSL, or if this is a Twisted of another
    kind. Called in the main thread, before there are others.
    """
    if any(name in sys.modules for name in (*_LATE, *_EARLY, *_WITH_THEM)) or find_spec("OpenSSL") is None:
        return False
    sys.modules.update({name: _LateModule(name) for name in _LATE})
    try:
        for name in _EARLY:
            import_module(name)
        done = True
    except Exception:  # whatever has become of Twisted: it can be imported as it is
        done = False
        for name in (*_EARLY, *_WITH_THEM):
            sys.modules.pop(name, None)
    finally:
        for name in _LATE:
            if isinstance(sys.modules.get(name), _LateModule):
                del sys.modules[name]
    return done
