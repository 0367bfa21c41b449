"""News between workers, by way of their parent: what each runs, and which process is gone.

Here live the words of both ends: a worker asks (``ask``), the parent tells it who was asked (``asked``) and asks the
others (``tell``), and passes on what they say (``told``), piece by piece. A worker that says nothing in time is listed
as one that did not. The parent keeps nothing of what it passes on. Called in the reactor's thread.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from twisted.logger import Logger

from twisted_wsgiref._observe.board import STOPPING, WANTED, Board
from twisted_wsgiref._twisted.reactor import ChildProcess

from .link import Line
from .supervisor import State, Supervisor

if TYPE_CHECKING:
    from twisted_wsgiref._targets.status import Requests

_log = Logger()

# Characters of a piece: a line of the link has room for twice as many bytes.
_PIECE: Final = 32 * 1024
_LAST, _MORE = ".", "+"


class Speaker(Protocol):
    """One end of the line."""

    def pass_on(self, *words: str) -> None:
        """Send a line of ASCII, if the other end is still there."""


class Sibling(NamedTuple):
    """A worker, as its parent knows it."""

    number: int
    pid: int
    line: Speaker


class Process(Protocol):
    """The process of a worker; its ``process`` is None before that is started."""

    line: Line
    process: ChildProcess | None


def siblings(supervisor: Supervisor, processes: Mapping[int, Process]) -> list[Sibling]:
    """Return the workers that serve, or end what they serve: those first that will be there for longer."""
    served = [each for each in supervisor.children.values() if each.served]
    served.sort(key=lambda each: (each.state is not State.SERVING, each.number))
    found = []
    for each in served:
        its = processes.get(each.number)
        if its is not None and its.process is not None:
            found.append(Sibling(each.number, its.process.pid, its.line))
    return found


class Relay:
    """The parent's part: it also keeps the head of the `board`. `siblings` returns the workers that are there now."""

    def __init__(self, board: Board, siblings: Callable[[], Sequence[Sibling]]) -> None:
        self._board = board
        self._siblings = siblings
        self._gone: list[int] = []

    def heard(self, number: int, word: str, rest: str) -> None:
        """Take a word of the worker `number`."""
        there = self._siblings()
        lines = {each.number: each.line for each in there}
        if word == "ask" and number in lines:
            others = [each for each in there if each.number != number]
            lines[number].pass_on("asked", rest, *(f"{each.number}:{each.pid}" for each in others))
            for each in others:
                each.line.pass_on("tell", f"{number}.{rest}")
        elif word == "told":
            address, _, text = rest.partition(" ")
            asker, _, question = address.partition(".")
            line = lines.get(int(asker)) if asker.isdecimal() else None
            if line is not None:
                line.pass_on("told", question, str(number), text)

    def begin(self, slot: int) -> None:
        """Know that a worker starts, which has a slot of the board."""
        self._board.begin(slot)

    def end(self, slot: int, process: ChildProcess | None, *, well: bool) -> None:
        """Know that the worker of the slot is gone, `well` or not, and have another one know it."""
        self._board.end(slot, well=well)
        if process is not None and process.pid:
            self._gone.append(process.pid)
            self._settle()

    def stop(self) -> None:
        """Know that no worker will follow another."""
        self._board.head[STOPPING] = 1.0

    def look(self, wanted: int) -> None:
        """Write how many workers are `wanted`, and tell what is still to be told. Called a few times a second."""
        self._board.head[WANTED] = wanted
        self._settle()

    def _settle(self) -> None:
        """Pass on what is still to be told, if there is a worker to hear it."""
        there = self._siblings() if self._gone else ()
        if there:
            gone, self._gone = self._gone, []
            for pid in gone:
                there[0].line.pass_on("dead", str(pid))


class _Question:
    """One question of ours, and the answers to it so far."""

    def __init__(self, done: Callable[[], None]) -> None:
        self.done = done
        self.expected: dict[int, int] | None = None
        self.texts: dict[int, str] = {}
        self.answers: dict[int, list[dict[str, object]]] = {}

    def check(self) -> None:
        if self.expected is not None and not self.expected.keys() - self.answers.keys():
            self.done()


class Siblings:
    """A worker's part: implements `_targets.status.Others`. `running` returns what this process runs.

    `call_later` is the reactor's. ``line`` leads to the parent; to be set before it is used.
    """

    line: Speaker

    def __init__(self, running: Callable[[], Iterable[object]], call_later: Callable[..., object]) -> None:
        self._running = running
        self._call_later = call_later
        self._numbers = count(1)
        self._questions: dict[int, _Question] = {}

    def ask(self, told: Callable[[Requests], object], seconds: float) -> None:
        """Have `told` called with what the others run, at the latest after so many `seconds`."""
        # Late: only a worker whose status site was asked needs it.
        from twisted_wsgiref._targets.status import Requests

        number = next(self._numbers)

        def done() -> None:
            question = self._questions.pop(number, None)
            if question is None:
                return
            silent = [
                {"worker": each, "pid": pid, "why": f"it has not answered within {seconds:g} s"}
                for each, pid in (question.expected or {}).items()
                if each not in question.answers
            ]
            if question.expected is None:
                silent = [{"why": f"the parent has not answered within {seconds:g} s"}]
            told(Requests([each for answer in question.answers.values() for each in answer], silent))

        self._questions[number] = _Question(done)
        self._call_later(seconds, done)
        self.line.pass_on("ask", str(number))

    def heard(self, line: str) -> None:
        """Take a line of the parent."""
        word, _, rest = line.partition(" ")
        if word == "tell":
            self._tell(rest)
        elif word == "asked":
            number, *others = rest.split(" ")
            question = self._questions.get(int(number))
            if question is not None:
                question.expected = {int(each): int(pid) for each, _, pid in (word.partition(":") for word in others)}
                question.check()
        elif word == "told":
            number, worker, end, text = rest.split(" ", 3)
            self._take(int(number), int(worker), end, text)
        elif word == "dead":
            _forget(int(rest))

    def _tell(self, address: str) -> None:
        text = json.dumps(list(self._running()), separators=(",", ":"))
        pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
        for piece in pieces[:-1]:
            self.line.pass_on("told", address, _MORE, piece)
        self.line.pass_on("told", address, _LAST, pieces[-1])

    def _take(self, number: int, worker: int, end: str, text: str) -> None:
        question = self._questions.get(number)
        if question is None:
            return  # it came too late
        whole = question.texts.pop(worker, "") + text
        if end == _MORE:
            question.texts[worker] = whole
            return
        question.answers[worker] = json.loads(whole)
        question.check()


def _forget(pid: int) -> None:
    """Have the application's gauges of a process that has ended count no more, if its metrics are kept in files."""
    if "prometheus_client" not in sys.modules:
        return
    # Late: it is the application's, which has imported it.
    from twisted_wsgiref._targets.application_metrics import forget_process

    try:
        forget_process(pid)
    except Exception:  # of a directory that is not there, or not ours
        _log.failure("the metrics of a worker that is gone are still there")
