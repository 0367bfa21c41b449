"""Does the command line say all that can be set, and does each mistake in it get one line?"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.application.twist._options import TwistOptions
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ReactorNotRunning
from twisted.logger import LogEvent
from twisted.python.usage import UsageError
from twisted.scripts.twistd import ServerOptions

from tests.process.words import parse, settings
from twisted_wsgiref._process import making
from twisted_wsgiref._process.command_line import Options
from twisted_wsgiref._process.process import CannotStart, CommandLineService, ThisProcess, address
from twisted_wsgiref._process.signals import Ending
from twisted_wsgiref.settings import Settings, knobs

pytestmark = pytest.mark.usefixtures("no_variables")


def test_nothing_said_is_the_demo_on_this_machine_only() -> None:
    options = parse()
    assert options["app"] is None
    assert options["endpoints"] == ["tcp:8000:interface=127.0.0.1"]
    assert options["settings"] == Settings()


@pytest.mark.parametrize(
    "words",
    [
        ["--app", "demo:app", "--threads", "2"],
        ["-a", "demo:app", "--threads=2"],
        ["--threads=2", "demo:app"],
        ["demo:app", "--threads", "2"],
        ["--threads", "2", "--", "demo:app"],
        ["demo:app", "--threads", "3", "--threads", "2"],
    ],
)
def test_options_stand_before_or_after_the_application(words: list[str]) -> None:
    options = parse(*words)
    assert options["app"] == "demo:app"
    assert options["settings"].threads == 2


def test_endpoints_are_kept_in_their_order() -> None:
    options = parse("--listen", "unix:/run/app.sock", "-p", "80", "-l", "tcp:81", "--port", "0")
    assert options["endpoints"] == ["unix:/run/app.sock", "tcp:80", "tcp:81", "tcp:0"]


def test_mounts_are_repeated_and_keep_their_blanks() -> None:
    options = parse("--mount", "/a b=static:/srv/a b", "--mount=/c=redirect:308:/d,e", "--workers", "2")
    assert options["mounts"] == ["/a b=static:/srv/a b", "/c=redirect:308:/d,e"]
    assert parse()["mounts"] == []


@pytest.mark.parametrize("name", knobs())
def test_every_knob_is_an_option_and_in_the_help(name: str) -> None:
    help_text = str(Options())
    assert f"--{name.replace('_', '-')}" in help_text


@pytest.mark.parametrize("name", knobs())
def test_every_knob_can_be_set_to_what_it_already_is(name: str) -> None:
    default = getattr(Settings(), name)
    if isinstance(default, bool):
        needs = {"proxy_protocol": ["--trusted-proxy=unix"], "stream_chunked": ["--stream-input"]}
        others = needs.get(name, [])
        assert getattr(settings(f"--{name.replace('_', '-')}", *others), name) is not default
    elif isinstance(default, tuple):
        assert settings(f"--{name.replace('_', '-')}={','.join(default)}") == Settings()
    else:
        assert settings(f"--{name.replace('_', '-')}={default}") == Settings()


def test_a_list_may_be_repeated() -> None:
    given = settings("--trusted-proxy", "10.0.0.0/8", "--trusted-proxy=unix,::1")
    assert given.trusted_proxy == ("10.0.0.0/8", "unix", "::1")


def test_sizes_are_typed_as_the_help_shows_them() -> None:
    assert settings("--max-body", "10m").max_body == 10 * 1024 * 1024
    words = " ".join(str(Options()).split())
    assert "a larger one (default: 1g)" in words
    assert "0: it closes after each answer (default: 65)" in words


def test_an_empty_value_is_a_value() -> None:
    assert settings("--server-header", "").server_header == ""


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--nonsense"], "option --nonsense not recognized; --help lists all"),
        (["-Z"], "option -Z not recognized; --help lists all"),
        (["--thread", "2"], "option --thread not a unique prefix: it begins --threads, --threads-idle, --threads-max"),
        (
            ["--stats", "127.0.0.1:1717"],
            "option --stats not a unique prefix: here it is --status ENDPOINT, as tcp:9180:interface=127.0.0.1, and "
            "then /metrics or /status.json there",
        ),
        (["--listen", ""], "--listen is empty: it has to be an endpoint, such as tcp:8000 or unix:/run/app.sock"),
        (["--access-log", "--port", "80"], "--access-log needs a value, and --port is an option; --help lists all"),
        (
            ["a:b", "0.0.0.0:80"],
            "the application is 'a:b' already, so '0.0.0.0:80' is too many (an address is for --bind)",
        ),
        (["--threads"], "option --threads requires argument; --help lists all"),
        (["--stream-input=maybe"], "option --stream-input must not have an argument; --help lists all"),
        (["--threads", "many"], "--threads is 'many': not a whole number"),
        (["--threads", "0"], "--threads is 0: it has to be at least 1"),
        (["--max-body", "-1"], "--max-body is '-1': not a number of bytes, such as 65536, 64k, 10m or 2g"),
        (["--script-name", "x"], "--script-name is 'x': it starts with a slash and does not end with one"),
        (["--port", "http"], "--port is 'http': it has to be a number from 0 to 65535"),
        (["--port", "65536"], "--port is '65536': it has to be a number from 0 to 65535"),
        (["--mount", "/a=m:b", "--mount", "/a/=m:c"], "--mount: /a is mounted twice"),
        (["--mount", "a=m:b"], "--mount is 'a=m:b': the prefix 'a': it has to start with a slash, as /static"),
        (["--mount", ""], "--mount is empty: it has to be /prefix=SPEC, as /static=static:/srv/static"),
        (["a:b", "c:d"], "the application is 'a:b' already, so 'c:d' is too many"),
        (["--app", "a:b", "c:d"], "the application is 'a:b' already, so 'c:d' is too many"),
    ],
)
def test_a_wrong_word_gets_its_line(words: list[str], line: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(*words)
    assert str(caught.value) == line


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_by_either_word(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(word)
    assert not caught.value.code
    assert "--threads=" in capsys.readouterr().out


def test_the_version_is_ours(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse("--version")
    assert not caught.value.code
    assert capsys.readouterr().out.startswith("twisted_wsgiref ")


# ---- Below twistd and twist ----------------------------------------------------------------------------------------


def below_twistd(*words: str) -> Options:
    server = ServerOptions()
    server.parseOptions(words)
    options = server.subOptions
    assert isinstance(options, Options)
    return options


def test_twistd_and_twist_find_the_plugin() -> None:
    assert "wsgiref" in {each[0] for each in ServerOptions().subCommands}
    assert "wsgiref" in TwistOptions().plugins


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (["-n", "wsgiref"], "-"),
        (["wsgiref"], "off"),
        (["wsgiref", "--access-log", "/var/log/access.log"], "/var/log/access.log"),
        (["-n", "wsgiref", "--access-log", "off"], "off"),
    ],
)
def test_the_access_log_is_on_where_somebody_sees_it(words: list[str], target: str) -> None:
    assert below_twistd(*words)["settings"].access_log == target


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["-n", "wsgiref", "--nonsense"], "option --nonsense not recognized; --help lists all"),
        (
            ["wsgiref", "--access-log", "-"],
            "--access-log is '-': a daemon has no standard output; give a path, or twistd -n",
        ),
    ],
)
def test_below_twistd_a_wrong_word_is_one_line_and_not_the_whole_help(
    words: list[str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/twistd", *words])
    with pytest.raises(SystemExit) as caught:
        below_twistd(*words)
    assert caught.value.code == f"twistd wsgiref: {line}"


# ---- The service ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nowhere_at_all:app"], "there is no module nowhere_at_all"),
        (
            ["--listen", "carrier-pigeon:1"],
            "can not listen on 'carrier-pigeon:1': Unknown endpoint type: 'carrier-pigeon'",
        ),
        (["--listen", "tcp:http"], "can not listen on 'tcp:http': "),
        (["--listen", "tcp"], "can not listen on 'tcp': "),
        (
            ["--listen", "ssl:443:privateKey=/no/such/key.pem"],
            "can not listen on 'ssl:443:privateKey=/no/such/key.pem': ",
        ),
        (
            ["--access-log", "/no/such/folder/access.log"],
            "--access-log is '/no/such/folder/access.log': No such file or directory",
        ),
    ],
)
def test_a_service_that_can_not_be_made_is_one_line(words: list[str], line: str) -> None:
    with pytest.raises(SystemExit) as caught:
        making.makeService(parse(*words))
    assert str(caught.value.code).startswith(f"twisted_wsgiref: {line}")
    assert "\n" not in str(caught.value.code)


def test_the_traceback_of_the_application_is_shown_and_then_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "failing_demo.py").write_text("import nowhere_at_all\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(SystemExit) as caught:
        making.makeService(parse("failing_demo:app"))
    assert str(caught.value.code) == (
        "twisted_wsgiref: importing failing_demo failed: ModuleNotFoundError: No module named 'nowhere_at_all' "
        "at failing_demo.py:1"
    )
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback (most recent call last):")
    assert "twisted_wsgiref" not in shown


class FakeReactor:
    """Keeps what it was asked to do."""

    def __init__(self) -> None:
        self.running = False
        self.stopped = 0
        self.when_running: list[Any] = []

    def callWhenRunning(self, call: Any) -> None:
        self.when_running.append(call)

    def callFromThread(self, call: Any, *arguments: Any) -> None:
        call(*arguments)

    def stop(self) -> None:
        self.stopped += 1
        if self.stopped > 1:
            raise ReactorNotRunning

    def sigTerm(self, number: int, frame: object) -> None:
        raise AssertionError("the reactor's own handler")


class FakeService:
    """A `WSGIService` whose endpoints listen when the test says so."""

    def __init__(self) -> None:
        self.whenListening: Deferred[list[Any]] = Deferred()
        self.done: list[str] = []
        self.error: Exception | None = None

    def privilegedStartService(self) -> None:
        self.done.append("bound")
        if self.error is not None:
            self.whenListening.errback(self.error)

    def startService(self) -> None:
        self.done.append("started")

    def stopService(self) -> Deferred[None]:
        self.done.append("stopped")
        return succeed(None)


class FakePort:
    def __init__(self, host: object) -> None:
        self.host = host

    def getHost(self) -> object:
        return self.host


def make(*words: str) -> tuple[CommandLineService, FakeService, FakeReactor]:
    reactor, service = FakeReactor(), FakeService()
    ending = Ending(reactor, register=lambda call: None)  # type: ignore[arg-type]
    options = parse(*words)
    process = ThisProcess(options["app"], options["settings"], options.command, reactor, ending)  # type: ignore[arg-type]
    return CommandLineService(service, process, None), service, reactor


def test_the_log_says_what_is_served_where(events: list[LogEvent]) -> None:
    _, service, _ = make("demo.wsgi:app", "--threads=1")
    service.whenListening.callback([FakePort(IPv4Address("TCP", "127.0.0.1", 8000)), FakePort(UNIXAddress(b"/run/x"))])
    assert [each["line"] for each in events if "line" in each] == [
        "serving demo.wsgi:app on http://127.0.0.1:8000, 1 thread",
        "serving demo.wsgi:app on unix:/run/x, 1 thread",
    ]


def test_the_log_names_the_demo_page_and_growing_threads(events: list[LogEvent]) -> None:
    _, service, _ = make("--threads-max", "16")
    service.whenListening.callback([FakePort(IPv6Address("TCP", "::1", 8000))])
    assert [each["line"] for each in events if "line" in each] == [
        "serving the demo page on http://[::1]:8000, 4 to 16 threads"
    ]


def test_a_tls_port_is_https_also_behind_a_wrapper() -> None:
    from twisted.internet.protocol import Factory
    from twisted.internet.ssl import ClientContextFactory
    from twisted.protocols.policies import WrappingFactory
    from twisted.protocols.tls import TLSMemoryBIOFactory

    port = FakePort(IPv4Address("TCP", "0.0.0.0", 443))
    port.factory = WrappingFactory(TLSMemoryBIOFactory(ClientContextFactory(), False, Factory()))  # type: ignore
    assert address(port) == "https://0.0.0.0:443"
    port.factory = WrappingFactory(Factory())  # type: ignore[attr-defined]
    assert address(port) == "http://0.0.0.0:443"


def test_a_busy_port_ends_the_process_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    service, inner, _ = make()
    inner.error = OSError("tcp:8000 can not be listened on: busy")
    sys_stderr, sys.__stderr__ = sys.__stderr__, sys.stderr
    try:
        with pytest.raises(CannotStart) as caught:
            service.privilegedStartService()
    finally:
        sys.__stderr__ = sys_stderr
    assert caught.value.code == 1
    assert isinstance(caught.value, SystemExit)
    assert isinstance(caught.value, Exception)
    assert str(caught.value) == "tcp:8000 can not be listened on: busy"
    assert capsys.readouterr().err == "twisted_wsgiref: tcp:8000 can not be listened on: busy\n"


def test_a_port_that_turns_out_busy_while_the_reactor_runs_stops_it_with_status_1(events: list[LogEvent]) -> None:
    service, inner, reactor = make()
    service.privilegedStartService()
    service.startService()
    reactor.running = True
    inner.whenListening.errback(OSError("busy"))
    assert reactor.stopped == 1
    assert service.status == 1
    assert [each["line"] for each in events if "line" in each] == ["busy"]


def test_stopping_drains_and_then_closes_the_access_log() -> None:
    service, inner, _ = make()
    closed: list[str] = []

    class Log:
        def close(self, timeout: float = 0.0) -> bool:
            closed.extend(inner.done)
            return True

    service._access_log = Log()  # type: ignore[assignment]
    service.privilegedStartService()
    service.startService()
    assert service.stopService().called
    assert closed == ["bound", "started", "stopped"]


# ---- Signals -------------------------------------------------------------------------------------------------------


@pytest.fixture
def handlers() -> Any:
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_a_signal_stops_the_reactor_once_and_the_status_is_0(handlers: None, events: list[LogEvent]) -> None:
    reactor = FakeReactor()
    ending = Ending(reactor, register=lambda call: None)
    signal.signal(signal.SIGTERM, reactor.sigTerm)
    ending.take_signals()
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    assert reactor.stopped == 1
    assert ending.status == 0
    assert [each["line"] for each in events if "line" in each] == [
        "SIGTERM: answering the requests in flight, then stopping"
    ]


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (signal.SIGTERM, "SIGTERM: answering the requests in flight, for 7 s at most, then stopping"),
        (
            signal.SIGINT,
            "SIGINT: answering the requests in flight, for 7 s at most, then stopping; a second Ctrl-C ends it at once",
        ),
    ],
)
def test_whoever_stops_it_is_told_how_long_that_may_take(
    number: int, line: str, handlers: None, events: list[LogEvent]
) -> None:
    reactor = FakeReactor()
    ending = Ending(reactor, register=lambda call: None)
    ending.grace = 7.0
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, reactor.sigTerm)
    ending.take_signals()
    signal.raise_signal(number)
    assert [each["line"] for each in events if "line" in each] == [line]


def test_the_last_calls_come_before_an_impatient_end_and_none_stops_it(
    handlers: None, events: list[LogEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    reactor, called = FakeReactor(), []
    now = [100.0]
    monkeypatch.setattr("twisted_wsgiref._process.signals.time.monotonic", lambda: now[0])
    monkeypatch.setattr("twisted_wsgiref._process.signals.os.kill", lambda pid, number: called.append(f"{number}"))
    ending = Ending(reactor, register=lambda call: None)
    ending.call_last(lambda: called.append("children"))
    ending.call_last(lambda: 1 / 0)
    ending.call_last(lambda: called.append("terminal"))
    signal.signal(signal.SIGINT, reactor.sigTerm)
    ending.take_signals()
    for seconds in (0.0, 0.5, 2.0):
        now[0] = 100.0 + seconds
        signal.raise_signal(signal.SIGINT)
    assert called == ["children", "terminal", f"{signal.SIGINT:d}"]


def test_a_signal_that_is_not_the_reactors_is_left_alone(handlers: None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Ending(FakeReactor(), register=lambda call: None).take_signals()
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("127.0.0.1:8000", "tcp:8000:interface=127.0.0.1"),
        (":80", "tcp:80"),
        ("[::1]:8000", r"tcp6:8000:interface=\:\:1"),
        ("unix:/run/app.sock", "unix:/run/app.sock"),
    ],
)
def test_gunicorns_way_to_say_where(address: str, endpoint: str) -> None:
    assert parse("-b", address)["endpoints"] == [endpoint]
    assert parse("--bind", address)["endpoints"] == [endpoint]


@pytest.mark.parametrize("address", ["8000", "host:", "host:port", "host:99999", ""])
def test_a_wrong_address_is_named(address: str) -> None:
    with pytest.raises(UsageError, match="--bind is"):
        parse("--bind", address)


def test_gunicorns_letter_for_workers() -> None:
    assert settings("-w", "3").workers == 3


def test_a_second_sigterm_does_not_kill_a_process_whose_interpreter_ends() -> None:
    # Python takes handlers away then; what is ignored stays so.
    last: list[Any] = []
    ending = Ending(FakeReactor(), register=last.append)
    before = signal.signal(signal.SIGTERM, ending._asked_to_stop)
    try:
        last[0]()
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
