"""The status site: health, metrics, and what runs now, answered in the reactor's thread without a thread of the pool.

What lives here: the pages by their paths, and who may see them. What may not: the numbers, which are `_observe`'s, and
the site's port, which is `_connection.status_port`'s. docs/metrics.md has the pages.
"""

from __future__ import annotations

import base64
import json
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol
from urllib.parse import quote

from twisted_wsgiref._gateway.client_gone import ClientGone
from twisted_wsgiref._gateway.fields import format_fields
from twisted_wsgiref._http.mounts import read_prefix
from twisted_wsgiref._observe.exposition import CONTENT_TYPE, as_values, exposition
from twisted_wsgiref._observe.sums import age_of

from .reactor_exchange import ReactorAnswer, ReactorExchange, ReactorTarget

if TYPE_CHECKING:
    from twisted_wsgiref._gateway.exchange import Common
    from twisted_wsgiref._observe.standing import Standing

#: A process that does not answer within so many seconds is listed as one that did not.
ASK: Final = 1.0
_TEXT: Final = "text/plain; charset=utf-8"
_JSON: Final = "application/json"
# A browser asks its user for the token by the second (RFC 9110, section 11.6.1; RFC 6750 and RFC 7617).
_CHALLENGES: Final = (("WWW-Authenticate", 'Bearer realm="status"'), ("WWW-Authenticate", 'Basic realm="status"'))
_NO_TOKEN: Final = b"send the status token, as Authorization: Bearer TOKEN, or as the password of any user\n"
_INDEX: Final = """\
/                     a page for people, if a browser asks
/health/live          whether a process answers
/health/ready         whether a request would be served soon, and why not
/metrics              Prometheus' text format
/metrics/application  the application's own, by prometheus_client
/status.json          the same numbers, for a page
/requests             what runs now, with stacks
"""


class Page(NamedTuple):
    """An answer: its status line's end, its type, its body, and fields that only this one has."""

    status: str
    kind: str
    body: bytes
    fields: tuple[tuple[str, str], ...] = ()


class Requests(NamedTuple):
    """What the processes of a service run: of each request its facts, and the processes that have not answered."""

    running: Sequence[Mapping[str, object]]
    silent: Sequence[Mapping[str, object]]


class Others(Protocol):
    """The other processes of a service. Called in the reactor's thread."""

    def ask(self, told: Callable[[Requests], object], seconds: float) -> None:
        """Have `told` called with what they run, at the latest after so many `seconds`."""


class StatusSite:
    """What is told of a service: `standing` has its numbers, `server` says what it is.

    ``others`` are asked for what they run; None: there are none. `wake` has a function called in the reactor's thread.
    """

    def __init__(
        self,
        standing: Standing,
        server: Callable[[], Mapping[str, object]],
        wake: Callable[[Callable[[], None]], object],
    ) -> None:
        self._standing = standing
        self._server = server
        self._wake = wake
        self._collecting = False
        self.others: Others | None = None

    def health(self) -> Page:
        """Return whether a request would be served soon."""
        sums = self._standing.read()
        return Page("200 OK" if sums.ready else "503 Service Unavailable", _TEXT, f"{sums.reason}\n".encode())

    def page(self, path: str) -> Page | None:
        """Return the page at `path`; None if there is none."""
        if path == "/health/live":
            return Page("200 OK", _TEXT, b"alive\n")
        if path == "/health/ready":
            return self.health()
        if path == "/metrics":
            return Page("200 OK", CONTENT_TYPE, exposition(self._standing.read()).encode())
        if path == "/status.json":
            values = as_values(self._standing.read(), self._server())
            return Page("200 OK", _JSON, json.dumps(values, separators=(",", ":")).encode())
        if path == "/":
            return Page("200 OK", _TEXT, _INDEX.encode())
        return None

    def page_for_people(self) -> Page:
        """Return the page at ``/`` for a browser."""
        # Late: most sites are read by programs only.
        from .status_page import policy, status_page

        body = status_page(self._standing.read(), self._server())
        more = (("Content-Security-Policy", policy()), ("Referrer-Policy", "no-referrer"))
        return Page("200 OK", "text/html; charset=utf-8", body, more)

    def later(self, path: str, told: Callable[[Page], object]) -> bool:
        """Have `told` called with the page at `path`, if it is one that takes time; return whether it is."""
        if path == "/requests":
            self._requests(told)
        elif path == "/metrics/application":
            self._collect(told)
        else:
            return False
        return True

    def _requests(self, told: Callable[[Page], object]) -> None:
        ours = self._standing.requests()

        def tell(theirs: Requests) -> None:
            running = sorted([*ours, *theirs.running], key=age_of, reverse=True)
            values = {"requests": running, "silent": list(theirs.silent)}
            told(Page("200 OK", _JSON, json.dumps(values, indent=1).encode() + b"\n"))

        if self.others is None:
            tell(Requests((), ()))
        else:
            self.others.ask(tell, ASK)

    def _collect(self, told: Callable[[Page], object]) -> None:
        """Have the application's own metrics made, in a thread of their own: its collectors may do anything."""
        if "prometheus_client" not in sys.modules:
            told(Page("404 Not Found", _TEXT, b"the application has not imported prometheus_client\n"))
        elif self._collecting:
            told(Page("503 Service Unavailable", _TEXT, b"the metrics of another request are still being made\n"))
        else:
            self._collecting = True
            threading.Thread(target=self._collect_apart, args=(told,), name="metrics", daemon=True).start()

    def _collect_apart(self, told: Callable[[Page], object]) -> None:
        # Late: it is the application's, which has imported it.
        from .application_metrics import application_metrics

        try:
            kind, body = application_metrics()
            page = Page("200 OK", kind, body)
        except Exception as error:  # of a collector
            text = f"the application's metrics can not be made: {type(error).__name__}: {error}\n"
            page = Page("500 Internal Server Error", _TEXT, text.encode("utf-8", "backslashreplace"))

        def tell() -> None:
            self._collecting = False
            told(page)

        self._wake(tell)


class StatusAnswers:
    """Answers below `prefix` with the pages of `site`, for a `ReactorTarget`.

    With a `token` all but the health checks ask for it. Without one, the site is for this machine alone.
    """

    def __init__(self, site: StatusSite, prefix: str, token: str) -> None:
        self._site = site
        self._prefix = prefix
        self._token = token.encode("utf-8", "surrogateescape")

    def __call__(self, exchange: ReactorExchange, way_out: ReactorAnswer) -> None:
        """Answer with the page, or with the status that says why not."""
        head = exchange.head
        path = exchange.environ["PATH_INFO"][len(self._prefix) :]
        refused = self._refusal(head.method, path, head.fields, "REMOTE_ADDR" in exchange.environ)
        if refused is not None:
            send_page(way_out, refused, head.method)
            return
        if path == "":
            # Links of the page are relative to its folder.
            here = exchange.environ["SCRIPT_NAME"] + self._prefix
            place = (("Location", quote(here.encode("latin-1")) + "/"),)
            send_page(way_out, Page("308 Permanent Redirect", _TEXT, b"", place), head.method)
            return
        wants_html = "text/html" in head.fields.get("HTTP_ACCEPT", "")
        page = self._site.page_for_people() if path == "/" and wants_html else self._site.page(path)
        if page is not None:
            send_page(way_out, page, head.method)
        elif not self._site.later(path, lambda page: send_page(way_out, page, head.method)):
            send_page(way_out, Page("404 Not Found", _TEXT, _INDEX.encode()), head.method)

    def _refusal(self, method: str, path: str, fields: Mapping[str, str], by_tcp: bool) -> Page | None:
        if method not in ("GET", "HEAD"):
            return Page("405 Method Not Allowed", _TEXT, b"GET and HEAD only\n")
        if path in ("/health/live", "/health/ready"):
            return None
        if self._token:
            # Late: few sites have a token, and this brings a library of ciphers.
            from hmac import compare_digest

            if compare_digest(_secret(fields.get("HTTP_AUTHORIZATION", "")), self._token):
                return None
            return Page("401 Unauthorized", _TEXT, _NO_TOKEN, _CHALLENGES)
        if by_tcp and not _is_of_this_machine(fields.get("HTTP_HOST", "")):
            return Page("403 Forbidden", _TEXT, b"ask for localhost, or an address\n")
        return None


def is_watched(endpoint: str, health_path: str, mounts: Mapping[str, object]) -> bool:
    """Return whether anybody asks for the numbers of a service: by a site of its own, a check's path, or a mount."""
    return bool(endpoint or health_path) or any(mounted == "status:" for mounted in mounts.values())


def read_token(text: str) -> str:
    """Return the secret that `text` is, or names as ``file:PATH``. Raises `ValueError` if there is none in the file."""
    if not text.startswith("file:"):
        return text
    path = text.removeprefix("file:")
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            token = file.read().strip()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
    if not token:
        raise ValueError(f"{path} is empty")
    return token


def with_status(
    mounts: Mapping[str, object], site: StatusSite, token: str, health_path: str, common: Common, quiet: Common
) -> dict[str, object]:
    """Return `mounts` with a target in place of each ``status:``, and one at `health_path`.

    Checks of health go by `quiet`, which has no observers. Raises `ValueError` if `site` is mounted without a `token`.
    """
    found = dict(mounts)
    for written, mounted in mounts.items():
        if mounted == "status:":
            if not token:
                raise ValueError(
                    f"status: is mounted at {written}: status_token has to be set, since whoever reaches the port "
                    "could read the site; or give it an endpoint of its own by status"
                )
            found[written] = ReactorTarget(common, StatusAnswers(site, read_prefix(written), token))
    if health_path:
        if health_path in found:
            raise ValueError(f"{health_path} is the health_path, too")
        found[health_path] = ReactorTarget(quiet, HealthAnswers(site))
    return found


class HealthAnswers:
    """Answers a balancer's check on the service's own port, for a `ReactorTarget`: without a thread."""

    def __init__(self, site: StatusSite) -> None:
        self._site = site

    def __call__(self, exchange: ReactorExchange, way_out: ReactorAnswer) -> None:
        """Answer whether a request would be served soon."""
        send_page(way_out, self._site.health(), exchange.head.method)


def send_page(way_out: ReactorAnswer, page: Page, method: str) -> None:
    """Send `page`, if its client is still there."""
    if way_out.is_over:
        return
    fields = [
        ("Content-Type", page.kind),
        ("Content-Length", str(len(page.body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        *page.fields,
    ]
    if page.status.startswith("405"):
        fields.append(("Allow", "GET, HEAD"))
    try:
        way_out.whole(page.status, format_fields(fields), b"" if method == "HEAD" else page.body)
    except ClientGone:
        pass


def _secret(authorization: str) -> bytes:
    """Return the token that an Authorization field brings, or nothing: a bearer's, or the password of any user."""
    scheme, _, given = authorization.partition(" ")
    given = given.strip()
    if scheme.lower() == "bearer":
        return given.encode("latin-1")
    if scheme.lower() == "basic":
        with suppress(ValueError):
            return base64.b64decode(given, validate=True).partition(b":")[2]
    return b""


def _is_of_this_machine(host: str) -> bool:
    """Return whether `host`, a Host field, is no name that a web site could have given to this machine.

    A page in the operator's browser may have its own name lead to 127.0.0.1 (DNS rebinding), and read what it gets.
    """
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name in ("", "localhost") or name.endswith(".localhost"):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
