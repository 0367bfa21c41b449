"""Does a reactor beside all others end without harm to whoever ends it?"""

from __future__ import annotations

from typing import Any

import pytest

from twisted_wsgiref._testing.lone_reactor import LoneReactor


def test_whoever_ends_it_wakes_it_before_it_closes_its_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    lone = LoneReactor()
    reactor: Any = lone.reactor
    wake_up = reactor.wakeUp

    def slow() -> None:
        wake_up()
        lone._thread.join(0.3)  # it is awake, and could end
        wake_up()

    monkeypatch.setattr(reactor, "wakeUp", slow)
    lone.end()
    assert not lone._thread.is_alive()
