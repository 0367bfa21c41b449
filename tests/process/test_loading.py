"""Does every way of naming an application find it, and does every mistake get its one line?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from twisted_wsgiref._process.loading import LoadError, load_application

DEMO = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"application"]

class Namespace:
    @staticmethod
    def app(environ, start_response):
        return [b"dotted"]

    @property
    def broken(self):
        raise ValueError("no luck")

namespace = Namespace()

class Class:
    def __init__(self, environ, start_response):
        pass

def create_app(*args, **kwargs):
    def made(environ, start_response):
        return [repr((args, kwargs)).encode()]
    return made

def no_arguments():
    return application

def raises():
    raise RuntimeError("the database\\nis away")

def leaves():
    raise SystemExit(3)

def returns_none():
    pass

async def asgi(scope, receive, send):
    pass

text = "not callable"
"""


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Return a function that writes a module; what was imported from there is forgotten afterwards."""
    path, modules = list(sys.path), set(sys.modules)

    def write(name: str, source: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(source)
        return file

    write("demo.py", DEMO)
    yield write
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.split(".")[0] in {"demo", "other", "package", "bare", "lazy"}:
            del sys.modules[name]


def load(spec: str, tmp_path: Path) -> list[bytes]:
    application = load_application(spec, str(tmp_path))
    return list(application({}, lambda status, headers: None))


@pytest.mark.parametrize(
    ("spec", "answer"),
    [
        ("demo", b"application"),
        ("demo:application", b"application"),
        (" demo : application ", b"application"),
        ("demo:namespace.app", b"dotted"),
        ("demo:Namespace.app", b"dotted"),
        ("demo:create_app()", b"((), {})"),
        ('demo:create_app("x", -1, key=[1, None])', b"(('x', -1), {'key': [1, None]})"),
        ("demo:no_arguments()", b"application"),
    ],
)
def test_the_words_find_the_application(write: Callable[..., Path], tmp_path: Path, spec: str, answer: bytes) -> None:
    assert load(spec, tmp_path) == [answer]


def test_a_class_that_takes_the_two_arguments_is_an_application(write: Callable[..., Path], tmp_path: Path) -> None:
    assert load_application("demo:Class", str(tmp_path)).__name__ == "Class"


def test_a_module_alone_may_call_it_app(write: Callable[..., Path], tmp_path: Path) -> None:
    write("other.py", "def app(environ, start_response): return [b'app']")
    assert load("other", tmp_path) == [b"app"]


def test_the_current_directory_is_importable(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    load_application("demo")
    assert sys.path[0] == str(tmp_path)


def test_without_a_directory_the_path_stays(write: Callable[..., Path]) -> None:
    before = list(sys.path)
    with pytest.raises(LoadError, match=r"there is no module demo$"):
        load_application("demo", None)
    assert sys.path == before


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("demon:app", "there is no module demon; did you mean demo?"),
        ("nowhere_at_all.deep:app", "there is no module nowhere_at_all"),
        ("demo.wsgi:app", "there is no module demo.wsgi; did you mean demo?"),
        ("demo:aplication", "module demo has no attribute aplication; did you mean application?"),
        ("demo:namespace.ap", "demo:namespace has no attribute ap; did you mean app?"),
        ("demo:text", "demo:text is a str: a WSGI application has to be callable"),
        ("demo:text()", "demo:text is a str, which can not be called: leave out the parentheses?"),
        ("demo:returns_none()", "what demo:returns_none() returned is None: a WSGI application has to be callable"),
        (
            "demo:no_arguments",
            "demo:no_arguments takes (): a WSGI application is called with environ and start_response; "
            "for a factory write demo:no_arguments()",
        ),
        (
            "demo:asgi",
            "demo:asgi takes (scope, receive, send): a WSGI application is called with environ and start_response",
        ),
        (
            "demo:no_arguments(1)",
            "calling demo:no_arguments(1) failed: TypeError: "
            "no_arguments() takes 0 positional arguments but 1 was given",
        ),
        ("bare", "module bare has neither application nor app: say which, as bare:attr"),
        ("", "'' does not start with the name of a module: it has to look like mod:attr"),
        (
            "site/demo.py",
            "'site/demo.py' does not start with the name of a module: it has to look like mod:attr; "
            "write the module's name, site.demo",
        ),
        ("demo:", "'demo:': after the colon comes a name, as mod:attr, or a call of one, as mod:factory()"),
        ("demo:1", "'demo:1': after the colon comes a name, as mod:attr, or a call of one, as mod:factory()"),
        ("demo:a b", "'demo:a b': after the colon comes a name, as mod:attr, or a call of one, as mod:factory()"),
        ("demo:f()()", "'demo:f()()': after the colon comes a name, as mod:attr, or a call of one, as mod:factory()"),
        (
            "demo:f(open)",
            "'demo:f(open)': a factory can only be given literals: strings, numbers, True, None ...",
        ),
        (
            "demo:f(**{})",
            "'demo:f(**{})': a factory can only be given literals: strings, numbers, True, None ...",
        ),
    ],
)
def test_a_mistake_in_the_words_gets_one_line_and_no_traceback(
    write: Callable[..., Path], tmp_path: Path, spec: str, line: str
) -> None:
    write("bare.py", "")
    with pytest.raises(LoadError) as caught:
        load_application(spec, str(tmp_path))
    assert str(caught.value) == line
    assert caught.value.traceback == ""


@pytest.mark.parametrize(
    ("source", "text", "number"),
    [
        ("\n1 / 0\n", "ZeroDivisionError: division by zero", 2),
        ("import nowhere_at_all\n", "ModuleNotFoundError: No module named 'nowhere_at_all'", 1),
        ("import other\nraise SystemExit\n", "SystemExit", 2),
        ("\n\ndef f(:\n", "SyntaxError: invalid syntax", 3),
    ],
)
def test_a_module_that_fails_shows_its_own_traceback_and_none_of_ours(
    write: Callable[..., Path], tmp_path: Path, source: str, text: str, number: int
) -> None:
    file = write("other.py", source)
    with pytest.raises(LoadError) as caught:
        load_application("other:app", str(tmp_path))
    assert str(caught.value) == f"importing other failed: {text} at {file}:{number}"
    assert str(file) in caught.value.traceback
    assert "loading.py" not in caught.value.traceback
    assert "importlib" not in caught.value.traceback


def test_a_missing_module_that_theirs_asks_for_is_their_failure(write: Callable[..., Path], tmp_path: Path) -> None:
    file = write("package/__init__.py", "import package.wsgi\n")
    with pytest.raises(LoadError) as caught:
        load_application("package.wsgi:app", str(tmp_path))
    assert str(caught.value).endswith(f"No module named 'package.wsgi' at {file}:1")
    assert caught.value.traceback


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("demo:raises()", "calling demo:raises() failed: RuntimeError: the database is away at "),
        ("demo:leaves()", "calling demo:leaves() failed: SystemExit: 3 at "),
        ("demo:namespace.broken", "looking up demo:namespace.broken failed: ValueError: no luck at "),
    ],
)
def test_their_code_that_raises_is_shown_with_its_place(
    write: Callable[..., Path], tmp_path: Path, spec: str, line: str
) -> None:
    with pytest.raises(LoadError) as caught:
        load_application(spec, str(tmp_path))
    assert str(caught.value).startswith(line + str(tmp_path / "demo.py"))
    assert "\n" not in str(caught.value)
    assert caught.value.traceback.count("Traceback") == 1


def test_an_attribute_error_inside_their_own_lookup_is_theirs(write: Callable[..., Path], tmp_path: Path) -> None:
    write("lazy.py", "def __getattr__(name):\n    return None.nothing\n")
    with pytest.raises(LoadError, match="looking up lazy:app failed: AttributeError") as caught:
        load_application("lazy:app", str(tmp_path))
    assert caught.value.traceback


def test_an_interrupt_is_not_swallowed(write: Callable[..., Path], tmp_path: Path) -> None:
    write("other.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_application("other", str(tmp_path))


UNSPEAKABLE = """
class Mute(Exception):
    def __str__(self):
        raise SystemExit(3)

class Noted(Exception):
    @property
    def __notes__(self):
        raise SystemExit(4)

class Ended(BaseException):
    pass
"""


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        ("Mute()", "Mute (its text is not known: __str__ raised SystemExit)"),
        ("Noted('x')", "Noted: x"),
        ("Ended('x')", "Ended: x"),
        ("GeneratorExit", "GeneratorExit"),
        ("ModuleNotFoundError('x', name=5)", "ModuleNotFoundError: x"),
        ("SyntaxError(Mute())", "SyntaxError (its text is not known: __str__ raised SystemExit)"),
    ],
)
def test_a_failure_gets_its_line_whatever_formatting_does(
    write: Callable[..., Path], tmp_path: Path, raised: str, text: str
) -> None:
    file = write("other.py", f"{UNSPEAKABLE}\nraise {raised}\n")
    with pytest.raises(LoadError) as caught:
        load_application("other:app", str(tmp_path))
    assert str(caught.value) == f"importing other failed: {text} at {file}:14"
    assert str(file) in caught.value.traceback
    assert "loading.py" not in caught.value.traceback


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("other", "looking up other:application failed: Mute (its text is not known: __str__ raised SystemExit)"),
        ("other:app", "looking up other:app failed: Mute (its text is not known: __str__ raised SystemExit)"),
    ],
)
def test_a_lookup_that_fails_gets_its_line_whatever_it_raises(
    write: Callable[..., Path], tmp_path: Path, spec: str, line: str
) -> None:
    file = write("other.py", f"{UNSPEAKABLE}\ndef __getattr__(name):\n    if name[0] != '_':\n        raise Mute\n")
    with pytest.raises(LoadError) as caught:
        load_application(spec, str(tmp_path))
    assert str(caught.value) == f"{line} at {file}:16"


def test_a_module_that_puts_something_else_in_its_place_is_served(write: Callable[..., Path], tmp_path: Path) -> None:
    write("other.py", "import sys\nclass Site:\n    text = 'x'\nsys.modules[__name__] = Site()\n")
    with pytest.raises(LoadError) as caught:
        load_application("other:text", str(tmp_path))
    assert str(caught.value) == "other:text is a str: a WSGI application has to be callable"


def test_an_application_that_tells_nothing_of_its_arguments_is_believed(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write(
        "other.py",
        "class Proxy:\n"
        "    @property\n"
        "    def __signature__(self):\n"
        "        raise RuntimeError('outside of a request')\n"
        "    def __call__(self, environ, start_response):\n"
        "        return []\n"
        "app = Proxy()\n",
    )
    assert load_application("other:app", str(tmp_path))({}, None) == []


def test_arguments_that_can_not_be_shown_are_named(write: Callable[..., Path], tmp_path: Path) -> None:
    write("other.py", "class Odd:\n    def __repr__(self):\n        raise ValueError\ndef app(one=Odd()): pass\n")
    with pytest.raises(LoadError, match=r"^other:app takes \(one\): a WSGI application is called with environ"):
        load_application("other:app", str(tmp_path))


def test_names_that_can_not_be_listed_suggest_nothing(write: Callable[..., Path], tmp_path: Path) -> None:
    write("other.py", "class Odd:\n    def __dir__(self):\n        raise ValueError\nodd = Odd()\n")
    with pytest.raises(LoadError) as caught:
        load_application("other:odd.app", str(tmp_path))
    assert str(caught.value) == "other:odd has no attribute app"


def test_a_current_directory_that_is_gone_is_no_second_failure(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("other.py", "1 / 0\n")

    def gone(*given: str) -> str:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("os.path.relpath", gone)
    with pytest.raises(LoadError) as caught:
        load_application("other:app", str(tmp_path))
    assert str(caught.value) == f"importing other failed: ZeroDivisionError: division by zero at {file}:1"
