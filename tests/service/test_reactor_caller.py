"""Do the threads of an application reach the reactor, and do they always come back?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from tests.support import GET, PATIENCE, TEXT, Server, request, serving
from twisted_wsgiref import ClientGone, ReactorCaller, ServiceStopped, current_reactor_caller


def caller_of(environ: dict[str, Any]) -> ReactorCaller:
    return environ["twisted_wsgiref.reactor"]  # type: ignore[no-any-return]


def answering(make: Callable[[dict[str, Any]], Any]) -> Any:
    """Return an application that answers with the text of the value, or of the exception, of `make`."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            said = repr(make(environ))
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        start_response("200 OK", [*TEXT])
        return [said.encode()]

    return application


def body_of(server: Server, octets: bytes = GET) -> str:
    """Return what the application says, in a thread of its own."""
    client = server.connect().send(octets)
    server.settle(work=False)
    server.settle_while(server.step_in_thread())
    return client.answers()[0].body.decode()


class Asked:
    """A thread that has asked, and what it has met."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self.outcome: list[Any] = []

        def run() -> None:
            try:
                self.outcome.append(ask())
            except BaseException as error:
                self.outcome.append(error)

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()


@contextmanager
def other_thread(server: Server, ask: Callable[[], Any]) -> Iterator[Asked]:
    asked = Asked(ask)
    yield asked
    server.settle_while(asked.thread)


def test_a_result_comes_back_from_the_reactors_thread() -> None:
    with serving(answering(lambda environ: caller_of(environ).call(threading.get_ident))) as server:
        assert body_of(server) == repr(threading.get_ident())


def test_a_deferred_is_waited_for() -> None:
    waiting: list[Deferred[str]] = []

    def later() -> Deferred[str]:
        waiting.append(Deferred())
        return waiting[0]

    with serving(answering(lambda environ: caller_of(environ).call(later))) as server:
        client = server.connect().send(GET)
        server.settle(work=False)
        thread = server.step_in_thread()
        server.wait_until(lambda: bool(waiting))
        assert thread.is_alive()
        waiting[0].callback("later")
        server.settle_while(thread)
        assert client.answers()[0].body == b"'later'"


def test_a_coroutine_is_waited_for() -> None:
    async def later(word: str, *, times: int) -> str:
        return word * times

    with serving(answering(lambda environ: caller_of(environ).call(later, "so", times=2))) as server:
        assert body_of(server) == "'soso'"


def test_an_exception_comes_back_with_the_line_that_raised_it() -> None:
    import traceback

    def fails() -> None:
        raise KeyError("no such thing")

    def make(environ: dict[str, Any]) -> list[str]:
        try:
            caller_of(environ).call(fails)
        except KeyError as error:
            return [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        return []

    with serving(answering(make)) as server:
        assert "'fails'" in body_of(server)


def test_the_end_of_the_service_ends_a_wait() -> None:
    with serving(answering(lambda environ: caller_of(environ).call(Deferred)), grace=3.0) as server:
        server.connect().send(GET)
        server.settle(work=False)
        thread = server.step_in_thread()
        server.wait_until(lambda: bool(server.pool.running()))
        stopped = server.service.stopService()
        server.advance(5, work=False)
        assert stopped.called
        server.settle_while(thread)


def test_a_call_after_the_end_fails_at_once() -> None:
    with serving() as server:
        server.settle()
        caller = server.factory.environ["twisted_wsgiref.reactor"]
        server.service.stopService()
        server.advance(1)
        for ask in (caller.call, caller.fire):
            with pytest.raises(ServiceStopped):
                ask(int)


def test_a_service_that_is_started_again_takes_calls_again() -> None:
    with serving() as server:
        server.settle()
        server.service.stopService()
        server.advance(1)
        server.service.startService()
        server.settle()
        assert server.factory.environ["twisted_wsgiref.reactor"].call(int) == 0


def test_the_stop_of_the_reactor_alone_ends_a_wait() -> None:
    with serving() as server:
        server.reactor.running = True
        server.settle()
        caller = server.factory.environ["twisted_wsgiref.reactor"]
        asked = Asked(lambda: caller.call(Deferred))
        server.reactor.running = False
        asked.thread.join(PATIENCE)  # and nobody turns the reactor any more
        assert isinstance(asked.outcome[0], ServiceStopped)


def test_a_call_from_the_reactors_thread_is_made_at_once() -> None:
    with serving(answering(lambda environ: caller_of(environ).call(int, "7"))) as server:
        assert server.ask(GET).answers()[0].body == b"7"  # the pool runs its jobs in this thread


def test_the_reactors_thread_does_not_wait_for_itself() -> None:
    cancelled: list[object] = []

    def later() -> Deferred[None]:
        return Deferred(cancelled.append)

    with serving(answering(lambda environ: caller_of(environ).call(later))) as server:
        assert server.ask(GET).answers()[0].body.startswith(b"RuntimeError: call() was called in the reactor's thread")
        assert len(cancelled) == 1


@pytest.mark.parametrize("half", [False, True])
def test_a_client_that_leaves_ends_the_wait_if_that_is_asked_for(half: bool) -> None:
    cancelled: list[object] = []
    met: list[BaseException] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            caller_of(environ).call(lambda: Deferred(cancelled.append), until_gone=True)
        except BaseException as error:
            met.append(error)
            raise
        return []

    with serving(application) as server:
        client = server.connect().send(GET)
        server.settle(work=False)
        thread = server.step_in_thread()
        server.wait_until(lambda: bool(server.pool.running()))
        client.half_close() if half else client.leave()
        server.turn()
        server.reactor.clock.now += 2  # a client that has closed its half may read for a second
        server.settle_while(thread)
        assert isinstance(met[0], ClientGone)
        assert len(cancelled) == 1
        assert "failed" not in server.logged()


def test_without_a_request_no_client_can_leave() -> None:
    with serving() as server:
        server.settle()
        caller = server.factory.environ["twisted_wsgiref.reactor"]
        with other_thread(server, lambda: caller.call(int, until_gone=True)) as asked:
            pass
        assert "no client that could leave" in str(asked.outcome[0])


def test_a_function_that_is_fired_is_called_and_its_exception_logged() -> None:
    def fails() -> None:
        raise KeyError("by itself")

    called: list[str] = []

    def make(environ: dict[str, Any]) -> None:
        caller_of(environ).fire(fails)
        caller_of(environ).fire(called.append, "so")

    with serving(answering(make)) as server:
        assert body_of(server) == "None"
        assert called == ["so"]
        assert "by itself" in server.logged()


def test_code_without_an_environ_finds_the_service() -> None:
    with serving(answering(lambda environ: current_reactor_caller() is caller_of(environ))) as server:
        assert body_of(server) == "True"


def test_a_thread_of_the_applications_own_finds_the_only_service() -> None:
    with serving() as server:
        server.settle()
        with other_thread(server, lambda: current_reactor_caller().call(int, "3")) as asked:
            pass
        assert asked.outcome == [3]


def test_of_several_services_the_one_of_the_request_is_found() -> None:
    application = answering(lambda environ: current_reactor_caller() is caller_of(environ))
    with serving(application) as one, serving(application) as other:
        assert body_of(one) == body_of(other) == "True"
        with pytest.raises(RuntimeError, match=r"2 services run in this process"):
            current_reactor_caller()


def test_outside_of_a_server_there_is_a_clear_error() -> None:
    with pytest.raises(ServiceStopped, match="no service of twisted_wsgiref runs"):
        current_reactor_caller()


def test_requests_share_one_value() -> None:
    seen: list[Any] = []
    with serving(answering(lambda environ: seen.append(caller_of(environ)))) as server:
        server.ask(request() + request())
        assert len(seen) == 2
        assert seen[0] is seen[1]


def test_the_child_of_a_fork_calls_nothing() -> None:
    with serving() as server:
        server.settle()
        caller = server.factory.environ["twisted_wsgiref.reactor"]
        caller.forked(False)
        with pytest.raises(ServiceStopped):
            caller.call(int)
