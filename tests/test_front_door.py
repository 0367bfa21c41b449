"""Does the front door lead where it says, and only there?"""

from __future__ import annotations

import subprocess
import sys

import pytest

import twisted_wsgiref


@pytest.mark.parametrize("name", twisted_wsgiref.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(twisted_wsgiref, name).__name__ == name
    assert name in dir(twisted_wsgiref)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'nonsense'"):
        twisted_wsgiref.nonsense  # noqa: B018


@pytest.mark.parametrize("name", ["util", "headers", "types", "handlers", "validate", "simple_server"])
def test_the_names_of_wsgiref_do_not_bring_twisted(name: str) -> None:
    program = f"import sys, twisted_wsgiref.{name}; sys.exit('twisted' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
