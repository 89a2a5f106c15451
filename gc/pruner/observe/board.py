"""What `serve` knows at this moment, shared by its loop and by those who show it.

The loop writes, the servers and the status read; nobody waits for anybody.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Literal

from pruner.clock import Clock, Stopped
from pruner.delays import HUNG
from pruner.errors import Refused
from pruner.observe.pulse import Beat
from pruner.observe.record import Ended, Record, Run

_ENDS: dict[int, Ended] = {Stopped.exit_code: "stopped", Refused.exit_code: "refused"}

Activity = Literal["starting", "waiting", "running"]


@dataclass(frozen=True, slots=True)
class Now:
    """The loop at one moment; moments are seconds since the epoch.

    `next_run` is None while a run is at work. `phase` is what the run is at, `since` when that began, and
    `count` how much of it is done.
    """

    activity: Activity
    since: float
    next_run: float | None = None
    phase: str = ""
    phase_since: float = 0.0
    count: int = 0


class Board:
    """The loop's state and the record as it was last read."""

    def __init__(self, clock: Clock, grace: float) -> None:
        """`grace` (seconds) is how long a sound run may be silent, since it sleeps for so long."""
        self._clock = clock
        self._silence = grace + HUNG
        self._lock = threading.Lock()
        self._now = Now("starting", clock.now())
        self._record = Record()
        self._due = clock.monotonic() + HUNG

    @property
    def now(self) -> Now:
        """The state of the loop."""
        with self._lock:
            return self._now

    @property
    def record(self) -> Record:
        """The record as it was after the last run."""
        with self._lock:
            return self._record

    def wait(self, seconds: float) -> None:
        """The loop waits: the next run begins in so many seconds."""
        with self._lock:
            moment = self._clock.now()
            self._now = Now("waiting", moment, moment + seconds)
            self._due = self._clock.monotonic() + seconds + self._silence

    def begin(self) -> None:
        """A run begins."""
        with self._lock:
            moment = self._clock.now()
            self._now = Now("running", moment, None, "start", moment)
            self._due = self._clock.monotonic() + self._silence

    def beat(self, beat: Beat) -> None:
        """The run gave a sign of life."""
        with self._lock:
            began = self._now.phase_since if self._now.phase == beat.phase else self._clock.now()
            self._now = replace(self._now, phase=beat.phase, phase_since=began, count=beat.count)
            self._due = self._clock.monotonic() + self._silence

    def finish(self, stored: Record, code: int) -> None:
        """A run ended with the exit code `code`, and `stored` is the record as it lies in the storage now.

        A run that could not write its own entry is remembered here for as long as this process lives.
        """
        with self._lock:
            began, moment = self._now.since, self._clock.now()
            last = stored.last
            if last is not None and last.began >= began - 1:
                self._record = stored
                return
            known = self._record if len(self._record.runs) >= len(stored.runs) else stored
            if code:
                message = f"the run ended with exit code {code}; its log says why"
                ended = _ENDS.get(code, "failed")
                known = known.plus(Run(began, round(moment - began, 3), ended, code, message))
            self._record = known

    def show(self, stored: Record) -> None:
        """The record that lies in the storage, read at the start or after a look."""
        with self._lock:
            self._record = stored

    def trouble(self) -> str:
        """A sentence when the loop or its run hangs, else empty: what the liveness probe asks."""
        with self._lock:
            late = self._clock.monotonic() - self._due
            if late <= 0:
                return ""
            doing = f"the run's phase {self._now.phase!r}" if self._now.activity == "running" else "the loop"
            return f"{doing} has given no sign of life for too long ({late:.0f} s over its time)"
