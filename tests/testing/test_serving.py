"""Does a coroutine get a server on the reactor that runs it, under trial and under asyncio?"""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
import treq
from twisted.internet import reactor as any_reactor
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent

from tests.real.children import ROOT, environment
from tests.support import PATIENCE, PORT_TAKEN, hello
from twisted_wsgiref import ListenError
from twisted_wsgiref.testing import serving


def text_of(url: str) -> Any:
    return treq.get(url, agent=Agent(any_reactor)).addCallback(lambda response: response.text())


def lone_reactors() -> int:
    return sum(each.name == "wsgi-testing-reactor" for each in threading.enumerate())


class Trial(TestCase):
    timeout = PATIENCE

    async def test_a_block_has_the_url(self) -> None:
        async with serving(hello) as url:
            self.assertEqual(await text_of(f"{url}/"), "hello")
            self.assertEqual(lone_reactors(), 0)

    async def test_a_server_may_be_ended_by_a_cleanup(self) -> None:
        server = await serving(hello, threads=1)
        self.addCleanup(server.stop)
        self.assertEqual(await text_of(server.url), "hello")

    async def test_it_may_be_stopped_twice(self) -> None:
        server = await serving(hello)
        await server.stop()
        await server.stop()

    async def test_an_exception_of_the_application_is_found_by_flush_logged_errors(self) -> None:
        def failing(environ: dict[str, Any], start_response: Any) -> Any:
            raise ValueError("on purpose")

        async with serving(failing) as url:
            await text_of(url)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    @PORT_TAKEN
    async def test_a_port_that_is_taken_is_a_listen_error(self) -> None:
        async with serving(hello) as url:
            with self.assertRaises(ListenError):
                await serving(hello, port=int(url.rpartition(":")[2]))


ASYNCIO = """
import asyncio, threading
from urllib.request import urlopen
from tests.support import hello
from twisted_wsgiref.testing import serving

def names():
    return [each.name for each in threading.enumerate() if "reactor" in each.name]

async def test():
    async with serving(hello) as url:
        print(await asyncio.to_thread(lambda: urlopen(url).read()), names())
    server = await serving(hello)
    print(await asyncio.to_thread(lambda: urlopen(server.url).read()), names())
    await server.stop()
    print(names())

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
{install}
loop.run_until_complete(test())
{close}
"""
INSTALL = "from twisted.internet import asyncioreactor; asyncioreactor.install(loop)"


@pytest.mark.parametrize(
    ("install", "close", "threads"),
    [(INSTALL, "", "[]"), ("", "loop.close()", "['wsgi-testing-reactor']")],
    ids=["reactor on the loop", "no reactor"],
)
def test_under_asyncio_it_takes_the_reactor_of_the_loop_or_a_thread(install: str, close: str, threads: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASYNCIO.format(install=install, close=close)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert done.stdout + done.stderr == f"b'hello' {threads}\nb'hello' {threads}\n[]\n"
