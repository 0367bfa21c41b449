"""Is every public name of the standard library's ``wsgiref`` here, with the same signature and the same defaults?

What is compared is what the running Python's own modules have, so the suite on each version holds ours to each. What
versions differ in, and what is left out on purpose, is listed here with its reason, and nowhere else.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

MODULES = ["util", "headers", "handlers", "validate", "simple_server"]
if sys.version_info >= (3, 11):
    MODULES.append("types")

# Names that ours exports beyond the standard library's __all__, because the documentation has them.
EXPORTED_TOO = {
    "util": {"is_hop_by_hop"},
    "headers": {"Headers"},
    "handlers": {"format_date_time"},
}
# Special methods that somebody writes; Python puts others (__doc__, __weakref__, __firstlineno__ ...) into any class.
SPECIAL = {
    "__bool__",
    "__bytes__",
    "__call__",
    "__contains__",
    "__del__",
    "__delitem__",
    "__enter__",
    "__exit__",
    "__getitem__",
    "__init__",
    "__iter__",
    "__len__",
    "__next__",
    "__repr__",
    "__setitem__",
    "__str__",
}
# Copies of the process's environment, made when each module was imported: pytest changed it in between.
SNAPSHOTS = {"os_environ"}
# Documented override points that a leading underscore does not make private.
OVERRIDE_POINTS = {"_write", "_flush"}


def theirs(module: str) -> ModuleType:
    return importlib.import_module(f"wsgiref.{module}")


def ours(module: str) -> ModuleType:
    return importlib.import_module(f"twisted_wsgiref.{module}")


def assigned(module: ModuleType) -> set[str]:
    """Return the names that the module's own statements bind to a value, its imports left aside."""
    targets: list[ast.expr] = []
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.Assign):
            targets += node.targets
        elif isinstance(node, ast.AnnAssign):
            targets.append(node.target)
    return {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}


def public(name: str) -> set[str]:
    """Return the public names of the standard library's module: its own classes, functions, values, and __all__."""
    module = theirs(name)
    defined = {each for each, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__}
    names = {each for each in defined | assigned(module) if not each.startswith("_")}
    return names | set(getattr(module, "__all__", ()))


def members(cls: type) -> Iterator[str]:
    for name in vars(cls):
        if not name.startswith("_") or name in SPECIAL | OVERRIDE_POINTS:
            yield name


NAMES = [(module, name) for module in MODULES for name in sorted(public(module))]
CLASSES = [(module, name) for module, name in NAMES if inspect.isclass(getattr(theirs(module), name))]
FUNCTIONS = [(module, name) for module, name in NAMES if inspect.isfunction(getattr(theirs(module), name))]
MEMBERS = [(module, cls, name) for module, cls in CLASSES for name in sorted(members(getattr(theirs(module), cls)))]


def neutral(value: Any) -> Any:
    """Return what stands for `value` in a comparison: one of wsgiref's own classes or functions is its dotted name."""
    module = getattr(value, "__module__", None) or ""
    if module.partition(".")[0] in ("wsgiref", "twisted_wsgiref") and hasattr(value, "__qualname__"):
        # Where a name is defined is our own affair: BaseHandler lives in a file behind handlers.
        return f"wsgiref {value.__qualname__}"
    return value


def parameters(function: Any) -> list[tuple[str, str, Any]]:
    found = inspect.signature(function).parameters.values()
    return [(each.name, each.kind.name, neutral(each.default)) for each in found]


def same_member(our_class: type, their_class: type, name: str) -> None:
    """Check that the member is of the same kind, and takes or holds the same; raises AssertionError."""
    our_value, their_value = (inspect.getattr_static(cls, name) for cls in (our_class, their_class))
    if isinstance(their_value, staticmethod | classmethod | property):
        assert type(our_value) is type(their_value)
    elif inspect.isfunction(their_value):
        assert parameters(our_value) == parameters(their_value)
    else:
        assert neutral(our_value) == neutral(their_value) or name in SNAPSHOTS
        assert type(our_value) is type(their_value)


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_is_the_name_here(module: str, name: str) -> None:
    assert hasattr(ours(module), name)


@pytest.mark.parametrize(("module", "name"), [case for case in NAMES if case not in CLASSES and case not in FUNCTIONS])
def test_is_a_value_of_the_same_type(module: str, name: str) -> None:
    assert type(getattr(ours(module), name)) is type(getattr(theirs(module), name))


@pytest.mark.parametrize(("module", "name"), FUNCTIONS)
def test_does_the_function_take_the_same(module: str, name: str) -> None:
    assert parameters(getattr(ours(module), name)) == parameters(getattr(theirs(module), name))


@pytest.mark.parametrize(("module", "name"), CLASSES)
def test_has_the_class_the_same_bases(module: str, name: str) -> None:
    # What a program asks with issubclass and isinstance: each base of theirs is one of ours, by its name.
    our_class, their_class = getattr(ours(module), name), getattr(theirs(module), name)
    assert inspect.isclass(our_class)
    assert {neutral(base) for base in their_class.__mro__} <= {neutral(base) for base in our_class.__mro__}


@pytest.mark.parametrize(("module", "cls", "name"), MEMBERS)
def test_is_the_member_the_same(module: str, cls: str, name: str) -> None:
    same_member(getattr(ours(module), cls), getattr(theirs(module), cls), name)


@pytest.mark.parametrize("module", MODULES)
def test_is_all_of_theirs_exported(module: str) -> None:
    expected = set(getattr(theirs(module), "__all__", ())) | EXPORTED_TOO.get(module, set())
    assert set(ours(module).__all__) == expected
    assert all(hasattr(ours(module), name) for name in expected)


@pytest.mark.parametrize("module", MODULES)
def test_what_theirs_imports_can_be_imported_from_ours_too(module: str) -> None:
    # Programs do: from wsgiref.handlers import FileWrapper. Modules of the standard library are left out, since a
    # program has them from where they are.
    names = {name for name, value in vars(theirs(module)).items() if not inspect.ismodule(value)}
    assert [name for name in sorted(names) if not name.startswith("_") and not hasattr(ours(module), name)] == []


def test_the_patterns_that_programs_import_decide_as_theirs() -> None:
    texts = ["", *(chr(code) for code in range(0x180))]
    texts += [f"A{each}B" for each in texts] + ["A\n", "1a", "-a", "a-", "X-Name"]
    for text in texts:
        for module, name in (("headers", "tspecials"), ("validate", "header_re")):
            found = (bool(getattr(each(module), name).search(text)) for each in (ours, theirs))
            assert len(set(found)) == 1, (name, text)
        # Ours finds DEL as well, which no value may hold either.
        found = (bool(each("validate").bad_header_value_re.search(text)) for each in (ours, theirs))
        assert len(set(found)) == (2 if "\x7f" in text else 1), text


# What the documentation promises, whatever a Python's own module happens to hold.
DOCUMENTED = {
    "util": [
        "FileWrapper",
        "application_uri",
        "guess_scheme",
        "is_hop_by_hop",
        "request_uri",
        "setup_testing_defaults",
        "shift_path_info",
    ],
    "headers": ["Headers"],
    "types": ["ErrorStream", "FileWrapper", "InputStream", "StartResponse", "WSGIApplication", "WSGIEnvironment"],
    "handlers": [
        "BaseCGIHandler",
        "BaseHandler",
        "CGIHandler",
        "IISCGIHandler",
        "SimpleHandler",
        "read_environ",
    ],
    "validate": ["validator"],
    "simple_server": ["ServerHandler", "WSGIRequestHandler", "WSGIServer", "demo_app", "make_server"],
}
# Names for types of Python's own, which have no docstring of ours.
ALIASES = {"WSGIApplication", "WSGIEnvironment"}


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in DOCUMENTED.items() for name in names])
def test_is_the_documented_name_here_and_told_to_readers(module: str, name: str) -> None:
    value = getattr(ours(module), name)
    if name not in ALIASES:
        assert inspect.getdoc(value)
        assert value.__module__.partition(".")[0] == "twisted_wsgiref"


def test_the_wrapper_can_be_indexed_on_every_version() -> None:
    # Python 3.11 took it out; the documentation that this project follows still has it.
    assert parameters(ours("util").FileWrapper.__getitem__) == [
        ("self", "POSITIONAL_OR_KEYWORD", inspect.Parameter.empty),
        ("key", "POSITIONAL_OR_KEYWORD", inspect.Parameter.empty),
    ]
