"""The text of an exception, whatever its class does when it is asked for it.

`traceback` runs code of the exception's class (``__str__``, ``__notes__``, ``__cause__`` as a property) and of the
module's loader (``get_source``), and since CPython 3.15 imports the package whose import failed. Each of these may
raise anything: `SystemExit`, `KeyboardInterrupt`, `MemoryError`. Nothing here raises: the text tells less instead, in
the end only the type's name. No Twisted, no files, no logs. Any thread may call.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType, TracebackType

# The most exceptions of a chain that the text has if `traceback` fails: the last ones, which one meets first.
_LINKS: Final = 10
_BETWEEN: Final = "\nwhich led to this, or was being handled when this was raised:\n\n"

# A metaclass may have a property of that name.
_name_of: Final[Callable[[type], str]] = type.__dict__["__name__"].__get__


def traceback_text(
    kind: type[BaseException] | None,
    value: BaseException | None,
    trace: TracebackType | None,
    limit: int | None = None,
) -> str:
    """Return the traceback as Python shows it, with its line end; a part of it if showing it raises.

    The arguments are those of `sys.exc_info`; `limit` is that of `traceback.format_exception`, in frames. Raises
    nothing.
    """
    try:
        return "".join(traceback.format_exception(kind, value, trace, limit))
    except BaseException as error:
        raised = type(error)
    try:
        parts = [_link(each, trace if each is value else each.__traceback__, limit) for each in _chain(value)]
        return f"{_BETWEEN.join(parts)}(a part of it: formatting the whole traceback raised {_name_of(raised)})\n"
    except BaseException:  # no memory is left, or no stack
        return f"{'None' if kind is None else _name_of(kind)}\n"


def exception_line(error: BaseException) -> str:
    """Return the type of `error`, and its text if it has one, in one line. Raises nothing."""
    name = _name_of(type(error))
    try:
        text = " ".join(str(error).split())
    except BaseException as second:
        return f"{name} (its text is not known: __str__ raised {_name_of(type(second))})"
    return f"{name}: {text}" if text else name


def stack_text(frame: FrameType) -> str:
    """Return the calls that led to `frame`, innermost last, without a last line end. Raises nothing."""
    try:
        return "".join(traceback.format_stack(frame)).rstrip()
    except BaseException:
        return "".join(reversed(_bare(traceback.walk_stack(frame)))).rstrip()


def _chain(value: BaseException | None) -> list[BaseException]:
    """Return the exceptions that led to `value`, and `value` as the last."""
    links: list[BaseException] = []
    each: object = value  # an exception's class may give anything for its cause
    while isinstance(each, BaseException) and len(links) < _LINKS and not any(each is link for link in links):
        links.append(each)
        try:
            cause = each.__cause__
            each = each.__context__ if cause is None and not each.__suppress_context__ else cause
        except BaseException:
            break
    return links[::-1]


def _link(error: BaseException, trace: TracebackType | None, limit: int | None) -> str:
    head = "" if trace is None else "Traceback (most recent call last):\n"
    return f"{head}{_frames(trace, limit)}{exception_line(error)}\n"


def _frames(trace: TracebackType | None, limit: int | None) -> str:
    try:
        return "".join(traceback.format_list(traceback.extract_tb(trace, limit)))
    except BaseException:  # a loader's, which was asked for the lines of its source
        lines = _bare(traceback.walk_tb(trace))
    if limit is not None:
        lines = lines[:limit] if limit >= 0 else lines[limit:]
    return "".join(lines)


def _bare(frames: Iterable[tuple[FrameType, int]]) -> list[str]:
    """Return a line for each frame, without a look at its source."""
    return [f'  File "{each.f_code.co_filename}", line {line}, in {each.f_code.co_name}\n' for each, line in frames]
