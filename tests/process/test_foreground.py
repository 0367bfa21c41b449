"""Does a script's one call understand what it is asked for, and say in one line what it can not do?"""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest
import twisted.internet

import twisted_wsgiref
from tests.support import hello
from twisted_wsgiref import SettingError, WSGIHandler
from twisted_wsgiref._process import foreground
from twisted_wsgiref._process.foreground import serve


class Reached(Exception):
    """All that can be judged beforehand was found right."""


class Asked:
    """What would be served."""

    def __init__(self) -> None:
        self.options: Any = None

    def __call__(self, options: Any, ending: Any) -> Any:
        self.options = options
        raise Reached

    def by(self, *given: Any, **named: Any) -> Any:
        with pytest.raises(Reached):
            serve(*given, **named)
        return self.options


class Idle:
    """A reactor that has never run."""

    running = False


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    made = Asked()
    monkeypatch.setattr(foreground.making, "makeService", made)
    monkeypatch.setattr(twisted.internet, "reactor", Idle(), raising=False)
    return made


@pytest.mark.parametrize(
    ("named", "endpoints"),
    [
        ({}, ["tcp:8000:interface=127.0.0.1"]),
        ({"port": 80}, ["tcp:80:interface=127.0.0.1"]),
        ({"port": 0, "host": ""}, ["tcp:0"]),
        ({"host": "::1"}, [r"tcp6:8000:interface=\:\:1"]),
        ({"listen": "unix:/run/app.sock"}, ["unix:/run/app.sock"]),
        ({"listen": ["tcp:1", "tcp:2"], "port": 3}, ["tcp:1", "tcp:2", "tcp:3:interface=127.0.0.1"]),
    ],
)
def test_it_listens_where_it_is_told(asked: Asked, named: dict[str, Any], endpoints: list[str]) -> None:
    assert asked.by(hello, **named).found.endpoints == endpoints


def test_settings_are_keywords(asked: Asked) -> None:
    options = asked.by(hello, threads=2, trusted_proxy=["10.0.0.0/8"], access_log="off")
    assert options.found.settings == twisted_wsgiref.Settings(
        threads=2, trusted_proxy=("10.0.0.0/8",), access_log="off"
    )
    assert options.found.app == "tests.support:hello"
    assert options.application is hello


def test_the_environment_is_not_looked_at(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWISTED_WSGIREF_THREADS", "9")
    monkeypatch.setenv("PORT", "9999")
    options = asked.by(hello)
    assert options.found.settings == twisted_wsgiref.Settings()
    assert options.found.endpoints == ["tcp:8000:interface=127.0.0.1"]


def test_an_application_given_as_text_may_have_processes_of_its_own(asked: Asked) -> None:
    options = asked.by("shop:app", workers=2, reload=True, reload_include=["*.html"])
    found = options.found
    assert (found.app, found.settings.workers, found.reload, found.reload_include) == ("shop:app", 2, True, ("*.html",))
    assert options.application is None


def test_mounts_that_are_text_are_read_as_on_the_command_line(asked: Asked) -> None:
    options = asked.by(hello, mounts={"/static": "static:/srv/static", "/other": hello})
    assert options.found.mounts == ["/static=static:/srv/static"]
    assert options.given["mounts"] == {"/other": hello}


@pytest.mark.parametrize(
    ("named", "line"),
    [
        ({"mounts": {"static": "static:/srv/static"}}, "mounts is 'static=static:/srv/static': the prefix 'static': "),
        ({"port": 65536}, "port is 65536: it has to be a whole number from 0 to 65535"),
        ({"port": "80"}, "port is '80': it has to be a whole number"),
        ({"port": True}, "port is True: "),
        ({"host": None}, "host is None: it has to be a str"),
        ({"listen": 80}, "listen is 80: it has to be endpoints as text"),
        ({"listen": [""]}, "listen is \\[''\\]: "),
        ({"threads": 0}, "threads is 0: it has to be at least 1"),
        ({"reload": "yes"}, "reload is 'yes': it has to be True or False"),
        ({"workers": 2}, r"workers is 2: .* as text, as serve\('mod:app'\)"),
        ({"max_requests": 5}, "max_requests is 5: .* as text"),
        ({"user": "www-data"}, "user is 'www-data': .* as text"),
        ({"reload": True}, "reload is True: .* as text"),
    ],
)
def test_a_value_that_can_not_be_is_named(named: dict[str, Any], line: str) -> None:
    with pytest.raises(SettingError, match=line):
        serve(hello, **named)


@pytest.mark.parametrize(
    "named", [{"observers": [print]}, {"mounts": {"/a": hello}}, {"handler_class": type("Other", (WSGIHandler,), {})}]
)
def test_objects_do_not_reach_other_processes(named: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=r"workers is set: handler_class, .* do not reach other processes"):
        serve("shop:app", workers=2, **named)


@pytest.mark.parametrize(
    ("name", "line"),
    [("thread", "did you mean threads?"), ("trusted_proxies", ""), ("prot", "did you mean port?"), ("app", "")],
)
def test_an_unknown_keyword_names_the_nearest(name: str, line: str) -> None:
    with pytest.raises(TypeError, match=f"no setting {name}") as caught:
        serve(hello, **{name: 1})
    assert line in str(caught.value)


def test_what_can_not_be_called_is_no_application() -> None:
    application: Any = 42
    with pytest.raises(TypeError, match="the application is 42: it has to be callable, or text"):
        serve(application)


def test_another_thread_is_told_what_to_use() -> None:
    raised: list[BaseException] = []

    def run() -> None:
        try:
            serve(hello)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    (error,) = raised
    assert isinstance(error, RuntimeError)
    assert "main thread" in str(error)


@pytest.mark.parametrize(("running", "started", "line"), [(True, True, "runs already"), (False, True, "has run")])
def test_a_reactor_that_runs_or_has_run_is_refused(
    monkeypatch: pytest.MonkeyPatch, running: bool, started: bool, line: str
) -> None:
    reactor: Any = Idle()
    reactor.running, reactor._startedBefore = running, started
    monkeypatch.setattr(twisted.internet, "reactor", reactor, raising=False)
    with pytest.raises(RuntimeError, match=line):
        serve(hello)


def test_handlers_of_signals_are_left_as_they_were(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)

    def make(options: Any, ending: Any) -> Any:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise Reached

    monkeypatch.setattr(foreground.making, "makeService", make)
    with pytest.raises(Reached):
        serve(hello)
    assert signal.getsignal(signal.SIGINT) is before
