"""What a piece of pure code costs, counted in steps and not in time: the same on each machine, busy or not.

A step is a line that is run, or a call of Python's or of C's. What C does within one call (a match, a copy) is one
step, however long it takes, so a test of such a call looks at the clock, too, with a bound that a busy machine keeps.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def steps(call: Callable[[], object]) -> int:
    """Return how many steps `call` takes."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        count += 1
        return trace

    def profile(frame: FrameType, event: str, _: Any) -> None:
        nonlocal count
        count += event == "c_call"

    # Whoever measures the tests' coverage gets its own back.
    traced, profiled = sys.gettrace(), sys.getprofile()
    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(profiled)
        sys.settrace(traced)
    return count
