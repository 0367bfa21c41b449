"""Is there a text for every exception, whatever its class does when it is asked for it?"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from twisted_wsgiref._wsgiref.tracebacks import exception_line, stack_text, traceback_text

RAISED = [SystemExit, KeyboardInterrupt, MemoryError, RecursionError, GeneratorExit, ValueError]
raised = pytest.mark.parametrize("kind", RAISED)


def text_of(raising: Callable[[], object], limit: int | None = None) -> str:
    try:
        raising()
    except BaseException:
        return traceback_text(*sys.exc_info(), limit)
    raise RuntimeError("nothing was raised")


def fail(error: BaseException) -> None:
    raise error


def noted(kind: type[BaseException]) -> type[Exception]:
    class Noted(Exception):
        @property
        def __notes__(self) -> list[str]:
            raise kind("while the notes were read")

    return Noted


def mute(kind: type[BaseException]) -> type[Exception]:
    class Mute(Exception):
        def __str__(self) -> str:
            raise kind("while the text was made")

    return Mute


def evil_lines(monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]) -> None:
    """Have every look at a source line raise `kind`, as a loader's ``get_source`` may."""

    def look(*given: Any) -> str:
        raise kind("while a line was read")

    monkeypatch.setattr("linecache.getline", look)
    monkeypatch.setattr("linecache.checkcache", look)


def test_an_ordinary_traceback_is_pythons_own() -> None:
    def cause() -> None:
        try:
            fail(KeyError("first"))
        except KeyError as error:
            raise ValueError("second") from error

    with pytest.raises(ValueError, match="second") as caught:
        cause()
    given = (caught.type, caught.value, caught.tb)
    assert traceback_text(*given) == "".join(traceback.format_exception(*given))
    assert traceback_text(*given, 1) == "".join(traceback.format_exception(*given, limit=1))
    assert traceback_text(None, None, None) == "NoneType: None\n"


@raised
def test_notes_that_raise_cost_nothing_but_the_notes(kind: type[BaseException]) -> None:
    text = text_of(lambda: fail(noted(kind)("the text")))
    assert text.startswith("Traceback (most recent call last):\n")
    assert "in fail\n    raise error\n" in text
    assert "Noted: the text\n" in text


@raised
def test_a_text_that_raises_costs_nothing_but_the_text(kind: type[BaseException]) -> None:
    text = text_of(lambda: fail(mute(kind)()))
    assert "in fail\n" in text
    assert "Mute" in text


@raised
def test_all_that_formatting_may_raise_leaves_the_frames(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any, **also: Any) -> None:
        raise kind("as CPython 3.15 does, which imports the package whose import failed")

    monkeypatch.setattr(traceback, "format_exception", broken)
    text = text_of(lambda: fail(mute(kind)("not told")))
    assert "in fail\n    raise error\n" in text
    assert f"\nMute (its text is not known: __str__ raised {kind.__name__})\n" in text


@raised
def test_without_source_lines_the_frames_are_named(kind: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    evil_lines(monkeypatch, kind)
    text = text_of(lambda: fail(ValueError("the text")))
    assert f'  File "{__file__}", line ' in text
    assert ", in fail\n" in text
    assert "\nValueError: the text\n" in text


@pytest.mark.parametrize(("limit", "shown"), [(1, "text_of"), (-1, "fail"), (0, None), (None, "fail")])
def test_the_limit_holds_without_source_lines(
    limit: int | None, shown: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil_lines(monkeypatch, SystemExit)
    text = text_of(lambda: fail(ValueError()), limit)
    frames = [line.rpartition(" in ")[2] for line in text.splitlines() if line.startswith("  File ")]
    assert len(frames) == (3 if limit is None else abs(limit))
    assert shown is None or shown in frames


def test_a_chain_is_told_of_from_its_first_link() -> None:
    def chained() -> None:
        try:
            fail(KeyError("first"))
        except KeyError as error:
            raise noted(SystemExit)("second") from error

    text = text_of(chained)
    assert text.index("KeyError: 'first'") < text.index("Noted: second")


def test_an_endless_chain_ends() -> None:
    class Endless(Exception):
        @property
        def __cause__(self) -> BaseException:  # type: ignore[override]
            return Endless("again")

        @property
        def __notes__(self) -> list[str]:
            raise SystemExit

    text = text_of(lambda: fail(Endless("first")))
    assert text.count("Endless") < 20


def test_a_cause_that_raises_ends_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    class Causeless(Exception):
        @property
        def __cause__(self) -> BaseException:  # type: ignore[override]
            raise SystemExit

    assert "\nCauseless: the text\n" in text_of(lambda: fail(Causeless("the text")))


def test_if_nothing_can_be_told_the_types_name_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*given: Any, **also: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(traceback, "format_exception", no_memory)
    monkeypatch.setattr("twisted_wsgiref._wsgiref.tracebacks._chain", no_memory)
    assert text_of(lambda: fail(ValueError())) == "ValueError\n"


def test_a_type_whose_name_raises_has_a_name() -> None:
    class Meta(type):
        @property
        def __name__(cls) -> str:
            raise SystemExit

    class Nameless(Exception, metaclass=Meta):
        pass

    assert "Nameless: the text\n" in text_of(lambda: fail(Nameless("the text")))


def test_a_text_of_many_lines_is_one_line() -> None:
    assert exception_line(ValueError("one\n  two\r\nthree")) == "ValueError: one two three"
    assert exception_line(ValueError()) == "ValueError"


@raised
def test_a_text_that_raises_is_one_line_too(kind: type[BaseException]) -> None:
    assert exception_line(mute(kind)()) == f"Mute (its text is not known: __str__ raised {kind.__name__})"


@raised
def test_a_stack_is_told_without_source_lines(kind: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    def inner() -> FrameType:
        return sys._getframe()

    frame = inner()
    assert stack_text(frame) == "".join(traceback.format_stack(frame)).rstrip()
    evil_lines(monkeypatch, kind)
    lines = stack_text(frame).splitlines()
    assert lines[-1].endswith(", in inner")
    assert lines[-2].endswith(", in test_a_stack_is_told_without_source_lines")
