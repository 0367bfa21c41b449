"""Both sides of a WSGI conversation, checked: does the server keep PEP 3333, does the application?

Here live the rules that one can check between the two, and the thin wrappers that check them. Nothing here repairs,
buffers or answers. A mistake raises an AssertionError that says what was found and what would be right. Something that
is allowed but unwise is a WSGIWarning. Every refusal is an explicit ``raise``, so ``python -O`` removes none. A check
costs a few comparisons, so a test suite can put `validator` around every application.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .types import ErrorStream, InputStream, StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["validator"]

# PEP 3333, "environ Variables": the keys that every request has; the first three can never be empty strings either.
_REQUIRED_CGI = ("REQUEST_METHOD", "SERVER_NAME", "SERVER_PORT")
_REQUIRED_WSGI = ("version", "url_scheme", "input", "errors", "multithread", "multiprocess", "run_once")
_REQUIRED = (*_REQUIRED_CGI, *(f"wsgi.{name}" for name in _REQUIRED_WSGI))
# CGI gives these two without the HTTP_ prefix; with it, a program would read one of two truths.
_MISNAMED = ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH")
# Keys that come from the client or name the server. Variables of the operating system, which CGI-like servers mix in,
# may hold anything that a shell can export, and only have to be `str`.
_OF_THE_REQUEST = re.compile("HTTP_|REQUEST_METHOD|SCRIPT_NAME|PATH_INFO|QUERY_STRING|CONTENT_|SERVER_")
# RFC 9110 section 9.3 and RFC 5789; CONNECT never reaches an application.
_KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"})
# Narrower than a token of RFC 9110: PEP 3333 wants no punctuation around a name, and a name outside these characters
# does not survive the CGI spelling (HTTP_...) of the next hop. Values are narrower too: no control character at all.
header_re = re.compile(r"^[A-Za-z][A-Za-z0-9_-]*$")
bad_header_value_re = re.compile(r"[\x00-\x1f\x7f]")
# RFC 9110 sections 15.3.5 and 15.4.5: these have no content, so they have no type of content.
_WITHOUT_CONTENT = frozenset({"204", "304"})
_END = object()


class WSGIWarning(Warning):
    """Something that PEP 3333 does not forbid, but that is probably a mistake."""


def check_string_type(value: object, title: str) -> str:
    """Return `value`, a `str` and of no subclass (PEP 3333, "A Note On String Types"); AssertionError otherwise."""
    if type(value) is str:
        return value
    raise AssertionError(f"{title} must be a native str, not {_described(value)}")


def assert_(cond: object, *args: object) -> None:
    """Raise ``AssertionError(*args)`` unless `cond` is true, under ``python -O`` too."""
    if not cond:
        raise AssertionError(*args)


def validator(application: WSGIApplication) -> Callable[..., IteratorWrapper]:
    """Return a WSGI application that forwards to `application` and checks it, and the server that calls it.

    A breach of PEP 3333 raises AssertionError at its own place: in the server's call, in the application's calls of
    start_response, write, wsgi.input and wsgi.errors, or in the iteration of the body. Something only doubtful is a
    WSGIWarning. The application gets the server's own environ, with its two streams wrapped. The thread that calls the
    result calls the application and iterates its answer.
    """

    def checked_application(*args: Any, **kw: object) -> IteratorWrapper:
        if len(args) != 2 or kw:
            raise AssertionError(f"An application takes 2 positional arguments, not {len(args)} and {list(kw)}")
        environ, start_response = args
        check_environ(environ)
        if not callable(start_response):
            raise AssertionError(f"start_response must be callable, not {_described(start_response)}")
        environ["wsgi.input"] = InputWrapper(environ["wsgi.input"])
        environ["wsgi.input"].ends = bool(environ.get("wsgi.input_terminated"))
        environ["wsgi.errors"] = ErrorWrapper(environ["wsgi.errors"])
        started: list[None] = []
        iterator = application(environ, _checked_start_response(start_response, started))
        check_iterator(iterator)
        return IteratorWrapper(iterator, started)

    return checked_application


def _checked_start_response(start_response: StartResponse, started: list[None]) -> Callable[..., WriteWrapper]:
    """Return the start_response for the application; each accepted call appends to `started`."""

    def checked_start_response(*args: Any, **kw: object) -> WriteWrapper:
        if len(args) not in (2, 3) or kw:
            raise AssertionError(f"start_response takes 2 or 3 positional arguments, not {len(args)} and {list(kw)}")
        status, headers, exc_info = (*args, None)[:3]
        check_exc_info(exc_info)
        check_status(status)
        check_headers(headers)
        check_content_type(status, headers)
        if started and exc_info is None:
            raise AssertionError("start_response was called twice: only an error, with exc_info, may do that")
        started.append(None)
        return WriteWrapper(start_response(*args))

    return checked_start_response


class InputWrapper:
    """A wsgi.input whose every read is checked. Called by the application's thread."""

    ends = False  # whether the server says so: ``wsgi.input_terminated``

    def __init__(self, wsgi_input: InputStream) -> None:
        self.input = wsgi_input

    def read(self, *args: int) -> bytes:
        """Return at most so many bytes. Without `ends` it takes one argument, lest it wait for ever."""
        if len(args) != 1 and (args or not self.ends):
            raise AssertionError(f"wsgi.input.read takes exactly one argument, the size, not {len(args)}")
        return _read(self.input.read(*args), "read")

    def readline(self, *args: int) -> bytes:
        self._check_hint(args)
        return _read(self.input.readline(*args), "readline")

    def readlines(self, *args: int) -> list[bytes]:
        self._check_hint(args)
        lines = self.input.readlines(*args)
        if type(lines) is not list:
            raise AssertionError(f"wsgi.input.readlines must return a list, not {_described(lines)}")
        for line in lines:
            _read(line, "readlines")
        return lines

    def __iter__(self) -> Iterator[bytes]:
        for line in self.input:
            yield _read(line, "__iter__")

    def close(self) -> None:
        raise AssertionError("wsgi.input.close was called: only the server may close its input")

    def _check_hint(self, args: tuple[object, ...]) -> None:
        if len(args) > 1:
            raise AssertionError(f"readline and readlines of wsgi.input take at most one argument, not {len(args)}")


def _read(data: object, method: str) -> bytes:
    if isinstance(data, bytes):
        return data
    raise AssertionError(f"wsgi.input.{method} must give bytes, not {_described(data)}")


class ErrorWrapper:
    """A wsgi.errors that takes native strings only. Called by the application's thread."""

    def __init__(self, wsgi_errors: ErrorStream) -> None:
        self.errors = wsgi_errors

    def write(self, s: str) -> None:
        self.errors.write(check_string_type(s, "What is written to wsgi.errors"))

    def writelines(self, seq: Iterable[str]) -> None:
        for line in seq:
            self.write(line)

    def flush(self) -> None:
        self.errors.flush()

    def close(self) -> None:
        raise AssertionError("wsgi.errors.close was called: only the server may close its error stream")


class WriteWrapper:
    """The write callable that start_response returned, taking bytes only. Called by the application's thread."""

    def __init__(self, wsgi_writer: Callable[[bytes], object]) -> None:
        self.writer = wsgi_writer

    def __call__(self, s: bytes) -> None:
        if not isinstance(s, bytes):
            raise AssertionError(f"write() must be given bytes, not {_described(s)}")
        # Checked only here: many small test doubles return None, which hurts only an application that writes.
        if not callable(self.writer):
            raise AssertionError(f"start_response must return the write callable, not {_described(self.writer)}")
        self.writer(s)


class IteratorWrapper:
    """The body that an application returned: bytes only, after start_response, closed at the end, silent afterwards.

    `check_start_response` is a list that gets an element when start_response is called, or None for no check of that.
    Called by the thread that iterates the answer. One that is lost unclosed complains in the thread that collects it.
    """

    closed: bool = True  # for __del__ of an instance whose __init__ failed

    def __init__(self, wsgi_iterator: Iterable[bytes], check_start_response: Sequence[object] | None) -> None:
        self.original_iterator = wsgi_iterator
        self.iterator = iter(wsgi_iterator)
        self.check_start_response = check_start_response
        self.closed = False

    def __iter__(self) -> IteratorWrapper:
        return self

    def __next__(self) -> bytes:
        if self.closed:
            raise AssertionError("The body was iterated after its close(): the server may not read on")
        block = next(self.iterator, _END)
        if not isinstance(block, bytes) and block is not _END:
            raise AssertionError(f"The body must consist of bytes, but yielded {_described(block)}")
        if self.check_start_response is not None:
            if not self.check_start_response:  # an empty body needs a status as well
                raise AssertionError("start_response was not called before the first block of the body, or its end")
            self.check_start_response = None
        if isinstance(block, bytes):
            return block
        raise StopIteration

    def close(self) -> None:
        """Close the application's iterable, if it has a close(); nothing may be read from it afterwards."""
        self.closed = True
        getattr(self.original_iterator, "close", lambda: None)()

    def __del__(self) -> None:
        """Complain of a server that forgot to close: to stderr, and to `sys.unraisablehook` for test runners."""
        if self.closed:
            return
        message = "The body was dropped without close(): the server must call it when the answer ends"
        if sys.stderr is not None:  # as under pythonw and late in the interpreter's shutdown
            sys.stderr.write(f"{message}\n")
        raise AssertionError(f"{message} ({self.original_iterator!r:.200})")


class PartialIteratorWrapper:
    """An iterable whose iterators are checked, but know nothing of start_response; the caller closes them."""

    def __init__(self, wsgi_iterator: Iterable[bytes]) -> None:
        self.iterator = wsgi_iterator

    def __iter__(self) -> IteratorWrapper:
        return IteratorWrapper(self.iterator, None)


def check_environ(environ: WSGIEnvironment) -> None:
    """Return if `environ` is as PEP 3333 ("environ Variables") wants it.

    Raises AssertionError for the first mistake; warns (WSGIWarning) of a missing QUERY_STRING and of an unknown method.
    Called by the server's thread.
    """
    if type(environ) is not dict:
        raise AssertionError(f"environ must be a built-in dict and no subclass, not {_described(environ)}")
    for key in _REQUIRED:
        if key not in environ:
            raise AssertionError(f"environ lacks the required key {key!r}")
    for key in _MISNAMED:
        if key in environ:
            raise AssertionError(f"environ must not have the key {key!r}: its name is {key[5:]!r}")
    _check_environ_values(environ)
    version = environ["wsgi.version"]
    if type(version) is not tuple or [type(part) for part in version] != [int, int]:
        raise AssertionError(f"wsgi.version must be a tuple of two integers, (1, 0), not {version!r:.100}")
    scheme = environ["wsgi.url_scheme"]
    if scheme not in ("http", "https"):
        raise AssertionError(f"wsgi.url_scheme must be 'http' or 'https', not {scheme!r:.100}")
    check_input(environ["wsgi.input"])
    check_errors(environ["wsgi.errors"])
    _check_paths(environ)
    length = environ.get("CONTENT_LENGTH", "")
    if length and not (length.isascii() and length.isdigit()):
        raise AssertionError(f"CONTENT_LENGTH must be decimal digits or empty, not {length!r:.100}")
    method = environ["REQUEST_METHOD"]
    if method not in _KNOWN_METHODS:
        warnings.warn(f"Unknown REQUEST_METHOD {method!r:.100}", WSGIWarning, stacklevel=3)
    if "QUERY_STRING" not in environ:
        message = "environ has no QUERY_STRING: old form parsers then look into sys.argv; set it, if only to ''"
        warnings.warn(message, WSGIWarning, stacklevel=3)


def _check_environ_values(environ: WSGIEnvironment) -> None:
    """Everything CGI-like is a native string. A dot marks a server's own key, which may hold anything."""
    for key, value in environ.items():
        if type(key) is not str:
            raise AssertionError(f"The keys of environ must be native str, not {_described(key)}")
        if type(value) is not str:
            if "." not in key:
                raise AssertionError(f"environ[{key!r}] must be a native str, not {_described(value)}")
        elif not value.isascii() and _OF_THE_REQUEST.match(key):
            _check_latin1(value, f"environ[{key!r}]")
    for key in _REQUIRED_CGI:
        if not environ[key]:
            raise AssertionError(f"environ[{key!r}] must not be empty")


def _check_paths(environ: WSGIEnvironment) -> None:
    """PEP 3333: either may be empty, one of them is there, and a lone slash belongs to PATH_INFO."""
    script_name = environ.get("SCRIPT_NAME")
    path_info = environ.get("PATH_INFO")
    if script_name == "/":
        raise AssertionError("SCRIPT_NAME must not be '/': it is then empty, and PATH_INFO is '/'")
    if script_name and script_name[0] != "/":
        raise AssertionError(f"SCRIPT_NAME must be empty or start with '/', not {script_name!r:.100}")
    if path_info and path_info[0] != "/":
        raise AssertionError(f"PATH_INFO must be empty or start with '/', not {path_info!r:.100}")
    if not script_name and path_info is None:
        raise AssertionError("environ must have a SCRIPT_NAME or a PATH_INFO; PATH_INFO of a root is '/'")


def check_input(wsgi_input: object) -> None:
    """Return if `wsgi_input` has the methods of PEP 3333, "Input and Error Streams"; AssertionError otherwise."""
    if missing := [name for name in ("read", "readline", "readlines", "__iter__") if not hasattr(wsgi_input, name)]:
        raise AssertionError(f"wsgi.input must have the methods {missing}; {_described(wsgi_input)} lacks them")


def check_errors(wsgi_errors: object) -> None:
    """Return if `wsgi_errors` has the methods of PEP 3333, "Input and Error Streams"; AssertionError otherwise."""
    if missing := [name for name in ("write", "writelines", "flush") if not hasattr(wsgi_errors, name)]:
        raise AssertionError(f"wsgi.errors must have the methods {missing}; {_described(wsgi_errors)} lacks them")


def check_status(status: str) -> None:
    """Return if `status` is three digits from 100, one space and a reason (PEP 3333, "The start_response() Callable").

    Raises AssertionError if not; only warns (WSGIWarning) if the space is missing. Called by the application's thread.
    """
    check_string_type(status, "The status")
    _check_sendable(status, "The status")
    code = status.split(" ", 1)[0]
    if len(code) != 3 or not (code.isascii() and code.isdigit()):
        raise AssertionError(f"The status must start with three digits, as '200 OK', not {status!r:.100}")
    if code < "100":
        raise AssertionError(f"The status code must be at least 100, not {status!r:.100}")
    if len(status) > 4 and status[-1] == " ":
        raise AssertionError(f"The status must not end with a space: {status!r:.100}")
    if len(status) < 4:
        message = f"The status {status!r} should have a space and a reason after the code, as '200 OK'"
        warnings.warn(message, WSGIWarning, stacklevel=3)


def check_headers(headers: list[tuple[str, str]]) -> None:
    """Return if `headers` is a list of pairs of strings that can be sent as they are.

    PEP 3333, "The start_response() Callable"; RFC 9110, section 5. Raises AssertionError. The application's thread.
    """
    if type(headers) is not list:
        raise AssertionError(f"The headers must be a built-in list, not {_described(headers)}")
    for item in headers:
        if type(item) is not tuple or len(item) != 2:
            raise AssertionError(f"A header must be a tuple of name and value, not {_described(item)}")
        name, value = item
        if type(name) is not str or type(value) is not str:
            raise AssertionError(f"Name and value of a header must be native str, not {_described(item)}")
        if not header_re.fullmatch(name):
            raise AssertionError(f"Bad header name {name!r:.100}: a letter, then letters, digits, '-' and '_' only")
        if name[-1] in "-_":
            raise AssertionError(f"A header name must not end with '-' or '_': {name!r:.100}")
        if name.lower() == "status":
            raise AssertionError("The status is an argument of start_response: it must not be among the headers too")
        if not value.isascii() or not value.isprintable():
            _check_sendable(value, f"The value of the header {name!r:.100}")


def check_content_type(status: str, headers: list[tuple[str, str]]) -> None:
    """Return if `headers` have a Content-Type, or have none at status 204 and 304; AssertionError otherwise."""
    code = status[:3]
    present = any(name.lower() == "content-type" for name, _ in headers)
    if present and code in _WITHOUT_CONTENT:
        raise AssertionError(f"An answer with status {code} has no content, so it must not have a Content-Type")
    if not present and code not in _WITHOUT_CONTENT:
        names = ", ".join(name for name, _ in headers) or "none at all"
        raise AssertionError(f"The headers need a Content-Type; there are: {names:.200}")


def check_exc_info(exc_info: object) -> None:
    """Return if `exc_info` is None or a tuple as of `sys.exc_info`; AssertionError otherwise."""
    if exc_info is not None and (type(exc_info) is not tuple or len(exc_info) != 3):
        raise AssertionError(f"exc_info must be None or the tuple of sys.exc_info(), not {_described(exc_info)}")


def check_iterator(iterator: object) -> None:
    """Return if `iterator` can be iterated and is neither text nor a single bytestring; AssertionError otherwise."""
    if isinstance(iterator, (str, bytes)):
        raise AssertionError(f"An application returns an iterable of bytes: put this into a list: {iterator!r:.100}")
    if not (hasattr(iterator, "__iter__") or hasattr(iterator, "__getitem__")):
        raise AssertionError(f"An application returns an iterable of bytes, perhaps [], not {_described(iterator)}")


def _check_sendable(text: str, title: str) -> None:
    if bad_header_value_re.search(text):
        raise AssertionError(f"{title} must not have control characters: {text!r:.200}")
    if not text.isascii():
        _check_latin1(text, title)


def _check_latin1(text: str, title: str) -> None:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        raise AssertionError(f"{title} must have characters of ISO-8859-1 only: {text!r:.200}") from None


def _described(value: object) -> str:
    return f"{type(value).__name__}: {value!r:.100}"
