"""The files of a directory as answers: which file a path is, in which coding, and how much of it a client needs.

Nothing is sent here, and nothing is known of connections: a request becomes a `FileAnswer`. All is called in the
reactor's thread, and so are `open`, `fstat` and `read`, as in nginx without ``aio``: of a file that the kernel has in
memory they take some microseconds. A disk that sleeps, or a server of files that hangs, holds up the reactor.

What is decided here:

* A segment that is empty, ``.`` or ``..``, and one that begins with a dot, names no file: 404. A client whose URL has
  such a segment would have resolved it. For ``/.well-known`` there is a mount of that name.
* A directory is its ``index.html``, or nothing: no listing. Without the slash at its end it is redirected to that
  (301), by a reference that is relative, so that no proxy's prefix can be wrong.
* ``a.css.br``, ``a.css.zst`` and ``a.css.gz`` stand for ``a.css`` if the client can undo them, unless they are older
  than that: somebody has changed the file and not them. Two seconds are forgiven, which copying may bring.
* The entity tag is time of change and size, as nginx has it: not the inode, which differs between two machines of a
  site. In the second of the change it is weak, as Apache has it, and there is no Last-Modified, since the file may
  change once more. Files of 1 January 1980 and before have neither: builds that can be repeated give such times to
  all that they make, and they say nothing.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, NamedTuple, NoReturn
from urllib.parse import quote

from twisted_wsgiref._http.codings import choose_coding
from twisted_wsgiref._http.conditional import Validators, judge, wants_range
from twisted_wsgiref._http.freshness import AgeRule, cache_control
from twisted_wsgiref._http.media_types import media_type
from twisted_wsgiref._http.ranges import Part, content_range, make_multipart, read_ranges

from .directory import Directory

Headers = tuple[tuple[str, str], ...]

_INDEX: Final = b"index.html"
# In the order of the server's preference: the smallest first.
_SUFFIXES: Final = {"br": b".br", "zstd": b".zst", "gzip": b".gz"}
# As long as nothing is asked of the file system, in seconds: who changes a file sees it a second later.
_KNOWN_FOR: Final = 1.0
# A file up to this size, in bytes, is sent from memory, together with its head; `sendfile` begins to pay there.
_SMALL: Final = 64 * 1024
# Bytes and number of files that are kept in memory.
_MOST_BYTES: Final = 16 * 1024 * 1024
_MOST_FILES: Final = 1024
# How much older than its file a coded copy may be, in nanoseconds.
_FORGIVEN: Final = 2 * 10**9
# 2 January 1980, in seconds since the epoch: archives can not say less, and whoever wants to say nothing says that.
_TELLS_NOTHING: Final = 315619200

# Whoever asks for what is not there, or may not be, hears no more than that.
_ABSENT: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EMLINK, errno.ENAMETOOLONG, errno.EISDIR, errno.ENXIO}
)
_TEXTS: Final = {
    301: "The page is at this address with a slash at its end.",
    403: "The file may not be read.",
    404: "There is no such file.",
    405: "A file can be read, and no more.",
    412: "The file is not the one that the request is for.",
    416: "The file has no such part.",
    500: "The file can not be read.",
}


class FileAnswer(NamedTuple):
    """What is to be sent: `status` and `headers` as PEP 3333 has them, and `body`, or else `pieces` of a file.

    ``pieces`` are bytes, and parts of the file that ``descriptor`` is; whoever has this closes that. ``trouble`` is
    for the log of the server.
    """

    status: str
    headers: Headers
    body: bytes = b""
    descriptor: int | None = None
    pieces: tuple[bytes | Part, ...] = ()
    trouble: OSError | None = None


class _Changed(Exception):
    """A file is not what it was a moment ago."""


class _Copy:
    """One form of a file: as it is, or coded. ``content`` is all of it, if that is in memory."""

    __slots__ = (
        "content",
        "described",
        "descriptor",
        "headers",
        "kept",
        "media_type",
        "segments",
        "size",
        "status",
        "validators",
    )

    validators: Validators
    media_type: str
    kept: Headers  # the headers that a 304 repeats
    described: Headers  # those of a part, too
    headers: Headers  # those of an answer with all of it

    def __init__(self, segments: Sequence[bytes], descriptor: int, status: os.stat_result) -> None:
        self.segments = segments
        self.descriptor: int | None = descriptor  # in the request that has found it
        self.status = status
        self.size = status.st_size
        self.content: bytes | None = None


class _File:
    """A file in all its forms: ``codings`` says in which, besides as it is. Known until ``until``, by the clock."""

    __slots__ = ("codings", "copies", "until", "weight")

    def __init__(self, plain: _Copy, until: float) -> None:
        self.copies: dict[str | None, _Copy] = {None: plain}
        self.codings: tuple[str, ...] = ()
        self.until = until
        self.weight = 0

    def close(self) -> None:
        """Give back what is open."""
        for copy in self.copies.values():
            if copy.descriptor is not None:
                os.close(copy.descriptor)
                copy.descriptor = None


class StaticFiles:
    """The files below `directory`; `rules` say how long clients may use them, `links` whether links may leave it.

    With `private` no cache but a client's own may keep them, and each request has what the file is then.

    `wall` returns seconds since the epoch, `clock` seconds that never go back.
    """

    def __init__(
        self,
        directory: str,
        rules: Sequence[AgeRule] = (),
        *,
        links: bool = False,
        private: bool = False,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = Directory(directory, links)
        self._rules = tuple(rules)
        self._private = private
        self._wall = wall
        self._clock = clock
        self._files: dict[str, _File] = {}
        self._bytes = 0

    def answer(
        self, method: str, path: str, prefix: str, query: str, fields: Mapping[str, str], kind: str | None = None
    ) -> FileAnswer:
        """Return the answer to a request of `method` for `path`, which `prefix` begins, decoded; see PEP 3333.

        `query` is as sent, `fields` have CGI names. `kind` is the media type, if somebody knows better than the name
        of the file. Raises nothing.
        """
        if method not in ("GET", "HEAD"):
            return _refusal(405, ("Allow", "GET, HEAD"))
        rest = path[len(prefix) :]
        try:
            file = self._files.get(rest)
            if file is not None and self._clock() < file.until:
                try:
                    return self._answer(file, method, fields, kind)
                except _Changed:
                    pass
            file = self._find(rest)
            try:
                return self._answer(file, method, fields, kind)
            finally:
                file.close()
        except IsADirectoryError:
            return _redirection(path, query, method)
        except OSError as error:
            return _failure(error, method)

    # ---- From a path to a file ---------------------------------------------------------------------------------

    def _find(self, rest: str) -> _File:
        """Return the file at `rest`. Raises `OSError`: `IsADirectoryError` for a directory without its slash."""
        self._forget(rest)
        segments = _segments(rest)
        if not segments:
            self._expect_index(segments)
        elif not segments[-1]:
            segments[-1] = _INDEX
        try:
            descriptor, status = self._open(segments)
        except IsADirectoryError:
            if segments[-1] is not _INDEX:
                self._expect_index(segments)
            raise FileNotFoundError(errno.ENOENT, "no file") from None
        name = b"/".join(segments).decode("latin-1")
        file = _File(_Copy(segments, descriptor, status), self._clock() + _KNOWN_FOR)
        try:
            self._find_coded(file)
            self._describe(name, file)
            self._keep(rest, file)
        except BaseException:
            file.close()
            raise
        return file

    def _open(self, segments: Sequence[bytes]) -> tuple[int, os.stat_result]:
        """Return the descriptor and the status of the regular file at `segments`. Raises `OSError`."""
        descriptor = self._directory.open(segments)
        try:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, "a directory")
            if not stat.S_ISREG(status.st_mode):
                raise FileNotFoundError(errno.ENOENT, "no regular file")
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor, status

    def _expect_index(self, segments: Sequence[bytes]) -> NoReturn:
        """Raise `IsADirectoryError` if the directory at `segments` has a page, else another `OSError`."""
        try:
            os.close(self._open([*segments, _INDEX])[0])
        except IsADirectoryError:
            raise FileNotFoundError(errno.ENOENT, "no page") from None
        raise IsADirectoryError(errno.EISDIR, "a directory")

    def _find_coded(self, file: _File) -> None:
        plain = file.copies[None]
        oldest = plain.status.st_mtime_ns - _FORGIVEN
        for coding, suffix in _SUFFIXES.items():
            segments = [*plain.segments[:-1], plain.segments[-1] + suffix]
            try:
                descriptor, status = self._open(segments)
            except OSError:
                continue  # also if it may not be read: there is the file itself
            if status.st_mtime_ns < oldest:
                os.close(descriptor)
            else:
                file.copies[coding] = _Copy(segments, descriptor, status)
                file.codings += (coding,)

    def _describe(self, name: str, file: _File) -> None:
        """Give each copy of `file` its validators and headers."""
        now = self._wall()
        common = [("Cache-Control", cache_control(self._rules, name, self._private))]
        if file.codings:
            common.append(("Vary", "Accept-Encoding"))
        for coding, copy in file.copies.items():
            copy.validators = validators = _validators(copy.status, coding, now)
            kept = list(common)
            if validators.tag is not None:
                kept.append(("ETag", validators.tag))
            if validators.modified is not None:
                kept.append(("Last-Modified", formatdate(validators.modified, usegmt=True)))
            copy.kept = tuple(kept)
            copy.media_type = media_type(name)
            copy.described = (*kept, ("Accept-Ranges", "bytes"))
            if coding is not None:
                copy.described += (("Content-Encoding", coding),)
            copy.headers = (*copy.described, ("Content-Type", copy.media_type), ("Content-Length", str(copy.size)))

    # ---- What is in memory -------------------------------------------------------------------------------------

    def _keep(self, rest: str, file: _File) -> None:
        """Read the content of those copies of `file` that are small; remember it, unless it is for one client alone."""
        for copy in file.copies.values():
            if copy.size <= _SMALL and copy.descriptor is not None:
                content = os.pread(copy.descriptor, copy.size + 1, 0)
                if len(content) == copy.size:  # else it has just changed
                    copy.content = content
                    file.weight += copy.size
        if self._private:
            return  # an application may write another one of the same name for the next request
        self._files[rest] = file
        self._bytes += file.weight
        while self._bytes > _MOST_BYTES or len(self._files) > _MOST_FILES:
            self._forget(next(iter(self._files)))

    def _forget(self, rest: str) -> None:
        file = self._files.pop(rest, None)
        if file is not None:
            self._bytes -= file.weight

    # ---- From a file to an answer ------------------------------------------------------------------------------

    def _answer(self, file: _File, method: str, fields: Mapping[str, str], kind: str | None) -> FileAnswer:
        coding = choose_coding(fields.get("HTTP_ACCEPT_ENCODING"), file.codings) if file.codings else None
        copy = file.copies[coding]
        now = self._wall()
        verdict = judge(method, fields, copy.validators, now)
        if verdict:
            return FileAnswer("304 Not Modified", copy.kept) if verdict == 304 else _refusal(verdict, method=method)
        if method == "HEAD":
            return FileAnswer("200 OK", copy.headers)
        wanted = wants_range(method, fields, copy.validators, now)
        parts = None if wanted is None else read_ranges(wanted, copy.size)
        if parts is None:
            if copy.content is not None or not copy.size:
                return FileAnswer("200 OK", copy.headers, copy.content or b"")
            return self._of_file("200 OK", copy.headers, copy, (Part(0, copy.size),))
        if not parts:
            return _refusal(416, ("Content-Range", content_range(None, copy.size)), ("Accept-Ranges", "bytes"))
        return self._partial(copy, parts, kind or copy.media_type)

    def _partial(self, copy: _Copy, parts: Sequence[Part], kind: str) -> FileAnswer:
        status = "206 Partial Content"
        pieces: tuple[bytes | Part, ...] = tuple(parts)
        length, more = parts[0].length, copy.described
        if len(parts) == 1:
            more += (("Content-Range", content_range(parts[0], copy.size)),)
        else:
            # Nobody can have written it into the file: it is made for this answer.
            told = make_multipart(parts, copy.size, kind, secrets.token_hex(16))
            kind, length = told.media_type, told.length
            pieces = (*(piece for pair in zip(told.preambles, parts, strict=True) for piece in pair), told.end)
        headers = (*more, ("Content-Type", kind), ("Content-Length", str(length)))
        content = copy.content
        if content is None:
            return self._of_file(status, headers, copy, pieces)
        body = [each if isinstance(each, bytes) else content[each.start : each.start + each.length] for each in pieces]
        return FileAnswer(status, headers, b"".join(body))

    def _of_file(self, status: str, headers: Headers, copy: _Copy, pieces: tuple[bytes | Part, ...]) -> FileAnswer:
        """Return an answer with `pieces` of a file, whose descriptor goes along. Raises `_Changed` and `OSError`."""
        descriptor, copy.descriptor = copy.descriptor, None
        if descriptor is None:
            descriptor, found = self._open(copy.segments)
            if (found.st_mtime_ns, found.st_size) != (copy.status.st_mtime_ns, copy.size):
                os.close(descriptor)
                raise _Changed
        return FileAnswer(status, headers, descriptor=descriptor, pieces=pieces)


def _segments(rest: str) -> list[bytes]:
    """Return the segments of `rest`, the last one empty behind a slash. Raises `FileNotFoundError` for no name."""
    segments = rest.encode("latin-1").split(b"/")[1:]
    for position, segment in enumerate(segments, 1):
        if segment[:1] in (b"", b".") and (segment or position < len(segments)):
            raise FileNotFoundError(errno.ENOENT, "no name of a file")
        if b"\0" in segment:
            raise FileNotFoundError(errno.ENOENT, "no name of a file")
    return segments


def _validators(status: os.stat_result, coding: str | None, now: float) -> Validators:
    modified = status.st_mtime_ns // 10**9  # the number of seconds is a float, which may round up
    if modified < _TELLS_NOTHING:
        return Validators()
    tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}{"" if coding is None else f"-{coding}"}"'
    if now - status.st_mtime < 1.0:
        return Validators(f"W/{tag}")
    return Validators(tag, modified)


def _redirection(path: str, query: str, method: str) -> FileAnswer:
    """Return the answer that has a client ask for the directory at `path` with a slash. RFC 9110, section 10.2.2."""
    name = quote(path.rpartition("/")[2].encode("latin-1"), safe="!$&'()*+,;=@-._~")
    # With a dot, since a first segment with a colon would be a scheme; and never two slashes, which would be a host.
    return _refusal(301, ("Location", f"./{name}/{query and '?'}{query}"), method=method)


def _failure(error: OSError, method: str) -> FileAnswer:
    if error.errno in _ABSENT:
        return _refusal(404, method=method)
    status = 403 if error.errno in (errno.EACCES, errno.EPERM) else 500
    return _refusal(status, method=method, trouble=error)


def _refusal(status: int, *headers: tuple[str, str], method: str = "GET", trouble: OSError | None = None) -> FileAnswer:
    body = f"{_TEXTS[status]}\n".encode()
    told = (("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))))
    line = f"{status} {HTTPStatus(status).phrase}"
    return FileAnswer(line, (*headers, *told), b"" if method == "HEAD" else body, trouble=trouble)
