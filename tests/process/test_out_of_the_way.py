"""Does what a worker inherits move out of the way, however few descriptors there may be?"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest

from twisted_wsgiref._process.out_of_the_way import copied, moved


@pytest.fixture(params=[1024, 64, 40])
def limit(request: pytest.FixtureRequest) -> Iterator[int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (request.param, hard))
    yield request.param
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_copy_is_out_of_the_way_and_no_process_inherits_it(limit: int) -> None:
    ours, theirs = os.pipe()
    copy = copied(ours)
    assert copy >= min(64, limit // 2)
    assert not os.get_inheritable(copy)
    os.close(ours)
    os.write(theirs, b"x")
    assert os.read(copy, 2) == b"x"
    os.close(copy)
    os.close(theirs)


def test_what_has_moved_leaves_its_number_free(limit: int) -> None:
    ours, theirs = os.pipe()
    there = moved(ours)
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(ours)
    os.close(there)
    os.close(theirs)
