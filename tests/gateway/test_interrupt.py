"""Does the exception that ends a request from outside come to that request, and never to anybody else?"""

from __future__ import annotations

import itertools
import random
import re
import sys
import threading
import time
from _thread import start_new_thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest

from tests.gateway.exchanges import LIMITS, RecordingOutlet, gateway_of
from tests.support import GET, PATIENCE, TEXT, hello, request, serving
from twisted_wsgiref._gateway import interrupt as room
from twisted_wsgiref._gateway.client_gone import ClientGone, RequestExpired
from twisted_wsgiref._gateway.environ import ConnectionEnviron, service_environ
from twisted_wsgiref._gateway.error_stream import ErrorStream
from twisted_wsgiref._gateway.handler import WSGIHandler
from twisted_wsgiref._gateway.input_pipe import InputPipe
from twisted_wsgiref._gateway.interrupt import Interrupt, guard
from twisted_wsgiref._gateway.wsgi_exchange import WSGIExchange
from twisted_wsgiref._http.head import HeadParser
from twisted_wsgiref._threads.pool import WorkerPool
from twisted_wsgiref.settings import SettingError, Settings
from twisted_wsgiref.util import FileWrapper

pytestmark = pytest.mark.skipif(sys.implementation.name != "cpython", reason="the setting is refused elsewhere")

HEAD = HeadParser(LIMITS).parse(b"GET / HTTP/1.1\r\nHost: h")


class Ended:
    """A connection that says when its exchange is over."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def exchange_ended(self) -> None:
        self.event.set()

    def refuse_exchange(self, status: int) -> None:
        raise RuntimeError("nobody refuses here")

    def wait(self) -> None:
        wait_for(self.event)


class House:
    """One thread that runs guarded exchanges; ``log`` is what was logged, ``failures`` what reached its loop."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.failures: list[BaseException] = []
        self.errors = ErrorStream(self.log.append)
        self.pool = WorkerPool("guarded", minimum=1, maximum=1, idle=30.0, limit=100, failed=self.failures.append)
        self.pool.start()
        self.thread = next(iter(self.pool._doing))

    def put(self, application: Any, *, guarded: bool = True, body: Any = None) -> WSGIExchange:
        gateway = gateway_of(
            application=application,
            handler_class=WSGIHandler,
            errors=self.errors,
            guard=guard if guarded else None,
        )
        service = service_environ(
            software="tests", script_name="", multiprocess=False, errors=self.errors, file_wrapper=FileWrapper
        )
        base = ConnectionEnviron(service, "http", ("127.0.0.1", 8080), ("127.0.0.2", 5000))
        outlet: Any = RecordingOutlet()
        exchange = WSGIExchange(gateway, HEAD, base.make(HEAD, 0), body, outlet, Ended())
        self.pool.put([exchange])
        return exchange

    def ask(self) -> bytes:
        """Return the answer to a request that nobody interrupts."""
        exchange = self.put(hello)
        wait(exchange)
        return sent(exchange)


def wait_for(event: threading.Event) -> None:
    if not event.wait(PATIENCE):
        raise RuntimeError("it never came about")


def wait(exchange: WSGIExchange) -> None:
    connection: Any = exchange.connection
    connection.wait()


def sent(exchange: WSGIExchange) -> bytes:
    outlet: Any = exchange.outlet
    return outlet.octets  # type: ignore[no-any-return]


def expire(exchange: WSGIExchange) -> None:
    """Do what the reactor does."""
    exchange.expired = True
    outlet: Any = exchange.outlet
    outlet.gone = True
    if exchange.interrupt is not None:
        exchange.interrupt.fire()


def spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.pool.stop()
    house.thread.join(PATIENCE)
    if house.thread.is_alive() or house.failures:
        raise RuntimeError(f"the thread hangs, or its loop met {house.failures!r}")


class Busy:
    """An application that computes as `how` says, and notes what ended it."""

    def __init__(self, how: str = "called") -> None:
        self.how = how
        self.begun = threading.Event()
        self.met: list[BaseException] = []
        self.closed = 0

    def compute(self) -> None:
        self.begun.set()
        try:
            spin(PATIENCE)
        except BaseException as error:
            self.met.append(error)
            raise

    def blocks(self) -> Iterator[bytes]:
        yield b"first"
        self.compute()
        yield b"never"

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if self.how == "called":
            self.compute()
        start_response("200 OK", [*TEXT])
        self.iterator = self.blocks()
        return self

    def __iter__(self) -> Any:
        if self.how == "iter":
            self.compute()
        return self.iterator

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("how", ["called", "iter", "next"])
def test_an_application_that_computes_is_ended_and_its_thread_serves_the_next(house: House, how: str) -> None:
    application = Busy(how)
    exchange = house.put(application)
    wait_for(application.begun)
    expire(exchange)
    wait(exchange)
    assert [type(each) for each in application.met] == [RequestExpired]
    assert application.closed == (how != "called")
    assert house.log == []  # the client has gone: that is no error
    assert house.ask().endswith(b"hello")
    assert list(house.pool._doing) == [house.thread]


def test_the_exception_says_why() -> None:
    assert "request_timeout" in str(RequestExpired())
    assert isinstance(RequestExpired(), ClientGone)
    assert not isinstance(RequestExpired(), Exception)


def test_a_thread_in_a_blocking_call_meets_it_when_the_call_returns(house: House) -> None:
    lock = threading.Lock()
    lock.acquire()
    steps: list[str] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        steps.append("waits")
        lock.acquire(timeout=PATIENCE)
        for _ in range(10):
            spin(0)
        steps.append("goes on")
        return []

    exchange = house.put(application)
    end = time.monotonic() + PATIENCE
    while not steps and time.monotonic() < end:
        time.sleep(0.001)
    expire(exchange)
    connection: Any = exchange.connection
    assert not connection.event.wait(0.05)  # nothing can end the call itself
    lock.release()
    wait(exchange)
    assert steps == ["waits"]


def test_an_application_may_log_what_it_met(house: House) -> None:
    begun = threading.Event()

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        begun.set()
        try:
            spin(PATIENCE)
        except BaseException as error:
            environ["wsgi.errors"].write(f"ended: {error}\n")
            environ["wsgi.errors"].flush()
            raise
        return []

    exchange = house.put(application)
    wait_for(begun)
    expire(exchange)
    wait(exchange)
    assert house.log == [f"ended: {RequestExpired()}"]


def test_a_mistake_that_it_leads_to_is_logged_with_the_reason(house: House) -> None:
    begun = threading.Event()

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        begun.set()
        try:
            spin(PATIENCE)
        finally:
            raise ValueError("not tidy")

    exchange = house.put(application)
    wait_for(begun)
    expire(exchange)
    wait(exchange)
    assert "not tidy" in house.log[0]
    assert "request_timeout" in house.log[0]


def test_what_ends_before_it_begins_is_not_begun(house: House) -> None:
    def never(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise RuntimeError("its time was over")

    def expire_and_run(self: WSGIExchange) -> None:
        self.cut = self.expired = True
        run(self)

    run = WSGIExchange.run
    with mock.patch.object(WSGIExchange, "run", expire_and_run):
        exchange = house.put(never)
        wait(exchange)
    assert house.log == []
    assert sent(exchange) == b""
    assert house.ask().endswith(b"hello")


def test_what_is_ours_is_not_interrupted(house: House) -> None:
    logging, go_on = threading.Event(), threading.Event()
    through: list[str] = []

    def slow_log(text: str) -> None:
        logging.set()
        go_on.wait(PATIENCE)
        for _ in range(1000):
            spin(0)
        through.append(text)

    house.errors._emit = slow_log

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["wsgi.errors"].write("one line\n")
        through.append("never")
        return []

    exchange = house.put(application)
    wait_for(logging)
    expire(exchange)
    go_on.set()
    wait(exchange)
    assert through == ["one line"]


def test_a_body_that_still_arrives_is_read_as_ever(house: House) -> None:
    pipe = InputPipe(100, lambda _: None)
    got: list[bytes] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        got.append(environ["wsgi.input"].readline())
        got.append(environ["wsgi.input"].read())
        start_response("200 OK", [*TEXT])
        return [b"done"]

    exchange = house.put(application, body=pipe)
    pipe.put(b"a\nb")
    pipe.finish()
    wait(exchange)
    assert got == [b"a\n", b"b"]
    assert sent(exchange).endswith(b"done")


@pytest.mark.parametrize("kind", ["list", "blocks", "write", "file", "none"])
def test_a_guarded_application_answers_as_any_other(house: House, kind: str, tmp_path: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"from a file")

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        write = start_response("200 OK", [*TEXT])
        if kind == "list":
            return [b"a", b"b"]
        if kind == "blocks":
            return (block for block in [b"a", b"b"])
        if kind == "write":
            write(b"written")
            return ()
        return environ["wsgi.file_wrapper"](path.open("rb")) if kind == "file" else None

    answers = []
    for guarded in (True, False):
        exchange = house.put(application, guarded=guarded)
        wait(exchange)
        answers.append(sent(exchange))
    mine, other = [re.sub(rb"Date: [^\r]*", b"", answer) for answer in answers]
    assert mine == other


def test_no_other_request_ever_meets_it(house: House) -> None:
    """Many requests, each second one expired at about the moment that it ends; the others have to be perfect.

    On a busy machine chance has one of the two threads always be the first. So of eight that are expired one waits for
    that, and another is waited for.
    """
    numbers = itertools.count()
    chance = random.Random(3333)
    met: list[int] = []
    closes: list[int] = []
    returned: list[int] = []
    now = [-1]

    class Blocks:
        def __init__(self, number: int) -> None:
            self.number = number
            self.left = 3

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> bytes:
            self.left -= 1
            if self.left < 0:
                raise StopIteration
            return b"x"

        def close(self) -> None:
            closes.append(self.number)

    def make(number: int, length: float) -> Any:
        def application(environ: dict[str, Any], start_response: Any) -> Any:
            now[0] = number
            try:
                spin(length)
                start_response("200 OK", [*TEXT])
                environ["wsgi.errors"].write("\n")
                returned.append(number)
                return Blocks(number) if number % 4 < 2 else [b"xxx"]
            except RequestExpired:
                met.append(number)
                raise

        return application

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        end = time.monotonic() + 3.0
        for number in numbers:
            if number > 100 and time.monotonic() > end:
                break
            length = PATIENCE if number % 8 == 0 else chance.random() * 0.0002
            doomed, perfect = house.put(make(2 * number, length)), house.put(make(2 * number + 1, 0.00005))
            while doomed.interrupt is None:
                pass
            if number % 8 == 1:
                wait(doomed)
            elif number % 8:
                spin(length * (0.5 + chance.random()))
            expire(doomed)
            wait(perfect)
            assert sent(perfect).count(b"x") >= 3, number
            assert sent(perfect).endswith((b"xxx", b"0\r\n\r\n")), number
    finally:
        sys.setswitchinterval(switch)
    assert number > 100
    assert [each for each in met if each % 2] == []
    assert len(met) == len(set(met)) > 10
    assert len(returned) > number + 10  # some of them were through before
    assert [each for each in closes if each % 2] == [each for each in returned if each % 4 == 1]
    assert len(closes) == len(set(closes))
    assert house.failures == []
    assert not [each for each in house.log if each]
    assert list(house.pool._doing) == [house.thread]


class Stepper:
    """Runs `call` under a trace, and has another thread fire before step number `at` of what is in the room."""

    def __init__(self, interrupt: Interrupt, at: int) -> None:
        self.steps = 0
        self._interrupt = interrupt
        self._at = at
        self.fires = False
        self.fired = False

    def fire(self) -> None:
        self._interrupt.fire()
        self.fired = True

    def wait(self, seconds: float) -> None:
        """Wait for the other thread. By steps that may be interrupted, as those of `threading` may not."""
        end = time.perf_counter() + seconds
        while self.fires and not self.fired and time.perf_counter() < end:
            time.sleep(0.0001)

    def trace(self, frame: Any, event: str, argument: object) -> Any:
        if frame.f_code.co_filename != room.__file__ or frame.f_code.co_name == "fire":
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            if self.steps == self._at:
                self.fires = True
                start_new_thread(self.fire, ())
                # Where the traced thread has the lock, the other one waits for it, and is through later.
                self.wait(0.01)
            self.steps += 1
        return self.trace


def work(interrupt: Interrupt, met: list[str]) -> None:
    """Do what a guarded application does: be called, call ours, be iterated."""

    def inner() -> None:
        try:
            interrupt.shield(list)()
            spin(0)
        except RequestExpired:
            met.append("inside")
            raise

    interrupt.within(inner)
    interrupt.within(spin, 0)


def test_at_whichever_step_it_is_set_it_is_met_once_or_never() -> None:
    everything: list[tuple[int, list[str]]] = []

    def one(at: int) -> int:
        interrupt = Interrupt()
        met: list[str] = []
        stepper = Stepper(interrupt, at)
        sys.settrace(stepper.trace)
        try:
            work(interrupt, met)
        except RequestExpired:
            met.append("handler")
        finally:
            sys.settrace(None)
        # From here on it is the worker's loop, and the next request.
        try:
            for _ in range(300):
                spin(0)
            stepper.wait(PATIENCE)
            for _ in range(300):
                spin(0)
        except RequestExpired:
            met.append("the next")
        if stepper.fires and not stepper.fired:
            met.append("the reactor waits")
        everything.append((at, met))
        return stepper.steps

    def all_steps() -> None:
        for at in range(10000):
            if one(at) < at:
                break

    thread = threading.Thread(target=all_steps, daemon=True)
    thread.start()
    thread.join(60.0)
    assert not thread.is_alive()
    assert len(everything) > 50
    outcomes = {tuple(met) for _, met in everything}
    assert outcomes <= {(), ("handler",), ("inside", "handler")}
    assert ("inside", "handler") in outcomes
    assert ("handler",) in outcomes
    assert everything[-1] == (len(everything) - 1, [])


def test_it_is_set_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fired: list[int] = []
    monkeypatch.setattr(room, "_set", fired.append)
    interrupt = Interrupt()
    interrupt.enter()
    interrupt.fire()
    interrupt.fire()
    interrupt.leave()
    interrupt.enter()
    interrupt.fire()
    assert fired == [threading.get_ident()]


def test_one_that_is_late_comes_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_set", lambda ident: pytest.fail("nobody is inside"))
    interrupt = Interrupt()
    interrupt.within(spin, 0)
    interrupt.fire()
    with pytest.raises(RequestExpired):
        interrupt.enter()


def test_the_reactor_never_waits_for_a_lock_that_was_left_behind() -> None:
    """As some versions may leave it: the exception comes between the taking and the body of ``with``."""
    interrupt = Interrupt()
    timer = threading.Timer(0.01, interrupt.fire)
    timer.start()
    with pytest.raises(RequestExpired):
        interrupt.within(spin, PATIENCE)
    timer.join()
    interrupt._lock.acquire()
    thread = threading.Thread(target=interrupt.fire, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    interrupt.leave()


# ---- In a service ------------------------------------------------------------------------------------------------


def test_the_client_is_answered_and_the_thread_is_free() -> None:
    application = Busy()
    with serving(application, request_timeout=5, request_interrupt=True, validated=False, threads=1) as server:
        unfit: list[bool] = []
        server.service.call_when_unfit(lambda: unfit.append(True))
        server.pool.size = 1
        client = server.connect().send(GET)
        server.wait_until(lambda: bool(server.pool.jobs))
        thread = server.step_in_thread()
        wait_for(application.begun)
        server.advance(4, work=False)
        assert client.received == b""
        server.advance(2, work=False)
        server.settle_while(thread)
        assert [answer.status for answer in client.answers()] == [504]
        assert [type(each) for each in application.met] == [RequestExpired]
        assert server.service._workers.stuck == 0
        server.advance(3)
        assert unfit == []  # it was free again in time
        assert "a request took too long" in server.logged()
        assert "Traceback" not in server.logged()


def test_a_worker_that_bears_it_and_goes_on_is_unfit_all_the_same() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def stubborn(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        begun.set()
        while not go_on.is_set():
            try:
                go_on.wait(0.001)
            except RequestExpired:
                pass
        return []

    with serving(stubborn, request_timeout=5, request_interrupt=True, validated=False) as server:
        unfit: list[bool] = []
        server.service.call_when_unfit(lambda: unfit.append(True))
        server.pool.size = 1
        client = server.connect().send(request())
        server.wait_until(lambda: bool(server.pool.jobs))
        thread = server.step_in_thread()
        wait_for(begun)
        server.advance(10, work=False)
        assert [answer.status for answer in client.answers()] == [504]
        assert unfit == [True]
        go_on.set()
        server.settle_while(thread)
        assert server.service._workers.stuck == 0


def follow(*given: Any) -> Any:
    """A tracer that follows every frame, or a profiler."""
    return follow


@contextmanager
def traced_thread(install: Callable[[Any], None], inside: Callable[[], object]) -> Iterator[None]:
    """Have a thread call `inside` again and again under a tracer of its own, or profiler."""
    over = threading.Event()
    ready = threading.Event()

    def work() -> None:
        install(follow)
        try:
            while not over.is_set():
                inside()
                ready.set()
        finally:
            install(None)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        wait_for(ready)
        yield
    finally:
        over.set()
        thread.join(PATIENCE)


@pytest.mark.parametrize("install", [sys.settrace, sys.setprofile])
def test_a_traced_thread_goes_on_while_a_call_blocks(house: House, install: Any) -> None:
    # Each Python's own way: on 3.11 the exception is not set, on others it does not hold up anybody.
    begun, go_on = threading.Event(), threading.Event()

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        begun.set()
        go_on.wait(PATIENCE)
        return hello(environ, start_response)

    counted = 0

    def count() -> None:
        nonlocal counted
        counted += 1

    with traced_thread(install, count), mock.patch.object(threading, "_profile_hook", follow):
        exchange = house.put(application)
        wait_for(begun)
        expire(exchange)
        before = counted
        end = time.monotonic() + PATIENCE
        try:
            while counted < before + 100 and time.monotonic() < end:
                time.sleep(0.001)
            assert counted >= before + 100
        finally:
            go_on.set()
        wait(exchange)


HINDERANCES: dict[str, Any] = {
    "threading.settrace": lambda: mock.patch.object(threading, "_trace_hook", follow),
    "threading.setprofile": lambda: mock.patch.object(threading, "_profile_hook", follow),
    "a thread of its own": lambda: traced_thread(sys.settrace, lambda: time.sleep(0.001)),
}


@pytest.mark.parametrize("how", HINDERANCES)
def test_a_tracer_hinders_an_interrupt_where_it_would_hold_up_others(
    house: House, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        begun.set()
        go_on.wait(PATIENCE)
        through.append(spin(0.01))
        return hello(environ, start_response)

    through: list[None] = []
    monkeypatch.setattr(room, "_HOLDS_UP_TRACED", True)
    exchange = house.put(application)
    wait_for(begun)
    assert not room.is_hindered()
    with HINDERANCES[how]():
        assert room.is_hindered()
        interrupt: Any = exchange.interrupt
        assert interrupt.fire() is False
        assert interrupt.fire() is True  # it was told
    go_on.set()
    wait(exchange)
    assert through == [None]
    assert b"hello" in sent(exchange)


def test_the_log_says_that_a_tracer_hinders(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        begun.set()
        go_on.wait(PATIENCE)
        return hello(environ, start_response)

    monkeypatch.setattr(room, "_HOLDS_UP_TRACED", True)
    with (
        mock.patch.object(threading, "_trace_hook", follow),
        serving(application, request_timeout=5, request_interrupt=True, validated=False) as server,
    ):
        assert server.logged().count(room.HINDERED) == 1
        client = server.connect().send(GET)
        server.wait_until(lambda: bool(server.pool.jobs))
        thread = server.step_in_thread()
        wait_for(begun)
        server.advance(7, work=False)
        assert [answer.status for answer in client.answers()] == [504]
        assert server.logged().count(room.HINDERED) == 2
        go_on.set()
        server.settle_while(thread)


@pytest.mark.parametrize("held", [True, False])
def test_a_tracer_hinders_nothing_where_it_holds_up_nobody(held: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_HOLDS_UP_TRACED", held)
    with mock.patch.object(threading, "_trace_hook", follow):
        assert room.is_hindered() is held


def test_it_is_off_unless_asked_for() -> None:
    begun, go_on = threading.Event(), threading.Event()
    exchanges: list[Any] = []
    through: list[bool] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        exchanges.append(environ["twisted_wsgiref.client_disconnected"].__self__)
        begun.set()
        while not go_on.is_set():
            go_on.wait(0.001)
        through.append(True)
        return []

    assert Settings().request_interrupt is False
    with serving(application, request_timeout=5, validated=False) as server:
        server.pool.size = 4
        client = server.connect().send(GET)
        server.wait_until(lambda: bool(server.pool.jobs))
        thread = server.step_in_thread()
        wait_for(begun)
        server.advance(7, work=False)
        assert [answer.status for answer in client.answers()] == [504]
        assert thread.is_alive()
        go_on.set()
        server.settle_while(thread)
    assert through == [True]
    assert exchanges[0].interrupt is None


@pytest.mark.parametrize(("deadline", "guarded"), [(0, False), (30, True)])
def test_without_a_deadline_nobody_pays_for_it(deadline: float, guarded: bool) -> None:
    with serving(request_interrupt=True, request_timeout=deadline) as server:
        assert (server.service._gateway.guard is guard) is guarded
        assert server.ask(GET).answers()[0].body == b"hello"


def test_another_python_refuses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.implementation, "name", "pypy")
    with pytest.raises(SettingError, match="only CPython"):
        Settings(request_interrupt=True, request_timeout=30)
    assert Settings(request_timeout=30).request_timeout == 30


def test_an_interrupt_that_has_moved_ends_the_thread_that_goes_on() -> None:
    made: list[Interrupt] = []
    first = threading.Thread(target=lambda: made.append(Interrupt()))
    first.start()
    first.join(PATIENCE)
    (interrupt,) = made
    inside = threading.Event()
    ended = threading.Event()

    def spin() -> None:
        inside.set()
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            pass

    def go_on() -> None:
        interrupt.move()
        try:
            interrupt.within(spin)
        except RequestExpired:
            ended.set()

    second = threading.Thread(target=go_on)
    second.start()
    wait_for(inside)
    interrupt.fire()
    second.join(PATIENCE)
    assert ended.is_set()


def test_an_interrupt_while_a_request_is_suspended_is_met_when_it_goes_on() -> None:
    interrupt = Interrupt()
    interrupt.within(int)
    interrupt.fire()
    interrupt.move()
    with pytest.raises(RequestExpired):
        interrupt.within(int)
    assert interrupt.within(int) == 0
