"""Do the command line, the environment and a file come together in the options?"""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.python.usage import UsageError
from twisted.scripts.twistd import ServerOptions

from tests.process.words import parse, settings
from twisted_wsgiref._process.command_line import Options

pytestmark = pytest.mark.usefixtures("no_variables")


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


# ---- A mistake is named as it was typed ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "environ", "line"),
    [
        (["--stream-chunked"], {}, "--stream-chunked is on: --stream-input has to be on, too"),
        (
            [],
            {"TWISTED_WSGIREF_STREAM_CHUNKED": "yes"},
            "TWISTED_WSGIREF_STREAM_CHUNKED is on: TWISTED_WSGIREF_STREAM_INPUT has to be on, too",
        ),
        (
            ["--stream-chunked"],
            {"TWISTED_WSGIREF_STREAM_INPUT": "no"},
            "--stream-chunked is on: TWISTED_WSGIREF_STREAM_INPUT has to be on, too",
        ),
        (
            ["--proxy-protocol"],
            {},
            "--proxy-protocol is on: --trusted-proxy has to name the proxies that may send the header",
        ),
        (
            ["--max-field", "64k"],
            {},
            "--max-head is 32768: it has to be at least --max-request-line (8190) and --max-field (65536)",
        ),
        (
            ["--threads-max", "4"],
            {"TWISTED_WSGIREF_THREADS": "8"},
            "--threads-max is 4: it has to be 0 or at least TWISTED_WSGIREF_THREADS, which is 8",
        ),
        ([], {"WEB_CONCURRENCY": "0"}, "WEB_CONCURRENCY is 0: it has to be at least 1"),
        (
            [],
            {"FORWARDED_ALLOW_IPS": "10.0.0.0/33"},
            "FORWARDED_ALLOW_IPS is ('10.0.0.0/33',): trusted proxy '10.0.0.0/33' is no network",
        ),
        (["--server-header", "{threads}\n"], {}, r"--server-header is '{threads}\n': it has to be printable ASCII"),
    ],
)
def test_a_message_names_settings_as_they_were_given(
    words: list[str], environ: dict[str, str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Options, "environ", environ)
    with pytest.raises(UsageError) as mistake:
        parse(*words)
    assert str(mistake.value).startswith(line)


@pytest.mark.parametrize(
    ("name", "table", "prefix"),
    [("site.toml", "", ""), ("pyproject.toml", "[tool.twisted_wsgiref]\n", "tool.twisted_wsgiref.")],
)
def test_a_message_names_settings_of_a_file_as_they_stand_there(
    name: str, table: str, prefix: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    for lines, line in {
        "stream-chunked = true": f"{prefix}stream-chunked is on: {prefix}stream_input has to be on, too",
        "threads = 8\nthreads_max = 4": (
            f"{prefix}threads_max is 4: it has to be 0 or at least {prefix}threads, which is 8"
        ),
        'max_field = "64k"': (
            f"{prefix}max_head is 32768: it has to be at least {prefix}max_request_line (8190) and {prefix}max_field"
        ),
    }.items():
        path.write_text(f"{table}{lines}\n")
        with pytest.raises(UsageError) as mistake:
            parse("--config", str(path))
        assert str(mistake.value).startswith(f"{path}: {line}")


def test_what_the_process_finds_wrong_is_named_as_it_was_given_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Options, "environ", {"TWISTED_WSGIREF_USER": "no-such"})
    with pytest.raises(UsageError, match=r"^TWISTED_WSGIREF_USER is 'no-such': there is no such user$"):
        parse("--check-config")
    monkeypatch.setattr(Options, "environ", {"TWISTED_WSGIREF_ACCESS_LOG": "-"})
    with pytest.raises(SystemExit, match=r"wsgiref: TWISTED_WSGIREF_ACCESS_LOG is '-': a daemon has no standard outp"):
        ServerOptions().parseOptions(["wsgiref"])
