"""Time, passed in, so that a test can be a week long and a run can be stopped while it waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from pruner.delays import TOLERANCE
from pruner.errors import ClockError


class Stopped(Exception):
    """The process was asked to end (SIGTERM) while it waited; `exit_code` is what it then ends with."""

    exit_code = 143


class Clock(Protocol):
    """What the pruner asks of time; all values are seconds."""

    def now(self) -> float:
        """The wall clock, since the epoch."""
        ...

    def monotonic(self) -> float:
        """A clock that never jumps."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; raises Stopped when the process is asked to end meanwhile."""
        ...


class SystemClock:
    """The machine's clock; `stop` (safe in a signal handler) wakes every sleeper with Stopped."""

    def __init__(self) -> None:
        # Shut until `stop`. An Event takes a lock of its own to be set, which an interrupted wait may hold.
        self._gate = threading.Lock()
        self._gate.acquire()
        self.waiting: Callable[[float], None] | None = None
        """Hears in a long sleep, second by second, how many seconds are left."""

    def now(self) -> float:
        """The wall clock, since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """A clock that never jumps."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait; raises Stopped when the process is asked to end meanwhile."""
        end = self.monotonic() + seconds
        while self.waiting is not None and (left := end - self.monotonic()) > 1:
            self.waiting(left)
            self._wait(1)
        self._wait(max(0.0, end - self.monotonic()))

    def stop(self) -> None:
        """Wake every sleeper, now and later, with Stopped."""
        with suppress(RuntimeError):  # it is open already
            self._gate.release()

    def _wait(self, seconds: float) -> None:
        if self._gate.acquire(timeout=seconds):
            self.stop()  # for the next sleeper
            raise Stopped("asked to end")


class RunTime:
    """The time of one run: it starts at the wall clock and then only trusts the steady one.

    A wall clock that jumps forward in a run would make fresh files look old; here it cannot.
    `skew` is how far the storage's clock, which stamps the files, is ahead of ours.
    """

    def __init__(self, clock: Clock, skew: float = 0.0) -> None:
        self.clock = clock
        self.skew = skew
        self._wall = clock.now()
        self._steady = clock.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self.clock.monotonic() - self._steady

    def now(self) -> float:
        """The storage's time, in seconds since the epoch, to compare a file's mtime with."""
        return self._wall + self.elapsed + self.skew

    def jump(self) -> float:
        """Seconds by which the wall clock jumped since the run began; 0 within the tolerance."""
        jump = self.clock.now() - self._wall - self.elapsed
        return jump if abs(jump) > TOLERANCE else 0.0

    def check(self) -> None:
        """Raises ClockError when the wall clock jumped since the run began."""
        jump = self.jump()
        if jump:
            raise ClockError(
                f"the clock jumped by {jump:+.0f} s during the run, so the ages of files cannot be trusted: "
                "the run is undone; the next one starts afresh"
            )
