"""Is a service at home in somebody else's Twisted program? Under trial's own reactor; pytest runs these too."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

import treq
from twisted.application.service import MultiService
from twisted.internet import reactor as any_reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.internet.threads import blockingCallFromThread
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent

from tests.support import PORT_TAKEN
from twisted_wsgiref import ListenError, Settings, WSGIService
from twisted_wsgiref.testing import client, serving
from twisted_wsgiref.validate import validator

reactor: Any = any_reactor


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["SCRIPT_NAME"].encode() + b" says hello"]


class EmbeddedService(TestCase):
    """Each test is a program that holds services among other things."""

    timeout = 30

    def setUp(self) -> None:
        self.program = MultiService()
        self.addCleanup(self.program.stopService)
        self.program.startService()
        self.agent = Agent(reactor)

    def serve(self, application: Any, **settings: Any) -> Deferred[int]:
        """Return the port on which `application` is served."""
        service = WSGIService(application, ["tcp:0:interface=127.0.0.1"], Settings(threads=2, **settings))
        service.setServiceParent(self.program)
        return service.whenListening.addCallback(lambda ports: ports[0].getHost().port)

    def get(self, port: int) -> Deferred[str]:
        return treq.get(f"http://127.0.0.1:{port}/", agent=self.agent).addCallback(treq.text_content)

    @inlineCallbacks
    def test_several_services_share_a_process(self) -> Generator[Any, Any, None]:
        one = yield self.serve(validator(hello), script_name="/one")
        two = yield self.serve(validator(hello), script_name="/two")
        self.assertEqual((yield self.get(one)), "/one says hello")
        self.assertEqual((yield self.get(two)), "/two says hello")

    def test_a_mount_outside_ascii_is_cut_off_the_path(self) -> None:
        def told(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode("latin-1")]

        for name in ("/m\xfcller", "/\u65e5\u672c"):
            with client(told, validate=True, script_name=name) as web:
                answer = web.result(web.get(f"{name}/x"))
                self.assertEqual(web.result(answer.content()), f"{name} /x".encode())

    async def test_an_application_may_ask_the_reactor_for_something_and_wait(self) -> None:
        def asking(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            answer = blockingCallFromThread(reactor, deferLater, reactor, 0.01, lambda: b"from the reactor")
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [answer]

        async with serving(asking) as url:
            answer = await treq.get(url, agent=self.agent)
            self.assertEqual(await answer.text(), "from the reactor")

    @inlineCallbacks
    def test_stopping_waits_for_a_request_whose_thread_waits_for_the_reactor(self) -> Generator[Any, Any, None]:
        # Joining threads from the reactor would never end here.
        began = threading.Event()

        def asking(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            began.set()
            blockingCallFromThread(reactor, deferLater, reactor, 0.2, lambda: None)
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"at last"]

        port = yield self.serve(asking)
        answer = self.get(port)
        while not began.is_set():
            yield deferLater(reactor, 0.005, lambda: None)
        yield self.program.stopService()
        self.assertEqual((yield answer), "at last")

    @PORT_TAKEN
    @inlineCallbacks
    def test_a_busy_port_is_told(self) -> Generator[Any, Any, None]:
        port = yield self.serve(hello)
        second = WSGIService(hello, [f"tcp:{port}:interface=127.0.0.1"])
        second.setServiceParent(self.program)
        with self.assertRaises(ListenError) as caught:
            yield second.whenListening
        self.assertIn(f"tcp:{port}", str(caught.exception))
