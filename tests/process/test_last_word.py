"""How does a worker end of which nobody can tell the status, since the process that forked it is gone?"""

from __future__ import annotations

from unittest import mock

import pytest

from twisted_wsgiref._process.parent import ParentService
from twisted_wsgiref._process.worker_process import WorkerProcess


@pytest.mark.parametrize("drained", [True, False])
def test_a_worker_without_its_fork_server_ends_well_if_it_has_said_that_it_drained(drained: bool) -> None:
    parent = mock.Mock()
    child = WorkerProcess(parent, 1, 0)
    child.is_on_its_own()
    if drained:
        ParentService.heard(parent, child, "drained")
    child._line_ended()
    (_, end), _ = parent.gone.call_args
    assert end.well == drained
