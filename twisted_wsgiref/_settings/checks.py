"""Which values of settings make sense: those that depend on each other, and the texts that have a grammar of their own.

Types and bounds of single values are `knobs`'. Any thread may call.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from twisted_wsgiref._http.freshness import read_age_rule
from twisted_wsgiref._http.mounts import read_prefix
from twisted_wsgiref._http.places import is_of_this_machine, read_host_and_port

from .knobs import check_variables, read_bounds, shown
from .setting_error import SettingError

if TYPE_CHECKING:
    from twisted_wsgiref.settings import Settings

# Beats of a worker come each half second, and are looked for as often.
SHORTEST_WATCHDOG: Final = 2.0


def check(settings: Settings) -> None:
    """Raise `SettingError` for the first of `settings` that makes no sense; each value was looked at alone before."""
    if settings.threads_max and settings.threads_max < settings.threads:
        raise SettingError.of(
            "{threads_max} is {}: it has to be 0 or at least {threads}, which is {}",
            settings.threads_max,
            settings.threads,
        )
    if settings.max_head < max(settings.max_request_line, settings.max_field):
        raise SettingError.of(
            "{max_head} is {}: it has to be at least {max_request_line} ({}) and {max_field} ({})",
            *(settings.max_head, settings.max_request_line, settings.max_field),
        )
    if settings.script_name and (not settings.script_name.startswith("/") or settings.script_name.endswith("/")):
        raise SettingError.of(
            "{script_name} is {!r}: it starts with a slash and does not end with one", settings.script_name
        )
    _check_age_rules(settings)
    _check_variables(settings)
    _check_tls(settings)
    _check_status(settings)
    if settings.trusted_proxy:
        _check_networks(settings)
    elif settings.proxy_protocol:
        raise SettingError.of(
            "{proxy_protocol} is on: {trusted_proxy} has to name the proxies that may send the header"
        )
    if settings.stream_chunked and not settings.stream_input:
        raise SettingError.of("{stream_chunked} is on: {stream_input} has to be on, too")
    if settings.request_interrupt and (sys.implementation.name != "cpython" or find_spec("_ctypes") is None):
        raise SettingError.of(
            "{request_interrupt} is on: only CPython, with ctypes, can do that; it has to be off here"
        )
    if any(not " " <= character <= "~" for character in settings.server_header):
        raise SettingError.of("{server_header} is {!r}: it has to be printable ASCII", settings.server_header)
    if 0 < settings.watchdog < SHORTEST_WATCHDOG:
        raise SettingError.of(
            "{watchdog} is {:g}: it has to be 0 or at least {:g}, since a worker says twice a second that it lives",
            *(settings.watchdog, SHORTEST_WATCHDOG),
        )


def _check_tls(settings: Settings) -> None:
    for name in ("tls_key", "tls_passphrase_file", "tls_client_ca"):
        if getattr(settings, name) and not settings.tls_cert:
            raise SettingError.of("{" + name + "} is {!r}: {tls_cert} has to be set, too", getattr(settings, name))


def _check_variables(settings: Settings) -> None:
    try:
        check_variables(settings.env)
    except ValueError as error:
        raise SettingError.of("{env} is {}: {}", shown(settings.env), error) from None


def _check_age_rules(settings: Settings) -> None:
    for word in settings.static_max_age:
        try:
            read_age_rule(word)
        except ValueError as error:
            raise SettingError.of("{static_max_age} is {}: {}", shown(settings.static_max_age), error) from None


def _check_status(settings: Settings) -> None:
    if settings.status and not settings.status_token and not is_of_this_machine(settings.status):
        raise SettingError.of(
            "{status} is {!r}: it has to be an endpoint that only this machine reaches, as "
            "tcp:9180:interface=127.0.0.1 or unix:/run/app/status.sock; for any other set {status_token}",
            settings.status,
        )
    if settings.health_path:
        try:
            if not read_prefix(settings.health_path):
                raise ValueError("it has to be more than a slash")
        except ValueError as error:
            raise SettingError.of("{health_path} is {!r}: {}", settings.health_path, error) from None
    try:
        read_bounds(settings.histogram_buckets)
    except ValueError as error:
        raise SettingError.of("{histogram_buckets} is {}: {}", shown(settings.histogram_buckets), error) from None
    if settings.statsd and read_host_and_port(settings.statsd) is None:
        raise SettingError.of("{statsd} is {!r}: it has to be HOST:PORT, as 127.0.0.1:8125", settings.statsd)


def _check_networks(settings: Settings) -> None:
    # Late: most settings name no proxy.
    from twisted_wsgiref._http.forwarded import TrustedPeers

    try:
        TrustedPeers.parse(settings.trusted_proxy)
    except ValueError as error:
        raise SettingError.of("{trusted_proxy} is {}: {}", shown(settings.trusted_proxy), error) from None
