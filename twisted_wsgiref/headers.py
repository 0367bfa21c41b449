"""The headers of an answer, as a mapping over the list of pairs that PEP 3333 wants.

Only `Headers` lives here. It refuses names, values and parameters that it could not send as they are, at the call that
gives them, so that nobody can end a line early through them. Any thread may use an instance, one at a time.
"""

from __future__ import annotations

import re
from typing import Final, overload

__all__ = ["Headers"]

# RFC 2045, section 5.1: characters that a parameter's value may hold only in quotes. For programs that import it: ours
# are always quoted.
tspecials: Final = re.compile(r'[][ "(),/:;<=>?@\\]')

# RFC 9110, section 5.1: a name is a token. Some clients take another one for the end of the head, and overlook the
# fields after it.
_NOT_IN_NAME: Final = re.compile(r"[^!#$%&'*+\-.^_`|~0-9A-Za-z]")
# Characters that nobody may even ask for, as in the standard library from 3.14 on. A value may hold HTAB, of these.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_VALUE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def _check(text: object, forbidden: re.Pattern[str], what: str) -> str:
    if type(text) is not str:
        raise AssertionError(f"a header's {what} has to be a str, not {text!r}")
    if forbidden.search(text) is not None:
        allowed = "has to be a token" if forbidden is _NOT_IN_NAME else "may hold no control character"
        raise ValueError(f"a header's {what} {allowed}: {text!r}")
    return text


def _check_name(name: object) -> str:
    """Return `name`, the name of a field to send. Raises as `Headers` does."""
    if name == "":
        raise ValueError("a header's name has to be a token, not empty")
    return _check(name, _NOT_IN_NAME, "name")


class Headers:
    """A mapping over `headers`, a list of pairs of name and value, which it changes in place.

    Names are compared without regard to case, and keep the order and the case in which they came. A missing name reads
    as None, and deleting it does nothing. Raises `TypeError` if `headers` is not a list, `AssertionError` for names and
    values that are no `str`, `ValueError` for control characters and for names that are no token. Source: PEP 3333,
    "The start_response() Callable"; RFC 9110, section 5.
    """

    def __init__(self, headers: list[tuple[str, str]] | None = None) -> None:
        if headers is None:
            headers = []
        if type(headers) is not list:
            raise TypeError(f"headers have to be a list of pairs, not {headers!r}")
        for name, value in headers:
            _check_name(name)
            _check(value, _NOT_IN_VALUE, "value")
        self._headers = headers

    def __len__(self) -> int:
        return len(self._headers)

    def __setitem__(self, name: str, val: str) -> None:
        """Replace all fields of that name by one at the end."""
        _check(val, _NOT_IN_VALUE, "value")
        _check_name(name)
        del self[name]
        self._headers.append((name, val))

    def __delitem__(self, name: str) -> None:
        """Take all fields of that name out."""
        key = _check(name, _CONTROL, "name").lower()
        self._headers[:] = [pair for pair in self._headers if pair[0].lower() != key]

    def __getitem__(self, name: str) -> str | None:
        """Return the first value of that name, None if there is none."""
        return self.get(name)

    def get_all(self, name: str) -> list[str]:
        """Return the values of all fields of that name, in their order."""
        key = _check(name, _CONTROL, "name").lower()
        return [value for other, value in self._headers if other.lower() == key]

    @overload
    def get(self, name: str) -> str | None: ...

    @overload
    def get(self, name: str, default: str) -> str: ...

    @overload
    def get(self, name: str, default: None) -> str | None: ...

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the first value of that name, `default` if there is none."""
        key = _check(name, _CONTROL, "name").lower()
        for other, value in self._headers:
            if other.lower() == key:
                return value
        return default

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def keys(self) -> list[str]:
        """Return the names of all fields, in their order; a name comes once for each of its fields."""
        return [name for name, _ in self._headers]

    def values(self) -> list[str]:
        """Return the values, in their order."""
        return [value for _, value in self._headers]

    def items(self) -> list[tuple[str, str]]:
        """Return a copy of the list of pairs."""
        return self._headers[:]

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self._headers!r})"

    def __str__(self) -> str:
        """Return the fields as they are sent, with the empty line after them."""
        return "".join([f"{name}: {value}\r\n" for name, value in self._headers]) + "\r\n"

    def __bytes__(self) -> bytes:
        return str(self).encode("iso-8859-1")

    def setdefault(self, name: str, value: str) -> str:
        """Return the first value of that name; if there is none, add `value` and return it."""
        found = self.get(name)
        if found is not None:
            return found
        _check_name(name)
        _check(value, _NOT_IN_VALUE, "value")
        self._headers.append((name, value))
        return value

    def add_header(self, _name: str, _value: str | None, **_params: str | None) -> None:
        """Add a field, also if there is one of that name, with a parameter for each keyword.

        Underscores in a keyword become dashes; None as its value gives the name alone. Without `_value` the field
        consists of its parameters.
        """
        _check_name(_name)
        parts = [] if _value is None else [_check(_value, _NOT_IN_VALUE, "value")]
        for keyword, value in _params.items():
            name = _check(keyword, _CONTROL, "parameter").replace("_", "-")
            parts.append(name if value is None else _format_parameter(name, value))
        self._headers.append((_name, "; ".join(parts)))


def _format_parameter(name: str, value: str) -> str:
    _check(value, _NOT_IN_VALUE, "parameter")
    if not value:
        return name
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'
