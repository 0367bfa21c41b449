"""The strictest client there is: octets that a server sent, read as answers and as nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple


class Answer(NamedTuple):
    """One final answer; ``interim`` are the statuses of those before it, ``framing`` how its body's end was told."""

    status: int
    reason: str
    fields: dict[str, list[str]]
    body: bytes
    framing: str
    chunks: list[bytes]
    interim: list[int]

    def field(self, name: str) -> str | None:
        """Return the value of the field `name`, of which there may be one."""
        values = self.fields.get(name.lower(), [])
        if len(values) > 1:
            raise ValueError(f"{name} more than once: {values}")
        return values[0] if values else None


class SurplusError(Exception):
    """Octets that no answer accounts for, or an answer that is cut short."""


_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) ([\t -~\x80-\xff]*)")
_FIELD_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([\t -~\x80-\xff]*)")


def read_answers(octets: bytes, methods: Sequence[str] = (), *, ended: bool = True) -> list[Answer]:
    """Return the answers in `octets`, which hold nothing else, to requests of `methods` (GET where none are named).

    A body that ends with the connection needs `ended`. Raises `SurplusError` for anything but whole answers.
    """
    answers: list[Answer] = []
    interim: list[int] = []
    rest = octets
    while rest:
        head, end, rest = rest.partition(b"\r\n\r\n")
        if not end:
            raise SurplusError(f"not a whole head: {head[:200]!r}")
        line, *lines = head.split(b"\r\n")
        found = _STATUS_LINE.fullmatch(line)
        if found is None:
            raise SurplusError(f"not a status line: {line!r}, after {len(answers)} answers")
        status = int(found[1])
        fields = _read_fields(lines)
        if status < 200:
            if "content-length" in fields or "transfer-encoding" in fields:
                raise SurplusError("an interim answer with a body")
            interim.append(status)
            continue
        method = methods[len(answers)] if len(answers) < len(methods) else "GET"
        framing, chunks, rest = _read_body(method, status, fields, rest, ended)
        answers.append(Answer(status, found[2].decode(), fields, b"".join(chunks), framing, chunks, interim))
        interim = []
    if interim:
        answers.append(Answer(interim[-1], "", {}, b"", "interim", [], interim))
    return answers


def _read_fields(lines: Sequence[bytes]) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for line in lines:
        found = _FIELD_LINE.fullmatch(line)
        if found is None:
            raise SurplusError(f"not a field line: {line!r}")
        fields.setdefault(found[1].decode().lower(), []).append(found[2].decode("latin-1"))
    for single in ("content-length", "transfer-encoding", "date", "server", "connection", "content-type"):
        if len(fields.get(single, [])) > 1:
            raise SurplusError(f"{single} more than once")
    return fields


def _read_body(
    method: str, status: int, fields: dict[str, list[str]], rest: bytes, ended: bool
) -> tuple[str, list[bytes], bytes]:
    length, coding = fields.get("content-length"), fields.get("transfer-encoding")
    if length and coding:
        raise SurplusError("both Content-Length and Transfer-Encoding")
    if status == 204 and (length or coding):
        raise SurplusError("a 204 that tells the length of a body")
    if method == "HEAD" or status in (204, 304):
        return "none", [], rest
    if coding:
        if coding != ["chunked"]:
            raise SurplusError(f"the coding is {coding}")
        return _read_chunks(rest)
    if length:
        size = int(length[0])
        if len(rest) < size:
            raise SurplusError(f"the body has {len(rest)} octets, Content-Length says {size}")
        return "length", [rest[:size]], rest[size:]
    if not ended:
        raise SurplusError("a body without an end on a connection that goes on")
    return "close", [rest], b""


def _read_chunks(rest: bytes) -> tuple[str, list[bytes], bytes]:
    chunks: list[bytes] = []
    while True:
        line, end, rest = rest.partition(b"\r\n")
        if not end or re.fullmatch(rb"[0-9a-f]{1,15}", line) is None:
            raise SurplusError(f"not a chunk's size: {line[:100]!r}")
        size = int(line, 16)
        if len(rest) < size + 2 or rest[size : size + 2] != b"\r\n":
            raise SurplusError("a chunk that is not what its size says")
        if size == 0:
            return "chunked", chunks, rest[2:]
        chunks.append(rest[:size])
        rest = rest[size + 2 :]
