"""An exchange without a server: a handler between an application and an outlet that only records."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from tests.answers import Answer, read_answers
from tests.support import TEXT, checked
from twisted_wsgiref._gateway.client_gone import ClientGone
from twisted_wsgiref._gateway.environ import ConnectionEnviron, service_environ
from twisted_wsgiref._gateway.error_stream import ErrorStream
from twisted_wsgiref._gateway.file_span import FileSpan
from twisted_wsgiref._gateway.handler import WSGIHandler
from twisted_wsgiref._gateway.request_body import RequestBody
from twisted_wsgiref._gateway.wsgi_exchange import Gateway, WSGIExchange
from twisted_wsgiref._http.coder import HTTP1Coder
from twisted_wsgiref._http.head import HeadParser
from twisted_wsgiref._http.limits import Limits
from twisted_wsgiref.util import FileWrapper

LIMITS = Limits(request_line=8190, field=8190, head=32768, fields=100, chunk_line=256, trailers=8190)


def gateway_of(**given: Any) -> Gateway:
    """Return a gateway that is `given`; what else there is to say to one has no weight here."""
    values: dict[str, Any] = {"multiprocess": False, "clock": lambda: 0.0, "observers": (), **given}
    for field in dataclasses.fields(Gateway):
        if field.name not in values and field.default is dataclasses.MISSING:
            values[field.name] = None
    return Gateway(**values)


def exit_by(sock: Any) -> Any:
    """Return as much of an `Exit` as a thread needs to send by what stands for a socket; None for None."""
    if sock is None:
        return None
    return SimpleNamespace(
        send=getattr(sock, "send", None),
        send_parts=getattr(sock, "sendmsg", None),
        send_before_file=getattr(sock, "send", None),
        send_file=lambda span: span.send_piece(sock),
    )


class RecordingOutlet:
    """`Outlet` as an answer sees it; the client leaves before block number `leaves`."""

    def __init__(self, leaves: int | None = None, software: str = "tests") -> None:
        self.coder = HTTP1Coder(software)
        self.lock = threading.Lock()
        self.kept = b""
        self.blocks: list[bytes] = []
        self.waits = 0
        self.files: list[int] = []
        self.gone = False
        self.under_way = False
        self.pending = 0
        self._leaves = leaves

    @property
    def octets(self) -> bytes:
        return b"".join(self.blocks)

    def admit(self, block: bytes | tuple[bytes, bytes], straight: bool, keep: bool = False) -> Any:
        if not self.lock.locked():
            raise RuntimeError("the lock has to be held")
        if self.gone:
            raise ClientGone
        return self.send

    def send(self, block: bytes | tuple[bytes, bytes], alone: bool = False) -> None:
        if self.lock.locked():
            raise RuntimeError("the lock must not be held while something is sent")
        for part in block if type(block) is tuple else (block,):
            if type(part) is not bytes:
                raise TypeError(f"an outlet takes bytes, not {part!r:.100}")
            if self._leaves is not None and len(self.blocks) >= self._leaves:
                self.gone = True
                raise ClientGone
            self.under_way = True
            self.blocks.append(part)

    def admit_file(self, head: bytes, span: FileSpan) -> Any:
        self.admit(head, True)
        self.files.append(span.remaining)

        def send(block: bytes) -> None:
            try:
                self.send(block)
                while span.remaining:
                    self.send(span.read(1 << 20))
            except ClientGone:
                span.close()
                raise

        return send

    def wait_for_room(self) -> None:
        self.waits += 1

    def may_be_seized(self) -> bool:
        return True

    def lose(self) -> None:
        self.gone = True

    def finish(self) -> bool:
        return True


class Body:
    """Blocks; an exception among them is raised."""

    def __init__(self, *blocks: bytes | BaseException, closing: BaseException | None = None) -> None:
        self._blocks = iter(blocks)
        self._closing = closing
        self.closed = 0

    def __iter__(self) -> Body:
        return self

    def __next__(self) -> bytes:
        block = next(self._blocks)
        if isinstance(block, BaseException):
            raise block
        return block

    def close(self) -> None:
        self.closed += 1
        if self._closing is not None:
            raise self._closing


def app_of(body: Any, *headers: tuple[str, str]) -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*TEXT, *headers])
        return body

    return app


class Run:
    """One application run for one request; ``octets`` is what went out, ``log`` what was logged."""

    def __init__(
        self,
        application: Callable[..., Any],
        *,
        method: str = "GET",
        minor: int = 1,
        fields: str = "",
        body: bytes = b"",
        leaves: int | None = None,
        handler_class: type[WSGIHandler] = WSGIHandler,
        software: str = "tests",
        validated: bool = True,
        script_name: str = "",
        isolated: bool = False,
    ) -> None:
        self.log: list[str] = []
        self.errors = ErrorStream(self.log.append)
        self.ended = 0
        self.method = method
        self.outlet = RecordingOutlet(leaves, software)
        gateway = gateway_of(
            application=checked(application) if validated else application,
            handler_class=handler_class,
            errors=self.errors,
            isolated=isolated,
        )
        lines = [f"{method} /path?query HTTP/1.{minor}", "Host: h", *filter(None, fields.split("\n"))]
        head = HeadParser(LIMITS).parse("\r\n".join(lines).encode("latin-1"))
        service = service_environ(
            software=software,
            script_name=script_name,
            multiprocess=False,
            errors=self.errors,
            file_wrapper=FileWrapper,
        )
        base = ConnectionEnviron(service, "http", ("127.0.0.1", 8080), ("127.0.0.2", 5000))
        held = RequestBody(1000)
        held.write(body)
        outlet: Any = self.outlet
        environ = base.make(head, len(body))
        self.exchange = WSGIExchange(gateway, head, environ, held if body else None, outlet, self)
        self.exchange.run()

    def exchange_ended(self) -> None:
        self.ended += 1

    def refuse_exchange(self, status: int) -> None:
        raise RuntimeError("nobody refuses here")

    @property
    def octets(self) -> bytes:
        return self.outlet.octets

    @property
    def logged(self) -> str:
        return "\n".join(self.log)

    @property
    def answer(self) -> Answer:
        """The one answer that went out, whole."""
        (answer,) = read_answers(self.octets, [self.method])
        return answer


def file_app(file: Any, *headers: tuple[str, str], block: int = 8192) -> Any:
    """Return an application that answers with `file`, by ``wsgi.file_wrapper``."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*TEXT, *headers])
        return environ["wsgi.file_wrapper"](file, block)

    return app
