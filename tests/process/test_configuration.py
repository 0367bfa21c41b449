"""Does each setting come from where it should, and does each mistake get one line that says where it is?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from twisted_wsgiref._process.configuration import Configuration, configure
from twisted_wsgiref._process.extras import EXTRAS, defaults
from twisted_wsgiref._process.sources import Given, from_environment, from_file, from_line
from twisted_wsgiref.settings import SettingError, Settings, knobs

US = "TWISTED_WSGIREF_"
ENDPOINT = "tcp:8000:interface=127.0.0.1"


def configured(
    line: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    file: str = "",
    *,
    endpoints: tuple[str, ...] = (),
    path: str = "site.toml",
    fallback: Mapping[str, Given] | None = None,
) -> Configuration:
    table = from_file(path, file.encode()) if file else {}
    return configure(from_line(line or {}, endpoints), environ or {}, table, fallback or {}, endpoint=ENDPOINT)


def refusal(line: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None, file: str = "") -> str:
    with pytest.raises(SettingError) as caught:
        configured(line, environ, file)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_nothing_said_is_the_default() -> None:
    found = configured()
    assert found.settings == Settings()
    assert (found.app, found.endpoints, found.user, found.group) == (None, [ENDPOINT], "", "")
    assert (found.reload, found.reload_include) == (False, ())
    assert set(found.sources.values()) == {"default"}


# ---- Precedence ----------------------------------------------------------------------------------------------------

PLACES = [
    ({"workers": "2"}, {}, "", 2, "command line"),
    ({}, {"TWISTED_WSGIREF_WORKERS": "3"}, "", 3, "TWISTED_WSGIREF_WORKERS"),
    ({}, {"WEB_CONCURRENCY": "4"}, "", 4, "WEB_CONCURRENCY"),
    ({}, {}, "workers = 5", 5, "site.toml:workers"),
]


@pytest.mark.parametrize("first", range(len(PLACES)))
@pytest.mark.parametrize("second", range(len(PLACES)))
def test_the_nearer_place_comes_first(first: int, second: int) -> None:
    line, environ, file, value, source = PLACES[first]
    line2, environ2, file2, _, _ = PLACES[max(first, second)]
    found = configured({**line2, **line}, {**environ2, **environ}, file or file2)
    assert found.settings.workers == value
    assert found.sources["workers"] == source


def test_a_fallback_counts_where_nobody_said_anything() -> None:
    fallback = {"access_log": Given("off", "default of a daemon", "--access-log")}
    assert configured(fallback=fallback).settings.access_log == "off"
    assert configured(fallback=fallback).sources["access_log"] == "default of a daemon"
    assert configured(file="access_log = '/var/log/a'", fallback=fallback).settings.access_log == "/var/log/a"


@pytest.mark.parametrize(
    ("endpoints", "environ", "file", "expected", "source"),
    [
        (("tcp:1",), {"TWISTED_WSGIREF_LISTEN": "tcp:2", "PORT": "3"}, "listen = 'tcp:4'", ["tcp:1"], "command line"),
        ((), {f"{US}LISTEN": "tcp:2 unix:/a", "PORT": "3"}, "", ["tcp:2", "unix:/a"], f"{US}LISTEN"),
        ((), {"TWISTED_WSGIREF_PORT": "2"}, "listen = 'tcp:4'", ["tcp:2"], "TWISTED_WSGIREF_PORT"),
        ((), {"PORT": "3"}, "listen = ['tcp:4']", ["tcp:3"], "PORT"),
        ((), {"PORT": ""}, "listen = ['tcp:4', 'unix:/with blank']", ["tcp:4", "unix:/with blank"], "site.toml:listen"),
        ((), {}, "listen = 'unix:/with blank'", ["unix:/with blank"], "site.toml:listen"),
        ((), {}, "listen = 'unix:/a'\nport = [8]", ["unix:/a", "tcp:8"], "site.toml:listen and site.toml:port"),
        ((), {}, "listen = []", [ENDPOINT], "site.toml:listen"),
    ],
)
def test_where_to_listen_is_one_question(
    endpoints: tuple[str, ...], environ: Mapping[str, str], file: str, expected: list[str], source: str
) -> None:
    found = configured({}, environ, file, endpoints=endpoints)
    assert found.endpoints == expected
    assert found.sources["listen"] == source


def test_habits_of_gunicorn_and_of_platforms() -> None:
    environ = {"WEB_CONCURRENCY": "3", "PORT": "5000", "FORWARDED_ALLOW_IPS": "10.0.0.1,::1"}
    found = configured({}, environ)
    assert found.settings.workers == 3
    assert found.endpoints == ["tcp:5000"]
    assert found.settings.trusted_proxy == ("10.0.0.1", "::1")
    assert configured({}, {"FORWARDED_ALLOW_IPS": "*"}).settings.trusted_proxy == ("*",)
    assert configured({}, {"FORWARDED_ALLOW_IPS": ""}, "trusted_proxy = ['::1']").settings.trusted_proxy == ()
    assert configured({}, {"WEB_CONCURRENCY": "", "PORT": ""}).sources["workers"] == "default"


def test_variables_of_others_are_left_alone() -> None:
    assert from_environment({"HOME": "/root", "WSGIREF_THREADS": "2", "TWISTED_WSGIREF_CONFIG": "a.toml"}) == {}


# ---- The file ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("threads = 10", "threads", 10),
        ("threads = '10'", "threads", 10),
        ("keep_alive = 1.5", "keep_alive", 1.5),
        ("keep_alive = 2", "keep_alive", 2.0),
        ("keep-alive = 2", "keep_alive", 2.0),
        ("max_body = 65536", "max_body", 65536),
        ("max_body = '64k'", "max_body", 65536),
        ("stream_input = true", "stream_input", True),
        ("stream_input = 'yes'", "stream_input", True),
        ("stream_input = false", "stream_input", False),
        ("trusted_proxy = ['10.0.0.0/8', 'unix']", "trusted_proxy", ("10.0.0.0/8", "unix")),
        ("trusted_proxy = '10.0.0.0/8, unix'", "trusted_proxy", ("10.0.0.0/8", "unix")),
        ("server_header = ''", "server_header", ""),
        ("script_name = '/shop'", "script_name", "/shop"),
    ],
)
def test_the_types_of_toml_are_taken(text: str, name: str, value: object) -> None:
    found = configured(file=text)
    assert getattr(found.settings, name) == value
    assert type(getattr(found.settings, name)) is type(value)
    assert found.sources[name].startswith("site.toml:")


def test_auto_workers_in_a_file() -> None:
    assert configured(file="workers = 'auto'").settings.workers >= 1


def test_what_is_no_setting_of_the_service_is_there_too() -> None:
    found = configured(
        file="app = 'a:b'\nuser = 'www'\ngroup = 'web'\nreload = true\nreload_include = ['*.html', '*.css']"
    )
    assert (found.app, found.user, found.group) == ("a:b", "www", "web")
    assert (found.reload, found.reload_include) == (True, ("*.html", "*.css"))


def test_of_a_pyproject_only_our_table_is_read() -> None:
    text = "[project]\nname = 'x'\n[tool.twisted_wsgiref]\nthreads = 7\n[tool.other]\nthreads = 8"
    found = configured(file=text, path="some/where/pyproject.toml")
    assert found.settings.threads == 7
    assert found.sources["threads"] == "some/where/pyproject.toml:tool.twisted_wsgiref.threads"


@pytest.mark.parametrize("text", ["[project]\nname='x'", "tool = 1", "[tool]\ntwisted_wsgiref = 2"])
def test_a_pyproject_without_our_table_is_a_mistake(text: str) -> None:
    with pytest.raises(SettingError, match=r"^a/pyproject\.toml has no table \[tool\.twisted_wsgiref\]$"):
        from_file("a/pyproject.toml", text.encode())


def test_what_is_no_toml_is_one_line() -> None:
    assert refusal(file="threads = 1\nthreads = = 2").startswith("site.toml is not TOML: Invalid value (at line 2")
    with pytest.raises(SettingError, match=r"^conf.py is not TOML, which the settings have to be written in: "):
        from_file("conf.py", b"import os")
    with pytest.raises(SettingError, match=r"^site.toml is not UTF-8: byte 1 of it is 0xe9$"):
        from_file("site.toml", b"#\xe9")


# ---- Mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("thread = 1", "site.toml: thread names no setting; did you mean threads?"),
        ("max-bodi = 1", "site.toml: max-bodi names no setting; did you mean max_body?"),
        ("zzz = 1", "site.toml: zzz names no setting"),
        ("graceful_timeout = 30", "site.toml: graceful_timeout names no setting: here it is --grace"),
        ("[deadlines]\nlinger = 1", "site.toml: deadlines names no setting"),
        ("max_body = 1\nmax-body = 1", "site.toml: max-body is there twice, with - and with _"),
        ("threads = 1.5", "site.toml: threads is 1.5: a whole number is wanted"),
        ("threads = true", "site.toml: threads is true: a whole number is wanted"),
        ("threads = 'many'", "site.toml: threads is 'many': not a whole number"),
        ("threads = 0", "site.toml: threads is 0: it has to be at least 1"),
        ("max_body = 1.5", 'site.toml: max_body is 1.5: a whole number, or text as "64k", is wanted'),
        ("linger = [1]", "site.toml: linger is [1]: a number of seconds is wanted"),
        ("linger = inf", "site.toml: linger is inf: it has to be at most 2678400"),
        ("linger = nan", "site.toml: linger is nan: it has to be a number of seconds"),
        ("linger = -0.5", "site.toml: linger is -0.5: it has to be at least 0"),
        ("linger = 2020-01-01", "site.toml: linger is 2020-01-01: a number of seconds is wanted"),
        ("stream_input = 1", "site.toml: stream_input is 1: true or false is wanted"),
        ("context = 'view'", "site.toml: context is 'view': neither thread nor request"),
        ("stream_input = 'maybe'", "site.toml: stream_input is 'maybe': neither yes nor no"),
        ("reload = 'maybe'", "site.toml: reload is 'maybe': neither yes nor no"),
        ("server_header = 5", "site.toml: server_header is 5: text, in quotes, is wanted"),
        ("app = ['a:b']", 'site.toml: app is ["a:b"]: text, in quotes, is wanted'),
        ("user = {}", "site.toml: user is a table: text, in quotes, is wanted"),
        ("trusted_proxy = [1]", "site.toml: trusted_proxy is [1]: a list of texts, in quotes, is wanted"),
        ("listen = 80", "site.toml: listen is 80: a list of texts, in quotes, is wanted"),
        ("port = 'http'", "site.toml: port is 'http': it has to be a number from 0 to 65535"),
        ("port = 1.5", "site.toml: port is 1.5: a number is wanted"),
        ("port = [true]", "site.toml: port is [true]: a number is wanted"),
        ("port = 65536", "site.toml: port is '65536': it has to be a number from 0 to 65535"),
        ("check_config = true", "site.toml: check_config names no setting"),
    ],
)
def test_a_mistake_in_the_file_says_where_it_is(text: str, line: str) -> None:
    assert refusal(file=text) == line


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({f"{US}THREAD": "1"}, f"{US}THREAD names no setting; did you mean {US}THREADS?"),
        ({"TWISTED_WSGIREF_": "1"}, "TWISTED_WSGIREF_ names no setting"),
        ({f"{US}UDS": "1"}, f"{US}UDS names no setting: here it is --listen unix:PATH:mode=660"),
        ({"TWISTED_WSGIREF_THREADS": ""}, "TWISTED_WSGIREF_THREADS is '': not a whole number"),
        ({"TWISTED_WSGIREF_THREADS": "0"}, "TWISTED_WSGIREF_THREADS is 0: it has to be at least 1"),
        ({f"{US}PORT": "tcp://10.0.0.1"}, f"{US}PORT is 'tcp://10.0.0.1': it has to be a number from 0 to 65535"),
        ({"WEB_CONCURRENCY": "many"}, "WEB_CONCURRENCY is 'many': neither a whole number nor auto"),
        ({"WEB_CONCURRENCY": "0"}, "WEB_CONCURRENCY is 0: it has to be at least 1"),
        ({"PORT": "http"}, "PORT is 'http': it has to be a number from 0 to 65535"),
    ],
)
def test_a_mistake_in_the_environment_says_where_it_is(environ: dict[str, str], line: str) -> None:
    found = refusal({}, environ)
    assert found == line or found.startswith(f"{line}; did you mean ")


def test_a_network_that_is_none_is_a_mistake_of_its_place() -> None:
    line = refusal(environ={"FORWARDED_ALLOW_IPS": "10.0.0.0/8,proxy"})
    assert line.startswith("FORWARDED_ALLOW_IPS is ('10.0.0.0/8', 'proxy'): trusted proxy 'proxy' is no network")


# ---- Mounts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "file", "mounts", "source"),
    [
        ({}, "", [], "default"),
        ({}, "mount = '/a b=static:/srv/a b'", ["/a b=static:/srv/a b"], "site.toml:mount"),
        ({}, "mount = ['/a=static:/srv/a,b', '/=redirect:/b']", None, "site.toml:mount"),
        ({f"{US}MOUNT": "/a=static:/srv/a,b /=redirect:/b"}, "mount = '/c=mod:c'", None, f"{US}MOUNT"),
    ],
)
def test_mounts_are_in_their_order(environ: dict[str, str], file: str, mounts: list[str] | None, source: str) -> None:
    found = configured({}, environ, file)
    assert found.mounts == (["/a=static:/srv/a,b", "/=redirect:307:/b"] if mounts is None else mounts)
    assert found.sources["mount"] == source
    assert configured(file=found.text()).mounts == found.mounts


def test_a_directory_is_relative_to_where_the_server_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert configured(file="mount = '/static=static:build'").mounts == [f"/static=static:{tmp_path}/build"]


def test_directories_of_files_to_send_are_settled_and_may_have_spaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert configured(file="sendfile_root = ['my files', '/b,c']").settings.sendfile_root == (
        f"{tmp_path}/my files",
        "/b,c",
    )
    assert configured({"sendfile_root": "my files\n"}).settings.sendfile_root == (f"{tmp_path}/my files",)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("mount = '/a'", "site.toml: mount is '/a': it has to be /prefix=SPEC, and SPEC static:DIR"),
        ("mount = ['/a=m:b', 'b=m:c']", "site.toml: mount is 'b=m:c': the prefix 'b': it has to start with a slash"),
        ("mount = ['/a=m:b', '/a/=m:c']", "site.toml: mount: /a is mounted twice"),
        ("mount = '/a=/srv/a'", "site.toml: mount is '/a=/srv/a': what is mounted, '/srv/a': it has to be static:DIR"),
        ("mount = 1", "site.toml: mount is 1: a list of texts, in quotes, is wanted"),
        ("static_max_age = '*.css'", "site.toml: static_max_age is ('*.css',): '*.css' has to be PATTERN=SECONDS"),
    ],
)
def test_a_mistake_in_a_mount_says_where_it_is(file: str, line: str) -> None:
    assert refusal(file=file).startswith(line)


# ---- What is printed -----------------------------------------------------------------------------------------------


def test_what_is_printed_has_each_setting_its_source_and_what_would_be_served() -> None:
    found = configured(
        {"app": "site:app"},
        {"TWISTED_WSGIREF_MAX_BODY": "10m", "PORT": "80"},
        "stream_input = true\nserver_header = 'a\"b'",
    )
    *lines, last = found.text().splitlines()
    by_name = {line.removeprefix("# ").split(" ")[0]: line for line in lines}
    assert set(by_name) == {*EXTRAS, *knobs()} - {"port"}
    assert by_name["app"].split("  ")[0] == 'app = "site:app"'
    assert by_name["app"].endswith("  # command line")
    assert by_name["max_body"].split() == ["max_body", "=", '"10m"', "#", "TWISTED_WSGIREF_MAX_BODY"]
    assert by_name["stream_input"].split() == ["stream_input", "=", "true", "#", "site.toml:stream_input"]
    assert by_name["server_header"].split() == ["server_header", "=", '"a\\"b"', "#", "site.toml:server_header"]
    assert by_name["user"].startswith("# user is not set ")
    assert last == "# would serve site:app on tcp:80"


def test_what_is_printed_is_a_file_that_means_the_same() -> None:
    file = "app = 'a:b'\nlisten = ['unix:/a b', 'tcp:1']\ntrusted_proxy = ['::1']\nkeep_alive = 1e-3\nmax_rss = '3g'"
    found = configured({"proxy_protocol": "yes"}, {"WEB_CONCURRENCY": "3"}, file)
    again = configured(file=found.text())
    assert again.settings == found.settings
    assert (again.app, again.endpoints) == (found.app, found.endpoints)


@pytest.mark.parametrize("name", defaults())
def test_everything_can_be_set_from_the_environment_and_from_a_file(name: str) -> None:
    value = defaults()[name]
    word = ",".join(value) if isinstance(value, tuple) else str(value)
    word = "0" if name == "port" else word
    assert configured({}, {f"TWISTED_WSGIREF_{name.upper()}": word}).settings == Settings()
    assert configured({}, {}, f"{name} = '{word}'").settings == Settings()
