"""A clock that passes in small steps, so that others can work at any moment of somebody's sleep."""

from __future__ import annotations

from collections.abc import Callable

from tests.gc.storagedoubles import FakeClock


class SteppedClock(FakeClock):
    """`step` says how many seconds of the remaining sleep pass at once, and is called before each step."""

    def __init__(self) -> None:
        super().__init__()
        self.step: Callable[[float], float] = lambda remaining: remaining

    def sleep(self, seconds: float) -> None:
        end = self.steady + seconds
        while (remaining := end - self.steady) > 1e-9:
            self.advance(min(remaining, self.step(remaining)))
