"""Is a worker hurried at its end only where its parent has gone before it?"""

from __future__ import annotations

from unittest import mock

import pytest
from twisted.internet.task import Clock

from twisted_wsgiref._process.serving import ServingService
from twisted_wsgiref._process.worker import ORPHAN_GRACE, WorkerService


@pytest.mark.parametrize(
    ("grace", "orphaned", "hurried"),
    [(ORPHAN_GRACE, False, False), (30.0, False, False), (30.0, True, True), (ORPHAN_GRACE, True, False)],
)
def test_only_an_orphan_with_a_longer_grace_is_cut_short(grace: float, orphaned: bool, hurried: bool) -> None:
    clock = Clock()
    with (
        mock.patch.object(ServingService, "__init__", return_value=None),
        mock.patch.object(ServingService, "stopService"),
        mock.patch.object(WorkerService, "_end_within"),  # else it would end this process
    ):
        worker = WorkerService(
            mock.Mock(), mock.Mock(), None, recycling=mock.Mock(), share=mock.Mock(), hooks=mock.Mock()
        )
        worker._grace, worker._reactor, worker._ending, worker.running = grace, clock, mock.Mock(), 1
        if orphaned:
            worker.orphaned()
        worker.stopService()
    assert [call.getTime() for call in clock.getDelayedCalls()] == [ORPHAN_GRACE] * hurried
