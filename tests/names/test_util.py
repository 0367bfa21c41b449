"""Do the small tools for environs do what PEP 3333 and the documentation say, and what the standard library's do?"""

from __future__ import annotations

import copy
import io
import warnings
import wsgiref.util
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_wsgiref import util
from twisted_wsgiref.validate import validator

LATIN_1 = st.characters(max_codepoint=0xFF)
SEGMENTS = st.one_of(st.sampled_from(["", ".", "..", "a", "x y", "caf\xc3\xa9"]), st.text(LATIN_1, max_size=5))
# A path as PEP 3333 has it: empty, or a slash before each segment (which may then hold slashes of its own).
PATHS = st.lists(SEGMENTS, max_size=6).map(lambda segments: "".join(f"/{segment}" for segment in segments))


@st.composite
def environs(draw: st.DrawFn) -> dict[str, str]:
    result = {
        "wsgi.url_scheme": draw(st.sampled_from(["http", "https", "ws"])),
        "SERVER_NAME": draw(st.sampled_from(["example.com", "[::1]"])),
        "SERVER_PORT": draw(st.sampled_from(["80", "443", "8080"])),
    }
    optional = {
        "SCRIPT_NAME": PATHS,
        "PATH_INFO": PATHS,
        "QUERY_STRING": st.sampled_from(["", "a=b", "a=%2F&b=c d"]),
        "HTTP_HOST": st.sampled_from(["", "elsewhere", "elsewhere:99"]),
    }
    for name, values in optional.items():
        if draw(st.booleans()):
            result[name] = draw(values)
    return result


def mounted(script: str | None, path: str | None, **more: str) -> dict[str, Any]:
    """Return an environ of http://127.0.0.1; None leaves the variable out."""
    environ: dict[str, Any] = {"SCRIPT_NAME": script, "PATH_INFO": path, **more}
    environ = {name: value for name, value in environ.items() if value is not None}
    util.setup_testing_defaults(environ)
    return environ


class TestGuessScheme:
    @pytest.mark.parametrize("value", ["yes", "on", "1"])
    def test_is_it_https_where_the_variable_says_so(self, value: str) -> None:
        assert util.guess_scheme({"HTTPS": value}) == "https"

    @pytest.mark.parametrize("value", ["", "no", "off", "0", "YES", "On", "true", "2"])
    def test_is_it_http_for_every_other_value(self, value: str) -> None:
        assert util.guess_scheme({"HTTPS": value}) == wsgiref.util.guess_scheme({"HTTPS": value}) == "http"

    def test_is_it_http_without_the_variable(self) -> None:
        assert util.guess_scheme({}) == "http"

    def test_a_header_of_that_name_is_not_believed(self) -> None:
        assert util.guess_scheme({"HTTP_HTTPS": "on"}) == "http"


class TestUris:
    @pytest.mark.parametrize(
        ("script", "path", "application", "request_"),
        [
            (None, None, "http://127.0.0.1/", "http://127.0.0.1/"),
            ("", "/", "http://127.0.0.1/", "http://127.0.0.1/"),
            ("", "/shop", "http://127.0.0.1/", "http://127.0.0.1/shop"),
            ("/shop", "", "http://127.0.0.1/shop", "http://127.0.0.1/shop"),
            ("/shop", "/", "http://127.0.0.1/shop", "http://127.0.0.1/shop/"),
            ("/shop", "/cart", "http://127.0.0.1/shop", "http://127.0.0.1/shop/cart"),
            ("/a b", "/c d", "http://127.0.0.1/a%20b", "http://127.0.0.1/a%20b/c%20d"),
            ("/\xc3\xa9", "/\xff", "http://127.0.0.1/%C3%A9", "http://127.0.0.1/%C3%A9/%FF"),
            ("", "/a%2Fb?c#d", "http://127.0.0.1/", "http://127.0.0.1/a%252Fb%3Fc%23d"),
            # Parameters of a segment stay readable in the path, and are octets as any other in the mount point.
            ("/a;b=1,2", "/c;d=3,4", "http://127.0.0.1/a%3Bb%3D1%2C2", "http://127.0.0.1/a%3Bb%3D1%2C2/c;d=3,4"),
        ],
    )
    def test_which_uris_do_script_and_path_make(
        self, script: str | None, path: str | None, application: str, request_: str
    ) -> None:
        environ = mounted(script, path)
        assert util.application_uri(environ) == application
        assert util.request_uri(environ) == request_

    @pytest.mark.parametrize(
        ("scheme", "port", "expected"),
        [
            ("http", "80", "http://example.com/"),
            ("http", "443", "http://example.com:443/"),
            ("https", "443", "https://example.com/"),
            ("https", "80", "https://example.com:80/"),
            ("http", "8080", "http://example.com:8080/"),
        ],
    )
    def test_is_the_port_named_only_where_it_is_not_the_schemes_own(
        self, scheme: str, port: str, expected: str
    ) -> None:
        environ = {"wsgi.url_scheme": scheme, "SERVER_NAME": "example.com", "SERVER_PORT": port}
        assert util.application_uri(environ) == expected

    def test_does_the_host_field_win_over_the_servers_name_and_port(self) -> None:
        environ = mounted("", "/", SERVER_NAME="inner", SERVER_PORT="8080", HTTP_HOST="outer:81")
        assert util.request_uri(environ) == "http://outer:81/"

    def test_does_an_empty_host_field_count_as_none(self) -> None:
        environ = mounted("", "/", SERVER_NAME="inner", SERVER_PORT="8080", HTTP_HOST="")
        assert util.request_uri(environ) == "http://inner:8080/"

    def test_is_the_query_given_as_it_came_and_left_out_when_asked(self) -> None:
        environ = mounted("/x", "/y", QUERY_STRING="a=%2F&b= c")
        assert util.request_uri(environ) == "http://127.0.0.1/x/y?a=%2F&b= c"
        assert util.request_uri(environ, include_query=False) == "http://127.0.0.1/x/y"
        assert util.request_uri(environ, 0) == "http://127.0.0.1/x/y"  # type: ignore[arg-type]
        assert util.application_uri(environ) == "http://127.0.0.1/x"

    def test_no_question_mark_for_an_empty_query(self) -> None:
        assert util.request_uri(mounted("", "/y", QUERY_STRING="")) == "http://127.0.0.1/y"

    def test_the_environ_stays_as_it_was(self) -> None:
        environ = mounted("/x", "/y")
        before = dict(environ)
        util.request_uri(environ)
        assert environ == before

    def test_text_that_is_no_octets_is_refused(self) -> None:
        with pytest.raises(UnicodeEncodeError):
            util.request_uri(mounted("", "/\u20ac"))

    @pytest.mark.parametrize("name", ["wsgi.url_scheme", "SERVER_NAME", "SERVER_PORT"])
    def test_a_variable_that_the_pep_requires_is_named_when_it_is_missing(self, name: str) -> None:
        environ = mounted("", "/")
        del environ["HTTP_HOST"], environ[name]
        with pytest.raises(KeyError, match=name):
            util.request_uri(environ)

    @given(environs(), st.booleans())
    def test_the_same_as_the_standard_librarys(self, environ: dict[str, str], query: bool) -> None:
        assert util.application_uri(environ) == wsgiref.util.application_uri(environ)
        assert util.request_uri(environ, query) == wsgiref.util.request_uri(environ, query)


class TestShiftPathInfo:
    @pytest.mark.parametrize(
        ("script", "path", "name", "script_after", "path_after"),
        [
            # The documentation's example.
            ("/foo", "/bar/baz", "bar", "/foo/bar", "/baz"),
            ("/foo/bar", "/baz", "baz", "/foo/bar/baz", ""),
            # Nothing left, and the trailing slash that is not nothing.
            ("/x", "", None, "/x", ""),
            ("/x", "/", "", "/x/", ""),
            ("", "/", "", "/", ""),
            ("/", "/", "", "/", ""),
            ("", "/x/", "x", "/x", "/"),
            ("/x", "/y/", "y", "/x/y", "/"),
            # Empty segments and dots.
            ("", "//x", "x", "/x", ""),
            ("/a", "//x//y//", "x", "/a/x", "/y/"),
            ("/a", "/./x", "x", "/a/x", ""),
            ("/a", "/x/./y", "x", "/a/x", "/y"),
            ("/a", "/.", None, "/a", ""),
            ("/a", "/x/.", "x", "/a/x", "/."),
            ("/a/b", "/../x", "..", "/a", "/x"),
            ("", "/..", "..", "", ""),
        ],
    )
    def test_what_moves_and_what_is_left(
        self, script: str, path: str, name: str | None, script_after: str, path_after: str
    ) -> None:
        environ = {"SCRIPT_NAME": script, "PATH_INFO": path}
        assert util.shift_path_info(environ) == name
        assert environ == {"SCRIPT_NAME": script_after, "PATH_INFO": path_after}

    def test_a_missing_path_has_no_name_and_changes_nothing(self) -> None:
        environ: dict[str, Any] = {}
        assert util.shift_path_info(environ) is None
        assert environ == {}

    def test_a_missing_script_name_is_the_root(self) -> None:
        environ = {"PATH_INFO": "/x/y"}
        assert util.shift_path_info(environ) == "x"
        assert environ == {"SCRIPT_NAME": "/x", "PATH_INFO": "/y"}

    def test_can_slash_x_be_told_from_slash_x_slash(self) -> None:
        walks = []
        for path in ("/x", "/x/"):
            environ = {"SCRIPT_NAME": "", "PATH_INFO": path}
            walks.append([util.shift_path_info(environ) for _ in range(3)])
        assert walks == [["x", None, None], ["x", "", None]]

    @pytest.mark.parametrize("path", ["*", "x", "x/y"])
    def test_a_path_without_its_slash_is_refused_and_named(self, path: str) -> None:
        environ = {"SCRIPT_NAME": "", "PATH_INFO": path}
        with pytest.raises(ValueError, match="PATH_INFO") as caught:
            util.shift_path_info(environ)
        assert repr(path) in str(caught.value)
        assert environ == {"SCRIPT_NAME": "", "PATH_INFO": path}

    @given(PATHS, PATHS)
    def test_the_same_as_the_standard_librarys_until_the_path_is_used_up(self, script: str, path: str) -> None:
        ours = {"SCRIPT_NAME": script, "PATH_INFO": path}
        theirs = dict(ours)
        for _ in range(path.count("/") + 1):
            assert util.shift_path_info(ours) == wsgiref.util.shift_path_info(theirs)
            assert ours == theirs
        assert ours["PATH_INFO"] == ""


def comparable(environ: dict[str, Any]) -> dict[str, Any]:
    """Return the environ with its streams replaced by their type and content."""
    streams = (io.BytesIO, io.StringIO)
    return {
        name: (type(value), value.getvalue()) if isinstance(value, streams) else value
        for name, value in environ.items()
    }


class TestSetupTestingDefaults:
    @pytest.mark.parametrize(
        "given_",
        [
            {},
            {"SERVER_NAME": "example.com"},
            {"SERVER_NAME": "example.com", "HTTP_HOST": "other"},
            {"HTTPS": "on"},
            {"HTTPS": "on", "SERVER_PORT": "8443"},
            {"wsgi.url_scheme": "https"},
            {"HTTPS": "on", "wsgi.url_scheme": "http"},
            {"SCRIPT_NAME": "/x"},
            {"PATH_INFO": "/x"},
            {"SCRIPT_NAME": "/x", "PATH_INFO": ""},
            {"REQUEST_METHOD": "POST", "SERVER_PROTOCOL": "HTTP/1.1"},
            {"wsgi.version": (2, 0), "wsgi.run_once": True, "wsgi.multithread": True, "wsgi.multiprocess": True},
            {"MINE": "stays"},
        ],
    )
    def test_the_same_as_the_standard_librarys(self, given_: dict[str, Any]) -> None:
        ours, theirs = copy.copy(given_), copy.copy(given_)
        util.setup_testing_defaults(ours)
        wsgiref.util.setup_testing_defaults(theirs)
        assert comparable(ours) == comparable(theirs)
        assert ours.items() >= given_.items()

    def test_streams_that_are_there_stay(self) -> None:
        body, errors = io.BytesIO(b"body"), io.StringIO()
        environ: dict[str, Any] = {"wsgi.input": body, "wsgi.errors": errors}
        util.setup_testing_defaults(environ)
        assert environ["wsgi.input"] is body
        assert environ["wsgi.errors"] is errors

    def test_no_two_environs_share_a_stream(self) -> None:
        first: dict[str, Any] = {}
        second: dict[str, Any] = {}
        util.setup_testing_defaults(first)
        util.setup_testing_defaults(second)
        assert first["wsgi.input"] is not second["wsgi.input"]
        assert first["wsgi.errors"] is not second["wsgi.errors"]

    def test_is_it_done_in_place(self) -> None:
        assert util.setup_testing_defaults({}) is None  # type: ignore[func-returns-value]

    def test_a_port_is_there_for_every_scheme(self) -> None:
        # The documentation promises SERVER_PORT, which PEP 3333 requires; the standard library forgets it here.
        environ: dict[str, Any] = {"wsgi.url_scheme": "other"}
        util.setup_testing_defaults(environ)
        assert environ["SERVER_PORT"] == "80"

    def test_does_the_environ_pass_the_validator(self) -> None:
        def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"fine"]

        environ: dict[str, Any] = {"QUERY_STRING": ""}
        util.setup_testing_defaults(environ)
        answer = validator(application)(environ, lambda status, headers, exc_info=None: lambda block: None)
        try:
            assert list(answer) == [b"fine"]
        finally:
            answer.close()


class TestIsHopByHop:
    @pytest.mark.parametrize(
        "name",
        [
            "Connection",
            "Keep-Alive",
            "Proxy-Authenticate",
            "Proxy-Authorization",
            "TE",
            "Trailers",
            "Transfer-Encoding",
            "Upgrade",
        ],
    )
    def test_those_of_rfc_2616_are_in_any_case(self, name: str) -> None:
        for spelling in (name, name.lower(), name.upper(), name.swapcase()):
            assert util.is_hop_by_hop(spelling)
            assert wsgiref.util.is_hop_by_hop(spelling)

    @pytest.mark.parametrize(
        "name", ["Accept", "Content-Length", "Date", "Server", "Trailer", "Via", "", "connection ", "x-upgrade"]
    )
    def test_others_are_not(self, name: str) -> None:
        assert not util.is_hop_by_hop(name)
        assert not wsgiref.util.is_hop_by_hop(name)


class WithoutClose:
    """A reader of blocks, and nothing more; remembers the sizes that it was asked for."""

    def __init__(self, *blocks: bytes) -> None:
        self.blocks = list(blocks)
        self.sizes: list[Any] = []

    def read(self, size: int) -> bytes:
        self.sizes.append(size)
        return self.blocks.pop(0) if self.blocks else b""


class TestFileWrapper:
    @pytest.mark.parametrize(("length", "blksize"), [(0, 4), (1, 4), (4, 4), (5, 4), (8, 4), (20000, None)])
    def test_the_blocks_are_those_of_the_standard_librarys(self, length: int, blksize: int | None) -> None:
        data = bytes(n % 251 for n in range(length))
        sizes = () if blksize is None else (blksize,)
        ours = list(util.FileWrapper(io.BytesIO(data), *sizes))
        assert ours == list(wsgiref.util.FileWrapper(io.BytesIO(data), *sizes))
        assert b"".join(ours) == data

    def test_the_documented_example_reads_text_too(self) -> None:
        text = "This is an example file-like object" * 10
        blocks = list(util.FileWrapper(io.StringIO(text), blksize=5))
        assert {len(block) for block in blocks} == {5}
        assert "".join(blocks) == text

    def test_every_read_asks_for_the_block_size(self) -> None:
        filelike = WithoutClose(b"one", b"two")
        assert list(util.FileWrapper(filelike, 7)) == [b"one", b"two"]
        assert filelike.sizes == [7, 7, 7]

    def test_the_default_block_is_eight_kibibytes(self) -> None:
        filelike = WithoutClose()
        wrapper = util.FileWrapper(filelike)
        assert list(wrapper) == []
        assert (wrapper.blksize, filelike.sizes) == (8192, [8192])

    def test_the_attributes_say_what_it_was_made_of(self) -> None:
        filelike = WithoutClose()
        wrapper = util.FileWrapper(filelike, 3)
        assert wrapper.filelike is filelike
        assert wrapper.blksize == 3

    def test_it_is_its_own_iterator(self) -> None:
        wrapper = util.FileWrapper(WithoutClose(b"one", b"two"))
        assert iter(wrapper) is wrapper
        assert next(wrapper) == b"one"
        assert next(wrapper) == b"two"
        with pytest.raises(StopIteration):
            next(wrapper)

    def test_closing_it_closes_the_file(self) -> None:
        filelike = io.BytesIO(b"data")
        util.FileWrapper(filelike).close()
        assert filelike.closed

    def test_no_close_where_the_file_has_none(self) -> None:
        assert not hasattr(util.FileWrapper(WithoutClose()), "close")

    def test_it_seeks_where_the_file_does(self) -> None:
        wrapper = util.FileWrapper(io.BytesIO(b"0123456789"), 4)
        assert wrapper.seekable()
        wrapper.seek(7)
        assert wrapper.tell() == 7
        assert list(wrapper) == [b"789"]

    def test_a_range_starts_where_the_file_stands_and_ends_where_it_should(self) -> None:
        filelike = io.BytesIO(b"0123456789")
        filelike.read(2)
        part = util.FileWrapper(filelike, 3).app_iter_range(1, 6)
        assert list(part) == [b"345", b"67"]
        part.close()
        assert filelike.closed
        assert list(util.FileWrapper(io.BytesIO(b"0123456789"), 6).app_iter_range(3, None)) == [b"345678", b"9"]

    @pytest.mark.parametrize("name", ["seekable", "seek", "tell", "app_iter_range"])
    def test_it_says_that_it_does_not_where_the_file_does_not(self, name: str) -> None:
        assert not hasattr(util.FileWrapper(WithoutClose()), name)
        with pytest.raises(AttributeError, match="no attribute 'read'"):
            _ = util.FileWrapper(io.BytesIO()).read

    def test_the_end_is_the_end_also_of_a_file_that_grows(self) -> None:
        filelike = io.BytesIO(b"one")
        wrapper = util.FileWrapper(filelike)
        assert list(wrapper) == [b"one"]
        filelike.write(b"two")
        filelike.seek(3)
        assert list(wrapper) == []
        with pytest.warns(DeprecationWarning, match="iterate"), pytest.raises(IndexError):
            wrapper[0]

    def test_indexing_a_range_ends_where_the_range_does(self) -> None:
        part = util.FileWrapper(io.BytesIO(b"0123456789"), 3).app_iter_range(1, 5)
        with pytest.warns(DeprecationWarning, match="iterate"):
            assert [part[0], part[1]] == [b"123", b"4"]
        with pytest.warns(DeprecationWarning, match="iterate"), pytest.raises(IndexError):
            part[2]

    def test_the_end_of_the_iteration_leaves_the_file_open(self) -> None:
        filelike = io.BytesIO(b"data")
        list(util.FileWrapper(filelike))
        assert not filelike.closed

    def test_iterating_warns_of_nothing(self) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            list(util.FileWrapper(io.BytesIO(b"data")))
        assert caught == []

    def test_indexing_reads_on_with_a_deprecation_warning_at_the_callers_line(self) -> None:
        wrapper = util.FileWrapper(io.BytesIO(b"onetwo"), 3)
        blocks = []
        for key in (0, 99):  # The key says nothing: it is always the next block.
            with pytest.warns(DeprecationWarning, match="iterate") as caught:
                blocks.append(wrapper[key])
            assert [each.filename for each in caught] == [__file__]
        assert blocks == [b"one", b"two"]

    def test_indexing_past_the_end_raises_index_error(self) -> None:
        wrapper = util.FileWrapper(io.BytesIO(b""))
        with pytest.warns(DeprecationWarning, match="iterate"), pytest.raises(IndexError):
            wrapper[0]
