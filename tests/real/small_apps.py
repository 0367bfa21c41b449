"""Bottle, Pyramid, WebOb and Werkzeug's debugger, each mounted by the first segment of the path.

What lives here: applications, each as its documentation writes one. What may not: anything of the server's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bottle
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.request import Request as PyramidRequest
from pyramid.response import Response as PyramidResponse
from webob import Request, Response
from webob.dec import wsgify
from webob.exc import HTTPFound, HTTPNotFound, HTTPPaymentRequired
from werkzeug.debug import DebuggedApplication

from twisted_wsgiref.util import shift_path_info
from twisted_wsgiref.validate import validator

with_bottle = bottle.Bottle()


@with_bottle.get("/hello/<name>")
def greet(name: str) -> str:
    """Greet by name, in a template."""
    return bottle.template("Hello, {{name}}!", name=name)


@with_bottle.post("/upload")
def upload() -> dict[str, Any]:
    """Tell of the file that was sent."""
    file = bottle.request.files["file"]
    return {"name": file.raw_filename, "octets": len(file.file.read()), "note": bottle.request.forms["note"]}


@with_bottle.get("/stream")
def stream() -> Iterator[str]:
    """Send blocks of text."""
    bottle.response.content_type = "text/plain"
    for number in range(100):
        yield f"{number} "


@with_bottle.get("/source")
def source() -> Any:
    """Send a real file: this one."""
    return bottle.static_file("small_apps.py", root=__file__.rpartition("/")[0])


@with_bottle.get("/away")
def away() -> None:
    """Send elsewhere, by an exception that is an answer."""
    bottle.redirect("/bottle/hello/you")


def _make_pyramid() -> Any:
    def here(request: PyramidRequest) -> dict[str, Any]:
        return {"url": request.route_url("here", word=request.matchdict["word"]), "peer": request.client_addr}

    def forbidden(request: PyramidRequest) -> None:
        raise HTTPForbidden("not for you")

    def blocks(request: PyramidRequest) -> PyramidResponse:
        return PyramidResponse(app_iter=(b"%d " % number for number in range(100)), content_type="text/plain")

    with Configurator() as configurator:
        for name, pattern, view in (
            ("here", "/here/{word}", here),
            ("forbidden", "/forbidden", forbidden),
            ("blocks", "/blocks", blocks),
        ):
            configurator.add_route(name, pattern)
            configurator.add_view(view, route_name=name, renderer="json" if view is here else None)
        return configurator.make_wsgi_app()


@wsgify
def with_webob(request: Request) -> Any:
    """Answer by WebOb's exceptions, and by what it makes of a request."""
    if request.path_info == "/found":
        return HTTPFound(location="/elsewhere?a=1")
    if request.path_info == "/pay":
        raise HTTPPaymentRequired("a penny, please")
    if request.path_info == "/echo":
        return Response(json_body={"params": dict(request.params), "url": request.url, "method": request.method})
    if request.path_info == "/range":
        return Response(body=b"0123456789" * 1000, conditional_response=True)
    raise HTTPNotFound()


def _broken(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    a_local_that_the_debugger_shows = 6 * 7
    raise RuntimeError("deliberately, for the debugger", a_local_that_the_debugger_shows)


MOUNTED = {
    "bottle": with_bottle,
    "pyramid": _make_pyramid(),
    "webob": with_webob,
    "debugged": DebuggedApplication(_broken, evalex=False),
    "broken": _broken,
}


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Run the one that the path begins with."""
    return MOUNTED[shift_path_info(environ) or ""](environ, start_response)


checked = validator(application)
