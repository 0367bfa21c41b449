"""Do the command line, the environment and a file come together in the options?"""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.python.usage import UsageError

from twisted_wsgiref._process.command_line import Options
from twisted_wsgiref.settings import Settings


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests are started with is not what they test."""
    monkeypatch.setattr(Options, "environ", {})


def parse(*words: str) -> Options:
    options = Options()
    options.parseOptions(words)
    return options


def settings(*words: str) -> Settings:
    made: Settings = parse(*words)["settings"]
    return made


def test_of_an_option_and_its_contrary_the_last_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings("--stream-input", "--no-stream-input").stream_input is False
    assert settings("--no-stream-input", "--stream-input").stream_input is True
    monkeypatch.setattr(Options, "environ", {"TWISTED_WSGIREF_STREAM_INPUT": "yes"})
    assert settings().stream_input is True
    assert settings("--no-stream-input").stream_input is False


def test_the_environment_and_a_file_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site.toml").write_text("app = 'a:b'\nthreads = 2\nqueue = 3\nuser = 'www'\n")
    variables = {"TWISTED_WSGIREF_CONFIG": str(tmp_path / "site.toml"), "TWISTED_WSGIREF_QUEUE": "5", "PORT": "80"}
    monkeypatch.setattr(Options, "environ", variables)
    options = parse("--threads", "4", "c:d")
    assert (options["app"], options["endpoints"]) == ("c:d", ["tcp:80"])
    assert (options["settings"].threads, options["settings"].queue) == (4, 5)
    assert options["configuration"].user == "www"


def test_a_near_option_is_suggested() -> None:
    with pytest.raises(
        UsageError, match=r"^option --treads not recognized; did you mean --threads\?; --help lists all$"
    ):
        parse("--treads", "3")


def test_a_check_ends_with_0_and_a_mistake_in_it_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse("--check-config", "a:b")
    assert not caught.value.code
    assert "# would serve a:b on tcp:8000:interface=127.0.0.1\n" in capsys.readouterr().out
    for words, line in {
        ("--user", "no-such"): "--user is 'no-such': there is no such user",
        ("--listen", "carrier:1"): "can not listen on 'carrier:1': Unknown endpoint type: 'carrier'",
    }.items():
        with pytest.raises(UsageError) as mistake:
            parse("--check-config", *words)
        assert str(mistake.value).startswith(line)
    assert capsys.readouterr().out == ""


def test_below_a_daemon_the_access_log_says_why_it_is_off() -> None:
    options = Options()
    options.parent = {"nodaemon": False, "debug": False}
    options.parseOptions([])
    assert options["settings"].access_log == "off"
    assert options["configuration"].sources["access_log"] == "default of a daemon"
