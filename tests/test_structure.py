"""Do the rooms still look only downwards, as the design's map says?"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "twisted_wsgiref"

# Each room, and the rooms that its modules may import from besides itself. A folder is a room; a module of the package
# that is in no folder has its room here, and one that is in no list fails, so that a new module gets its place.
ROOMS: dict[str, set[str]] = {
    "names": {"_wsgiref"},
    "_wsgiref": {"names"},
    "_http": set(),
    "_threads": set(),
    # Below all that touch a private part of Twisted, the log among them: a leaf.
    "_twisted": set(),
    "settings": {"_settings", "_http"},
    "_settings": {"settings", "_http"},
    "_observe": {"_wsgiref", "_threads", "_twisted"},
    "_gateway": {"names", "_wsgiref", "_http", "_threads", "_observe"},
    "_connection": {"_wsgiref", "settings", "_http", "_threads", "_twisted", "_observe", "_gateway"},
    "_targets": {"names", "_http", "_threads", "_twisted", "_observe", "_gateway"},
    "_service": {
        "_settings",
        "settings",
        "_http",
        "_threads",
        "_twisted",
        "_observe",
        "_gateway",
        "_connection",
        "_targets",
    },
    "service": {"names", "settings", "_http", "_threads", "_twisted", "_observe", "_gateway"}
    | {"_connection", "_targets", "_service"},
    "resource": {"names", "settings", "_threads", "_observe", "_gateway", "_connection", "service"},
    "_process": {
        "names",
        "_wsgiref",
        "_settings",
        "settings",
        "_threads",
        "_twisted",
        "_observe",
        "_gateway",
        "_targets",
    }
    | {"_connection", "service"},
    "main": {"_process"},
    "_testing": {"names", "settings", "_threads", "_twisted", "_connection", "service"},
    "testing": {"names", "_twisted", "_testing"},
    "front door": {"settings", "_observe", "_gateway", "_connection", "service", "_process"},
}
MODULES: dict[str, str] = {
    "": "front door",
    "testing": "testing",
    **dict.fromkeys(("util", "headers", "types", "handlers", "validate", "simple_server"), "names"),
    "settings": "settings",
    "service": "service",
    "resource": "resource",
    "__main__": "main",
}
FOLDERS = ("_wsgiref", "_http", "_threads", "_twisted", "_observe", "_gateway", "_connection", "_targets", "_process")
FOLDERS += ("_settings", "_service", "_testing")

# The modules that may use private names of Twisted, and Python's own private names that others use.
OF_TWISTED = frozenset({"_twisted.private", "_twisted.private_tls", "_twisted.turn_private", "_twisted.web_private"})
OF_TWISTED |= {"_twisted.fork_private"}
OF_PYTHON = {"_accept", "_args_from_interpreter_flags", "_current_frames", "_exit", "_getframe", "_is_gil_enabled"}

# Rooms that say the type of every value, and that ignore nothing that mypy says; and the modules that may not, and why.
TYPED = {"_http", "_wsgiref", "_twisted", "_threads", "_observe", "_gateway", "_connection", "_settings", "settings"}
TYPED |= {"_targets", "_service", "service", "resource", "_process", "main", "_testing", "testing"}
UNTYPED: dict[str, str] = {
    "_connection.factory": "Twisted's Factory makes protocols whose factory may be any",
    "_connection.handed_over": "its transport passes on whatever name that of Twisted has",
    "_connection.ending": "Twisted's Protocol knows few names of its transport",
    "_connection.web_request": "it has a request of twisted.web but between two, and each step would ask",
    "_gateway.handler": "its stdout is an answer, and a SimpleHandler's is a stream",
    "_targets.late_resource": "twisted.web's resources have no types",
    "_targets.resource": "twisted.web's sites and requests have no types",
    "_targets.web_channel": "twisted.web's requests have no types",
    "_targets.web_transport": "whoever takes a connection over gives it whatever transport there is",
}

NOT_IN_HTTP = {"twisted", "zope", "threading", "time", "socket", "select", "asyncio", "queue"}

# What is larger than the house rule allows, and why. Empty is best.
MOST_LINES_IN_A_FILE = 400
MOST_LINES_IN_A_FUNCTION = 60
LARGER_FILES: dict[str, str] = {
    "_process.dictionary": "a catalogue: one table, and it grows by a row with each option of another server",
    "_connection.web_request": "one request's life: its way out and its end look at the same few marks",
    "_connection.protocol": "one connection's life, and where two threads meet: it is checked by reading it whole",
    "service": "a page of words for its users, and one life: a start may take back a stop, so its steps stand together",
    "settings": "a catalogue: it grows by a paragraph with each setting, and is read by looking one up",
}
LARGER_FUNCTIONS: dict[str, str] = {}


class Import(NamedTuple):
    """One import as it is written in `module`: the full dotted name that it asks for, and where."""

    module: str
    target: str
    line: int
    at_start: bool


def dotted(path: Path) -> str:
    """Return the module's name below the package: "" for its __init__."""
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def trees() -> dict[str, ast.Module]:
    """Return each module's tree. Not made at import: each process that collects the tests imports this."""
    return {name: ast.parse(path.read_text(), str(path)) for name, path in SOURCES.items()}


def room_of(module: str) -> str | None:
    if module in MODULES:
        return MODULES[module]
    folder = module.partition(".")[0]
    return folder if folder in FOLDERS else None


def imports_of(module: str) -> Iterator[Import]:
    """Yield what the module imports anywhere in it; `at_start` where importing it runs the import."""
    package = module if SOURCES[module].name == "__init__.py" else module.rpartition(".")[0]
    package = "twisted_wsgiref" + (f".{package}" if package else "")
    late: set[ast.AST] = set()
    for node in ast.walk(trees()[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            late.update(ast.walk(node))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            late.update(each for statement in node.body for each in ast.walk(statement))
    for node in ast.walk(trees()[module]):
        at_start = node not in late
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno, at_start)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                below = f"{base}.{alias.name}".removeprefix("twisted_wsgiref.")
                yield Import(module, f"{base}.{alias.name}" if below in SOURCES else base, node.lineno, at_start)


@cache
def imports() -> list[Import]:
    """Return all imports of the package."""
    return [each for module in SOURCES for each in imports_of(module)]


def inside(target: str) -> str | None:
    """Return the module below the package that `target` is, or None for one of somebody else's."""
    if target == "twisted_wsgiref":
        return ""
    return target.removeprefix("twisted_wsgiref.") if target.startswith("twisted_wsgiref.") else None


def test_every_module_has_its_place_on_the_map() -> None:
    assert [module for module in SOURCES if room_of(module) is None] == []


def test_imports_point_downwards_only() -> None:
    wrong = []
    for each in imports():
        target = inside(each.target)
        if target is None or (target == "" and each.module != "" and each.target == "twisted_wsgiref"):
            continue  # Somebody else's, or the version from the front door (see the test below).
        from_room, to_room = room_of(each.module), room_of(target)
        if from_room != to_room and to_room not in ROOMS[from_room or ""]:
            wrong.append(f"{each.module}:{each.line} ({from_room}) imports {target} ({to_room})")
    assert wrong == []


def test_the_front_door_is_only_used_from_outside_or_for_the_version() -> None:
    wrong = []
    for module, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and inside(node.module or "") == "" and not node.level:
                names = {alias.name for alias in node.names}
                wrong += [f"{module}:{node.lineno}"] if {n for n in names if n not in SOURCES} - {"__version__"} else []
    assert wrong == []


def private_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each private name that `tree` reads or sets of an object, or imports, and its line."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "twisted":
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "setattr", "hasattr"):
            names = [str(each.value) for each in node.args[1:2] if isinstance(each, ast.Constant)]
        yield from ((name, node.lineno) for name in names if name.startswith("_") and not name.endswith("__"))


def names_made_here(tree: ast.AST) -> Iterator[str]:
    """Yield the names of functions, classes and variables of `tree`, and the attributes that it sets of itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            owner = node.value
            yield from [node.attr] if isinstance(owner, ast.Name) and owner.id in ("self", "cls") else []


def test_private_names_of_twisted_are_in_one_file() -> None:
    ours = {name for module, tree in trees().items() if module not in OF_TWISTED for name in names_made_here(tree)}
    wrong = [
        f"{module}:{line} {name}"
        for module, tree in trees().items()
        for name, line in private_names(tree)
        if module not in OF_TWISTED and name not in ours | OF_PYTHON
    ]
    assert wrong == []


def test_no_imports_in_a_circle() -> None:
    below: dict[str, set[str]] = {module: set() for module in SOURCES}
    for each in imports():
        target = inside(each.target)
        if target is not None and target in SOURCES and target != each.module and each.at_start:
            below[each.module].add(target)
    below[""] = set()  # The version is set before anything is imported there.
    left = dict(below)
    while free := [module for module, targets in left.items() if not targets & set(left)]:
        for module in free:
            del left[module]
    assert left == {}


def test_http_knows_no_reactor_no_thread_and_no_clock() -> None:
    wrong = [
        f"{each.module}:{each.line} {each.target}"
        for each in imports()
        if room_of(each.module) == "_http" and each.target.partition(".")[0] in NOT_IN_HTTP
    ]
    assert wrong == []


def test_the_standard_wsgiref_is_never_imported() -> None:
    assert [each for each in imports() if each.target.partition(".")[0] == "wsgiref"] == []


def test_no_check_rests_on_assert() -> None:
    found = [
        f"{module}:{node.lineno}"
        for module, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
    ]
    assert found == []


@pytest.mark.parametrize("room", sorted(TYPED))
def test_every_value_has_a_type(room: str) -> None:
    wrong = []
    for module, tree in trees().items():
        if room_of(module) == room and module not in UNTYPED:
            wrong += [
                f"{module}:{node.lineno} Any"
                for node in ast.walk(tree)
                if isinstance(node, ast.Name) and node.id == "Any"
            ]
            lines = SOURCES[module].read_text().splitlines()
            wrong += [f"{module}:{number} ignored" for number, line in enumerate(lines, 1) if "# type: ignore" in line]
    assert wrong == []


def test_the_package_counts_in_bytes_and_not_in_octets() -> None:
    found = [
        f"{module}:{number}"
        for module, path in SOURCES.items()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "octets" in line
    ]
    assert found == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_front_of_an_inner_room_holds_its_rules_and_nothing_else(folder: str) -> None:
    body = trees()[folder].body
    assert len(body) == 1
    assert ast.get_docstring(trees()[folder])


def test_every_file_opens_with_what_lives_in_it() -> None:
    assert [module for module, tree in trees().items() if not ast.get_docstring(tree)] == []


def test_files_stay_small() -> None:
    larger = {
        module: lines
        for module, path in SOURCES.items()
        if (lines := len(path.read_text().splitlines())) > MOST_LINES_IN_A_FILE and module not in LARGER_FILES
    }
    assert larger == {}


def test_functions_stay_small() -> None:
    larger = {}
    for module, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MOST_LINES_IN_A_FUNCTION and f"{module}:{node.name}" not in LARGER_FUNCTIONS:
                    larger[f"{module}:{node.name}"] = lines
    assert larger == {}


def test_the_plugin_folder_never_becomes_a_package() -> None:
    assert list((ROOT / "twisted").rglob("__init__.py")) == []
    assert (ROOT / "twisted" / "plugins" / "twisted_wsgiref_plugin.py").is_file()


def test_the_plugin_is_a_dozen_lines() -> None:
    tree = ast.parse((ROOT / "twisted" / "plugins" / "twisted_wsgiref_plugin.py").read_text())
    assert len(tree.body) == 3  # Its rule, one import, one object.


def test_the_types_are_told_to_the_world() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_importing_the_package_installs_no_reactor() -> None:
    code = (
        "import sys, twisted_wsgiref, twisted_wsgiref._process.loading, twisted_wsgiref._observe.access_log; "
        "sys.exit('twisted.internet.reactor' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0


# Folders of tests that are not about one room.
OTHER_TESTS = {"real", "corpus"}


def test_the_folders_of_tests_have_the_names_of_rooms() -> None:
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/__init__.py")}
    assert folders - OTHER_TESTS <= {room.removeprefix("_") for room in ROOMS}


def test_tests_import_the_benchmarks_only_to_test_them() -> None:
    wrong = [
        str(path)
        for path in (ROOT / "tests").rglob("*.py")
        if "benchmarks" in (text := path.read_text())  # few: to parse all takes seconds
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        and (getattr(node, "module", None) or node.names[0].name).partition(".")[0] == "benchmarks"
        and path.name != "test_benchmarks.py"
    ]
    assert wrong == []
