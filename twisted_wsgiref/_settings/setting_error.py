"""The error of a setting, whose text names settings as whoever reads it knows them. Called in any thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from string import Formatter


class SettingError(ValueError):
    """A setting has a value that the server can not run with; the text names the setting, the value and the cure."""

    __module__ = "twisted_wsgiref"

    _template = "{}"
    _values: tuple[object, ...] = ()

    @classmethod
    def of(cls, template: str, *values: object) -> SettingError:
        """Return the error of the text `template`: ``{name}`` in it is a setting, each ``{}`` one of `values`."""
        error = cls(_filled(template, values, str))
        error._template, error._values = template, values
        return error

    def names(self) -> list[str]:
        """Return the names of the settings in the text, in their order."""
        return _names(self._template)

    def text(self, label: Callable[[str], str]) -> str:
        """Return the text with each setting named by `label`: people know it by the word that they have typed."""
        return _filled(self._template, self._values or (str(self),), label)


def _names(template: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(template) if name]


def _filled(template: str, values: Sequence[object], label: Callable[[str], str]) -> str:
    return template.format(*values, **{name: label(name) for name in _names(template)})
