"""From the words ``mod:attr`` to a WSGI application or a resource, and to one clear line when there is none.

Here live the reading of the words, the import, and the judgement whose mistake it was. Options, services and printing
may not live here. A `LoadError` carries the line for the person who typed the words and, if their code failed, its
traceback. The caller decides where both go.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable
from traceback import walk_tb
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from twisted_wsgiref._wsgiref.tracebacks import exception_line, traceback_text

if TYPE_CHECKING:
    from twisted_wsgiref.types import WSGIApplication

# The names to try if only a module is given: mod_wsgi's and uWSGI's, then the one of Flask's manual.
DEFAULT_NAMES = ("application", "app")


_IN_THE_SOURCE = (SyntaxError, IndentationError, TabError)


class LoadError(Exception):
    """The words name no application; `str` of it is one line that says why.

    ``traceback`` is empty unless the application's own code raised: then it is that code's traceback, without the
    frames of this package and of the import system.
    """

    def __init__(self, line: str, traceback: str = "") -> None:
        super().__init__(line)
        self.traceback = traceback


# The arguments of a factory.
_Arguments: TypeAlias = tuple[list[object], dict[str, object]]


class _Words(NamedTuple):
    """The parts of ``mod:dotted.attr(1, key=2)``; `call` is None if there are no parentheses."""

    text: str
    module: str
    attributes: tuple[str, ...]
    call: _Arguments | None


def load_application(spec: str, directory: str | None = ".") -> WSGIApplication:
    """Return the WSGI application that `spec` names; modules in `directory` are importable from now on.

    `spec` is ``mod:attr``, ``mod:dotted.attr``, ``mod:factory()`` or ``mod:factory("literal", key=1)``; a module alone
    means its ``application``, then its ``app``. `directory` is put first on ``sys.path``; None leaves that as it is.
    Raises `LoadError`. Called in the main thread, before there are others.
    """
    words = _read(spec)
    found = _found(words, directory)
    if words.call is not None:
        found = _called(words, found)
    if not callable(found):
        what = f"what {spec} returned" if words.call is not None else f"{words.module}:{'.'.join(words.attributes)}"
        if not words.attributes:
            what = spec
        raise LoadError(f"{what} is {_kind(found)}: a WSGI application has to be callable")
    _check_arguments(words, found)
    return cast("WSGIApplication", found)


def load_resource(spec: str, directory: str | None = ".") -> object:
    """Return the resource of `twisted.web` that `spec` names, or a `ResourceMaker` for one that is made by a call.

    `spec` is ``mod:attr``, ``mod:dotted.attr`` or ``mod:factory("literal", key=1)``; without parentheses a callable
    that takes no arguments is called, too. Otherwise as `load_application`.
    """
    words = _read(spec)
    if not words.attributes:
        raise LoadError(f"{spec!r} names a module alone: say which resource, as {spec}:attr")
    found = _found(words, directory)
    if words.call is None:
        if is_resource(found):
            return found
        if not callable(found):
            raise LoadError(f"{spec} is {_kind(found)}: it has to be a resource of twisted.web, or to make one")
        _check_called_bare(words, found)
    return ResourceMaker(words, found)


def is_resource(value: object) -> bool:
    """Return whether `value` has what `twisted.web` calls of an `IResource`; a class has not, its objects may."""
    return not isinstance(value, type) and hasattr(value, "getChildWithDefault") and hasattr(value, "render")


class ResourceMaker:
    """Makes the resource that `words` name, by a call of `found`."""

    def __init__(self, words: _Words, found: object) -> None:
        self._words = words
        self._found = found

    def __call__(self) -> object:
        """Return the resource. Raises `LoadError`. Called in the reactor's thread, once it runs."""
        made = _called(self._words, self._found)
        if not is_resource(made):
            raise LoadError(
                f"what {self._words.text} returned is {_kind(made)}: it has to be a resource of twisted.web"
            )
        return made


def check_module(spec: str, directory: str) -> None:
    """Raise `LoadError` if `spec` is not well formed or there is no such module; import nothing.

    `directory` is searched from now on, as `load_application` does. The rest has to be left to that.
    """
    words = _read(spec)
    if directory not in sys.path:
        sys.path.insert(0, directory)
    top = words.module.partition(".")[0]
    try:
        found = top in sys.modules or importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):  # of another package's finder
        return
    if not found:
        raise LoadError(f"there is no module {top}{_near(top, _modules_in(directory))}")


def _read(spec: str) -> _Words:
    module, colon, expression = (part.strip() for part in spec.partition(":"))
    if not all(part.isidentifier() for part in module.split(".")):
        hint = ""
        if module.endswith(".py") or "/" in module or os.sep in module:
            dotted = module.removesuffix(".py").replace(os.sep, "/").strip("./").replace("/", ".")
            hint = f"; write the module's name, {dotted}" if dotted else ""
        raise LoadError(f"{spec!r} does not start with the name of a module: it has to look like mod:attr{hint}")
    if not colon:
        return _Words(spec, module, (), None)
    try:
        node: ast.AST = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError):
        node = ast.Constant(None)
    call: _Arguments | None = None
    if isinstance(node, ast.Call):
        call = _literals(spec, node)
        node = node.func
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise LoadError(f"{spec!r}: after the colon comes a name, as mod:attr, or a call of one, as mod:factory()")
    attributes.append(node.id)
    return _Words(spec, module, tuple(reversed(attributes)), call)


def _found(words: _Words, directory: str | None) -> object:
    """Return what `words` name, without a call; modules in `directory` are importable from now on."""
    if directory is not None:
        directory = os.path.abspath(directory)
        if directory not in sys.path:
            sys.path.insert(0, directory)
    return _attribute(words, _import(words, directory))


def _literals(spec: str, node: ast.Call) -> _Arguments:
    try:
        keywords = {each.arg: ast.literal_eval(each.value) for each in node.keywords if each.arg is not None}
        if len(keywords) != len(node.keywords):
            raise ValueError("** in a call")
        return [ast.literal_eval(each) for each in node.args], keywords
    except (ValueError, TypeError, SyntaxError):
        raise LoadError(f"{spec!r}: a factory can only be given literals: strings, numbers, True, None ...") from None


def _import(words: _Words, directory: str | None) -> ModuleType:
    try:
        return importlib.import_module(words.module)
    except ModuleNotFoundError as error:
        if _is_the_one_asked_for(error, words.module):
            near = _near(words.module, _modules_in(directory))
            raise LoadError(f"there is no module {error.name}{near}") from None
        raise _failure(f"importing {words.module}", error) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _failure(f"importing {words.module}", error) from None


def _is_the_one_asked_for(error: ModuleNotFoundError, module: str) -> bool:
    """Say whether `module` itself, or a package that it is in, is missing, rather than something that it imports."""
    name = error.name
    if type(name) is not str:
        return False
    return (module == name or module.startswith(name + ".")) and _theirs(error.__traceback__) is None


def _modules_in(directory: str | None) -> list[str]:
    return [] if directory is None else [each.name for each in pkgutil.iter_modules([directory])]


def _attribute(words: _Words, module: ModuleType) -> object:
    attributes = words.attributes
    if not attributes:
        name = next((each for each in DEFAULT_NAMES if _has(words, module, each)), None)
        if name is None:
            raise LoadError(
                f"module {words.module} has neither {' nor '.join(DEFAULT_NAMES)}: say which, as {words.module}:attr"
            )
        attributes = (name,)
    found: object = module
    where = f"module {words.module}"
    for depth, name in enumerate(attributes, 1):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            if _theirs(error.__traceback__) is not None:
                raise _failure(f"looking up {words.text}", error) from None
            raise LoadError(f"{where} has no attribute {name}{_near(name, _names_in(found))}") from None
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise _failure(f"looking up {words.text}", error) from None
        where = f"{words.module}:{'.'.join(attributes[:depth])}"
    return found


def _has(words: _Words, module: ModuleType, name: str) -> bool:
    """Say whether the module has that attribute; its own ``__getattr__`` may be asked, and raise anything."""
    try:
        return hasattr(module, name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _failure(f"looking up {words.module}:{name}", error) from None


def _names_in(value: object) -> list[str]:
    try:
        return [each for each in dir(value) if type(each) is str]
    except Exception:
        return []


def _called(words: _Words, factory: object) -> object:
    if not callable(factory):
        name = f"{words.module}:{'.'.join(words.attributes)}"
        raise LoadError(f"{name} is {_kind(factory)}, which can not be called: leave out the parentheses?")
    arguments, keywords = words.call or ([], {})
    try:
        return factory(*arguments, **keywords)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _failure(f"calling {words.text}", error) from None


def _check_arguments(words: _Words, application: Callable[..., object]) -> None:
    """Refuse an application that takes other arguments than PEP 3333's: a factory without parentheses, or ASGI's."""
    try:
        signature = inspect.signature(application, follow_wrapped=False)
    except Exception:
        return  # Built in C, or stranger (a proxy of something that a request brings): only a call can tell.
    try:
        signature.bind({}, None)
    except TypeError:
        hint = ""
        if words.call is None and words.attributes:
            try:
                signature.bind()
                hint = f"; for a factory write {words.text}()"
            except TypeError:
                pass
        try:
            taken = str(signature)
        except Exception:  # the repr of a default
            taken = f"({', '.join(signature.parameters)})"
        raise LoadError(
            f"{words.text} takes {taken}: a WSGI application is called with environ and start_response{hint}"
        ) from None


def _check_called_bare(words: _Words, factory: Callable[..., object]) -> None:
    """Refuse a factory that needs arguments, and a WSGI application."""
    try:
        signature = inspect.signature(factory, follow_wrapped=False)
    except Exception:
        return
    try:
        signature.bind()
    except TypeError:
        try:
            signature.bind({}, None)
            hint = f"; a WSGI application is mounted as wsgi:{words.text}"
        except TypeError:
            hint = f"; give it literals, as {words.text}('name')"
        raise LoadError(
            f"{words.text} is no resource of twisted.web, and makes none when called without arguments{hint}"
        ) from None


def _failure(doing: str, error: BaseException) -> LoadError:
    """Return the error for `error`, raised by the application's own code or, without a frame of it, by the call."""
    theirs = _theirs(error.__traceback__)
    shown = exception_line(error)
    if isinstance(error, SyntaxError) and type(error) in _IN_THE_SOURCE and theirs is None:
        # Raised by the compiler, which tells file and line itself.
        shown = f"{type(error).__name__}: {error.msg}"
        where = f" at {_short(error.filename or '?')}:{error.lineno}"
    elif theirs is None:
        return LoadError(f"{doing} failed: {shown}")
    else:
        # The innermost frame that is in a file: the place of the raise, perhaps in a library that their code called.
        frames = [(frame.f_code.co_filename, line) for frame, line in walk_tb(theirs)]
        file, line = next((each for each in reversed(frames) if not each[0].startswith("<frozen ")), frames[-1])
        where = f" at {_short(file)}:{line}"
    return LoadError(f"{doing} failed: {shown}{where}", traceback_text(type(error), error, theirs))


def _theirs(trace: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback that starts at the first frame outside of this file and the import system."""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name not in (__file__, importlib.__file__) and not name.startswith("<frozen importlib"):
            return trace
        trace = trace.tb_next
    return None


def _near(name: str, names: Iterable[str]) -> str:
    # Late, as in `hints`: only whoever mistypes needs it.
    from difflib import get_close_matches

    close = get_close_matches(name, [each for each in names if not each.startswith("__")], n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _kind(value: object) -> str:
    if value is None or isinstance(value, ModuleType):
        return "None" if value is None else "a module"
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _short(path: str) -> str:
    """Return `path` as a person in the current directory would write it."""
    try:
        relative = os.path.relpath(path) if os.path.isabs(path) else path
    except (OSError, ValueError):
        return path  # the current directory is gone, or on another drive
    return path if relative.startswith("..") else relative
