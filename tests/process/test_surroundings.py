"""Does a process get the directory, the variables and the rights that its settings want, each before it is too late?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.python.usage import UsageError
from twisted.scripts.twistd import ServerOptions

from twisted_wsgiref._process.command_line import Options
from twisted_wsgiref._process.surroundings import take_variables, with_modes
from twisted_wsgiref.settings import SettingError, Settings


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Each test begins in a directory of its own, and leaves the process's own mask and directory as they were."""
    monkeypatch.setattr(Options, "environ", {})
    monkeypatch.chdir(tmp_path)
    mask = os.umask(0o022)
    yield
    os.umask(mask)


def parse(*words: str) -> Options:
    options = Options()
    options.parseOptions(words)
    return options


def refusal(*words: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse(*words)
    return str(caught.value)


# ---- The directory -------------------------------------------------------------------------------------------------


def test_paths_are_relative_to_the_directory_that_is_changed_to(tmp_path: Path) -> None:
    (tmp_path / "site" / "static").mkdir(parents=True)
    (tmp_path / "site.toml").write_text("chdir = 'site'\nmount = ['/s=static:static']\nthreads = 7")
    options = parse("--config", "site.toml")
    assert Path.cwd() == tmp_path / "site"
    assert options["mounts"] == [f"/s=static:{tmp_path}/site/static"]
    assert options["settings"].threads == 7


def test_a_directory_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    assert refusal("--chdir", "nowhere") == "--chdir is 'nowhere': No such file or directory"
    (tmp_path / "site.toml").write_text("chdir = 'nowhere'")
    assert refusal("--config", "site.toml") == "site.toml: chdir is 'nowhere': No such file or directory"


# ---- Variables -----------------------------------------------------------------------------------------------------


def test_variables_are_repeated_and_keep_blanks_and_commas(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wanted = ("A=1, 2", "B=x=y", "C=")
    assert parse("--env", "A=1, 2", "--env=B=x=y", "--env", "C=")["settings"].env == wanted
    (tmp_path / "site.toml").write_text("env = ['A=1, 2', 'B=x=y', 'C=']")
    assert parse("--config", "site.toml")["settings"].env == wanted
    monkeypatch.setattr(Options, "environ", {"TWISTED_WSGIREF_ENV": "A=1 B=2"})
    assert parse()["settings"].env == ("A=1", "B=2")


def test_variables_are_set_before_the_application_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP", "before")
    take_variables(Settings(env=("SHOP=a b", "SHOP_EMPTY=")))
    assert (os.environ["SHOP"], os.environ["SHOP_EMPTY"]) == ("a b", "")
    monkeypatch.delenv("SHOP_EMPTY")


@pytest.mark.parametrize("word", ["A", "=1", "=", "A B"])
def test_a_variable_without_name_or_value_is_refused(word: str) -> None:
    assert refusal("--env", word).endswith(f"{word!r} has to be NAME=VALUE")


# ---- Rights --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "mask"), [("027", 0o027), ("0o77", 0o077), ("7", 0o007), ("000", 0)])
def test_the_mask_is_octal(word: str, mask: int) -> None:
    take_variables(parse("--umask", word)["settings"])
    assert os.umask(0o022) == mask


@pytest.mark.parametrize("word", ["8", "-1", "0x7", "1777", "0o", "u=rwx"])
def test_a_mask_that_is_none_is_refused(word: str) -> None:
    assert refusal("--umask", word) == f"--umask is {word!r}: it has to be an octal number from 0 to 777, such as 027"


def test_a_mask_is_text_also_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text("umask = 27")
    assert refusal("--config", "site.toml") == "site.toml: umask is 27: text, in quotes, is wanted"


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("unix:/run/a", "unix:/run/a:mode=640"),
        (r"unix:/run/a\:b", r"unix:/run/a\:b:mode=640"),
        ("unix:address=/run/a:backlog=5", "unix:address=/run/a:backlog=5:mode=640"),
        ("unix:/run/a:mode=600", "unix:/run/a:mode=600"),
        ("unix:/run/a:600", "unix:/run/a:600"),
        ("tcp:8000", "tcp:8000"),
    ],
)
def test_a_unix_socket_without_a_mode_heeds_the_mask(endpoint: str, expected: str) -> None:
    assert with_modes([endpoint], "027") == [expected]
    assert with_modes([endpoint], "") == [endpoint]
    assert parse("--listen", endpoint, "--umask", "027")["configuration"].places == [expected]


def test_a_daemon_of_twistds_has_twistds_mask(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("sys.argv", ["twistd"])
    below: Any = ServerOptions()
    with pytest.raises(SystemExit) as caught:
        below.parseOptions(["wsgiref", "--umask", "027"])
    assert "--umask is '027': a daemon of twistd's has twistd's: twistd --umask" in str(caught.value)


def test_a_value_of_python_is_judged_as_well() -> None:
    with pytest.raises(SettingError, match=r"^umask is '9': "):
        Settings(umask="9")
    lone: Any = "A=1"
    assert Settings(env=lone).env == ("A=1",)
