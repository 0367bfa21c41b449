"""The command line of ``twistd wsgiref``, ``twist wsgiref`` and ``python -m twisted_wsgiref``.

What lives here: which words there are, in which order, and the one line that each mistake gets. What may not: the rows
of the help, which are `words`', and the service that is made of all that is asked for, which is `making`'s.
"""

from __future__ import annotations

import getopt
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, NoReturn

from twisted.python.usage import UsageError

from twisted_wsgiref import __version__
from twisted_wsgiref._connection.endpoints import ListenError, endpoint_of_address, parse_endpoint
from twisted_wsgiref._twisted.private import asks_for_completion
from twisted_wsgiref._twisted.reactor import the_reactor
from twisted_wsgiref._twisted.typed import Options as UsageOptions
from twisted_wsgiref.settings import SettingError

from . import configuration, sources
from .access import check_access_log
from .asked import Objects, refuse, tell
from .below_twistd import refusal
from .config_file import read_table
from .daemon import goes_to_file, left_outputs
from .extras import defaults
from .hooks import Hooks
from .identity import identity_of
from .mounting import check_mounts
from .surroundings import enter
from .words import FLAGS, PARAMETERS, Row, joined, mistake, option

if TYPE_CHECKING:
    from twisted_wsgiref.types import WSGIApplication

# gunicorn's default, and the port of Django's and most tutorials. Only this machine's programs reach it by default.
DEFAULT_ENDPOINT = "tcp:8000:interface=127.0.0.1"
# The command that is installed, which is ``python -m twisted_wsgiref``.
SCRIPT = "twisted-wsgiref"


class Options(UsageOptions):
    """The command line: ``[options] [MOD:APP]``, options before or after.

    After `parseOptions`: ``self["app"]`` is the application's spec or None, ``self["endpoints"]`` the endpoint
    strings, ``self["settings"]`` the `Settings`. Raises `UsageError`; below twistd or twist, which would print their
    whole help, `SystemExit` with one line instead.
    """

    synopsis = "[options] [MOD:APP]"
    longdesc = (
        "Serves a WSGI application. MOD:APP is a module and the name of the application in it; MOD:FACTORY() is the "
        "application that a factory returns; MOD alone is the module's application or app. Modules of the current "
        "directory are found. Without an application the server shows a demo page. Without --listen, --bind and --port "
        f"it listens on {DEFAULT_ENDPOINT}. Sizes may be written as 64k, 10m or 2g."
    )
    optFlags: ClassVar[list[Row]] = [
        ["check-config", None, "Print each setting in effect and its source, and exit"],
        *FLAGS,
    ]
    optParameters: ClassVar[list[Row]] = [
        ["app", "a", None, "Application to serve: MOD:APP, MOD:FACTORY() or MOD (default: a demo page)"],
        ["config", "c", None, "TOML file with settings, or a pyproject.toml with a table [tool.twisted_wsgiref]"],
        *PARAMETERS,
    ]

    # Handed in, so that tests have their own.
    environ: Mapping[str, str] = os.environ
    # The application itself, and what else its service is given: a script has them, and words on a line do not.
    application: WSGIApplication | None = None
    given: Objects = {}
    takes_refusal = False

    def __init__(self) -> None:
        super().__init__()
        self["endpoints"] = []
        self["mounts"] = []

    @property
    def found(self) -> configuration.Configuration:
        """All that is in effect, after `parseOptions`."""
        found: configuration.Configuration = self["configuration"]
        return found

    @property
    def command(self) -> str:
        """The command that the user typed; begins the line of each mistake."""
        if self.parent is None:
            typed = os.path.basename(sys.argv[0]).removesuffix(".exe")
            return typed if typed == SCRIPT else "twisted_wsgiref"
        return f"{os.path.basename(sys.argv[0])} {self.parent.subCommand or 'wsgiref'}"

    @property
    def _twistd(self) -> Mapping[str, object]:
        """The options of the twistd or twist that this is a part of; none for ``python -m``."""
        return self.parent or {}

    @property
    def daemonises(self) -> bool:
        """Whether this is a twistd that will leave its terminal. twist and ``python -m`` never do."""
        parent = self._twistd
        return "nodaemon" in parent and not parent["nodaemon"] and not parent.get("debug")

    @property
    def leaves(self) -> bool:
        """Whether this is a twistd that will be another process before it serves, which finds the same files."""
        return self.daemonises and not self._twistd.get("chroot")

    @property
    def relayed(self) -> frozenset[int]:
        """The descriptors of workers whose text has to go to our log, since that is not, or not for long, there."""
        if self.daemonises:
            return frozenset({1, 2})
        if self["settings"].daemon:
            return left_outputs()
        parent = self._twistd
        elsewhere = bool(parent.get("syslog")) or parent.get("logfile") not in (None, "-")
        return frozenset({2}) if elsewhere else frozenset()

    @property
    def told_another(self) -> bool:
        """Whether this is a twistd with a --uid or --gid of its own."""
        return any(self._twistd.get(each) is not None for each in ("uid", "gid"))

    def opt_listen(self, endpoint: str) -> None:
        """Endpoint to listen on, such as tcp:8000, unix:/run/app.sock or ssl:443:privateKey=key.pem; may be repeated"""
        if not endpoint.strip():
            raise UsageError("--listen is empty: it has to be an endpoint, such as tcp:8000 or unix:/run/app.sock")
        self["endpoints"].append(endpoint)

    opt_l = opt_listen

    def opt_mount(self, mount: str) -> None:
        """Target below a path, /prefix=SPEC: static:DIR, redirect:URL, wsgi:MOD:APP MOD:RESOURCE; may be repeated"""
        if not mount:
            raise UsageError("--mount is empty: it has to be /prefix=SPEC, as /static=static:/srv/static")
        self["mounts"].append(mount)

    def opt_bind(self, address: str) -> None:
        """Address to listen on, as HOST:PORT, :PORT or unix:PATH; may be repeated"""
        endpoint = address if address.startswith("unix:") else endpoint_of_address(address)
        if endpoint is None:
            raise UsageError(f"--bind is {address!r}: it has to be HOST:PORT, :PORT or unix:PATH; see also --listen")
        self["endpoints"].append(endpoint)

    opt_b = opt_bind

    def opt_port(self, port: str) -> None:
        """TCP port to listen on, at every interface; short for --listen tcp:PORT"""
        try:
            self["endpoints"].append(configuration.endpoint_of(port, "--port"))
        except SettingError as error:
            raise UsageError(str(error)) from None

    opt_p = opt_port

    def opt_help(self) -> NoReturn:
        """Print this help, and exit"""
        tell(str(self))

    opt_h = opt_help

    def opt_version(self) -> NoReturn:
        """Print the version, and exit"""
        tell(f"twisted_wsgiref {__version__}")

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Read the words, options before or after the application."""
        words = list(sys.argv[1:] if options is None else options)
        try:
            super().parseOptions(words if asks_for_completion(words) else self._options_first(words))
        except UsageError as error:
            if self.parent is None:
                raise
            refuse(self, str(error))

    def _options_first(self, words: list[str]) -> list[str]:
        """Return `words` with the application last: Twisted reads no option after it, but gunicorn's users do."""
        try:
            found, rest = getopt.gnu_getopt(words, self.shortOpt, self.longOpt)
        except getopt.error as error:
            raise UsageError(mistake(error, self.longOpt)) from None
        found = joined(found)
        ordered: list[str] = []
        for name, value in found:
            takes_value = f"{name[2:]}=" in self.longOpt or f"{name[1:]}:" in self.shortOpt
            if takes_value and value.startswith("--") and {value[2:], f"{value[2:]}="} & set(self.longOpt):
                # Other servers have flags of the same names, as --access-log.
                raise UsageError(f"{name} needs a value, and {value} is an option; --help lists all")
            ordered += [name, value] if takes_value else [name]
        return [*ordered, "--", *rest]

    def parseArgs(self, *words: str) -> None:
        """Take the application if it comes without --app."""
        if len(words) + (self["app"] is not None) > 1:
            extra, app = words[-1], self["app"] or words[0]
            remark = " (an address is for --bind)" if endpoint_of_address(extra) else ""
            raise UsageError(f"the application is {app!r} already, so {extra!r} is too many{remark}")
        if words:
            self["app"] = words[0]

    def postOptions(self) -> None:
        """Make the settings of what was said here, in the environment, and in a file."""
        found: configuration.Configuration | None = None
        try:
            table = read_table(self["config"], self.environ)
            found = self._configured(table, self.daemonises)
            if found.settings.chdir or found.settings.daemon:
                enter(found.settings)  # paths are relative to that directory
                found = self._configured(table, self.daemonises or (found.settings.daemon and not goes_to_file(1)))
            refused = refusal(found.settings, below=self.parent is not None, daemonises=self.daemonises)
            if refused is not None:
                raise refused
        except SettingError as error:
            raise UsageError(found.explain(error) if found is not None else str(error)) from None
        self["configuration"] = found
        self["app"], self["endpoints"], self["settings"] = found.app, found.endpoints, found.settings
        self["mounts"] = found.mounts
        if self["check-config"]:
            self._check()

    def _configured(self, table: sources.Layer, without_output: bool) -> configuration.Configuration:
        words: dict[str, str] = {}
        for name, usual in defaults().items():
            said = self.get(option(name))
            if usual is False:
                if said or self[f"no-{option(name)}"]:
                    words[name] = "yes" if said else "no"
            elif said is not None:
                words[name] = said
        off = sources.Given("off", "default of a daemon", "--access-log")
        return configuration.configure(
            sources.from_line(words, self["endpoints"], self["mounts"]),
            self.environ,
            table,
            {"access_log": off} if without_output else {},
            endpoint=DEFAULT_ENDPOINT,
        )

    def _check(self) -> NoReturn:
        """Print what is in effect, and end the process; raises `UsageError` for what could never be served."""
        # Late: twistd's --reactor has to come before it; and here no other one can any more.
        reactor = the_reactor()
        found: configuration.Configuration = self["configuration"]
        try:
            for endpoint in [*found.places, *filter(None, [found.settings.status])]:
                parse_endpoint(reactor, endpoint)
            identity_of(found.user, found.group, root=True)  # a check needs no root, but the start does
            check_mounts(found.mounts, found.settings)
            check_access_log(found.settings)
            Hooks.checked(found.settings.hooks)
        except ListenError as error:
            raise UsageError(str(error)) from None
        except SettingError as error:
            raise UsageError(found.explain(error)) from None
        tell(found.text())
