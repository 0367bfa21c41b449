"""What of this process is the server's, and what is left of it in the child of a fork?"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from twisted_wsgiref._connection.answer_queue import AnswerQueue
from twisted_wsgiref._gateway.client_gone import ClientGone
from twisted_wsgiref._gateway.input_pipe import InputPipe
from twisted_wsgiref._http.coder import HTTP1Coder
from twisted_wsgiref._observe.access_log import AccessLog
from twisted_wsgiref._observe.record import Record
from twisted_wsgiref._threads import forks
from twisted_wsgiref._threads.answer_batch import AnswerBatch
from twisted_wsgiref._threads.pool import WorkerPool

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


@contextlib.contextmanager
def listening(family: int, address: object) -> Iterator[tuple[socket.socket, socket.socket, socket.socket]]:
    """Give a listener, what it accepted, and the other end of that."""
    with socket.socket(family) as listener, socket.socket(family) as client:
        listener.bind(address)  # type: ignore[arg-type]
        listener.listen()
        name = listener.getsockname()
        client.connect(("127.0.0.1" if name[0] == "0.0.0.0" else name[0], name[1]) if isinstance(name, tuple) else name)
        accepted, _ = listener.accept()
        with accepted:
            yield listener, accepted, client


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "unix"])
def test_all_that_was_accepted_at_a_place_is_found_and_nothing_else(host: str, tmp_path: Path) -> None:
    family, address = (socket.AF_UNIX, str(tmp_path / "here")) if host == "unix" else (socket.AF_INET, (host, 0))
    places = forks.Places()
    assert places.descriptors() == []
    with listening(family, address) as (listener, accepted, client), listening(socket.AF_INET, ("127.0.0.1", 0)):
        places.add(listener)
        assert set(places.descriptors()) == {listener.fileno(), accepted.fileno()}
        assert client.fileno() not in places.descriptors()
        # Once the port is closed, and by somebody who has no object for it.
        number = accepted.detach()
        listener.close()
        assert places.descriptors() == [number]
        places.clear()
        assert places.descriptors() == []
        os.close(number)


def test_a_datagram_socket_at_the_same_port_is_somebody_elses() -> None:
    places = forks.Places()
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as (listener, accepted, _):
        places.add(listener)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(listener.getsockname())
            assert set(places.descriptors()) == {listener.fileno(), accepted.fileno()}


def test_without_a_list_of_descriptors_numbers_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_LISTS", ("/nowhere",))
    places = forks.Places()
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as (listener, accepted, _):
        places.add(listener)
        assert set(places.descriptors()) == {listener.fileno(), accepted.fileno()}


def test_what_is_dropped_says_nothing_to_the_other_end_and_keeps_its_number() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket(fileno=os.dup(ours.fileno())) as parents:
        forks.drop([ours.fileno(), -1])
        parents.sendall(b"still here")
        assert theirs.recv(100) == b"still here"
        with pytest.raises(OSError, match="socket"):
            ours.send(b"from the child")
        assert not os.get_inheritable(ours.fileno())


def told_by_a_child(look: Callable[[], str]) -> str:
    """Return what `look` returns in the child of a fork."""
    here, there = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(there, look().encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    said = os.read(here, 1000).decode()
    os.close(here)
    os.close(there)
    return said


class Holder:
    def __init__(self) -> None:
        self.heard: list[bool] = []

    def forked(self, heir: bool) -> None:
        self.heard.append(heir)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_of_the_main_thread_is_the_heir_until_the_reactor_runs() -> None:
    holder = Holder()
    forks.tell(holder)
    assert told_by_a_child(lambda: str(holder.heard)) == "[True]"
    assert holder.heard == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_of_another_thread_is_a_stranger() -> None:
    holder = Holder()
    forks.tell(holder)
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(told_by_a_child(lambda: str(holder.heard))))
    thread.start()
    thread.join()
    assert said == ["[False]"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_leaves_the_parent_its_signals() -> None:
    holder = Holder()
    forks.tell(holder)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    masks: list[object] = []

    def fork() -> None:
        told_by_a_child(lambda: "well")
        masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()
    assert masks == [before]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_who_is_gone_is_not_told() -> None:
    forks.tell(Holder())
    assert told_by_a_child(lambda: "well") == "well"


# What the threads of the parent held at the fork nobody releases here: so nothing below may wait for it.


def test_an_answer_is_lost_in_the_child_whoever_held_its_lock() -> None:
    outlet = AnswerQueue(HTTP1Coder(""), None, lambda: None, 1000, AnswerBatch(lambda error: None))
    outlet.lock.acquire()
    outlet.forget()
    assert outlet.gone


def test_a_body_is_lost_in_the_child_whoever_held_its_lock() -> None:
    pipe = InputPipe(1000, lambda pipe: None)
    pipe._changed.acquire()
    pipe.forget()
    with pytest.raises(ClientGone):
        pipe.readinto(bytearray(1))


def test_an_access_log_has_another_writer_in_an_heir_and_none_in_a_stranger(tmp_path: Path) -> None:
    facts = Record("127.0.0.1", "GET / HTTP/1.1", 200, 2, 1.0, 0.1, "", "", "")
    for heir in (True, False):
        path = tmp_path / str(heir)
        log = AccessLog(str(path))
        log._lock.acquire()
        log._making.append(None)
        log.forked(heir)
        log.observe_facts(facts)
        assert log.close() is heir
        assert path.read_text().count("GET / HTTP/1.1") == heir


class Job:
    def __init__(self, ran: threading.Event) -> None:
        self._ran = ran

    def run(self) -> None:
        self._ran.set()


def pool_of(minimum: int) -> WorkerPool:
    def failed(error: BaseException) -> None:
        raise error

    return WorkerPool("forked", minimum=minimum, maximum=2, idle=1.0, limit=10, failed=failed)


def test_the_heirs_pool_starts_threads_anew() -> None:
    pool, ran = pool_of(0), threading.Event()
    pool.start()
    gone = threading.Thread(target=lambda: None)
    pool._doing = {gone: None}
    pool.forked(heir=True)
    assert pool.put([Job(ran)]) == ()
    assert ran.wait(10)
    pool.stop()


def test_a_strangers_pool_takes_no_job() -> None:
    pool, ran = pool_of(0), threading.Event()
    pool.start()
    pool._doing = {threading.Thread(target=lambda: None): None}
    pool.forked(heir=False)
    assert pool.put([Job(ran)]) != ()
    assert pool.running() == []
    assert not ran.is_set()
