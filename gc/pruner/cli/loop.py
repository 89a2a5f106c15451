"""The loop of the gc container: wait, prune, sleep, for ever.

Each run is a process of its own, so that its memory goes back when it ends and the container idles small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pruner.cli.console import say
from pruner.clock import Clock, Stopped
from pruner.delays import LOOK_PERIOD, RENEWAL_LOOK, RETRY, TOLERANCE
from pruner.errors import PrunerError, Refused
from pruner.settings.durations import format_duration
from pruner.settings.table import Settings


@dataclass(frozen=True, slots=True)
class Anchor:
    """The wall clock and the steady one, read together."""

    wall: float
    steady: float

    @staticmethod
    def of(clock: Clock) -> Anchor:
        """Both clocks now."""
        return Anchor(clock.now(), clock.monotonic())

    def jump(self, later: Anchor) -> float:
        """Seconds by which the wall clock moved more than time passed; 0 within the tolerance."""
        jump = (later.wall - self.wall) - (later.steady - self.steady)
        return jump if abs(jump) > TOLERANCE else 0.0


@dataclass(frozen=True, slots=True)
class Jobs:
    """What the loop does.

    `prepare` is called once at the start (an interrupted read-only window must not wait for the first run);
    `run` prunes once, `expire` frees what has been in the trash for its time, `look` writes down what there
    is to be seen; each returns the exit code. `wait` is given how many seconds it is until the next run.
    `renew` is called now and then between runs, for a certificate that was renewed.
    """

    prepare: Callable[[], None]
    run: Callable[[], int]
    expire: Callable[[], int]
    look: Callable[[], int]
    wait: Callable[[float], None]
    renew: Callable[[], None]


def serve(settings: Settings, clock: Clock, jobs: Jobs) -> int:
    """Prune for ever; returns 0 when asked to end."""

    def sleep(seconds: float) -> None:
        if not settings.renewals:
            clock.sleep(seconds)
            return
        while seconds > 0:
            step = min(seconds, RENEWAL_LOOK)
            clock.sleep(step)
            _tried(jobs.renew)
            seconds -= step

    try:
        _tried(jobs.prepare)
        say("waiting", seconds=settings.initial_delay)
        jobs.wait(settings.initial_delay)
        anchor = Anchor.of(clock)
        sleep(settings.initial_delay)
        while True:
            anchor = _trust(anchor, settings, clock, jobs)
            code = jobs.run()
            pause = settings.period
            if code not in (0, Refused.exit_code):
                pause = min(RETRY, settings.period)
            if code:
                say("the run failed", error=True, exit_code=code)
            say("sleeping", seconds=pause, next=format_duration(pause))
            jobs.wait(pause)
            if 0 < settings.trash < pause:
                # The space of what this run removed is promised after that time, not after the period.
                until_free = min(settings.trash + TOLERANCE, pause)
                sleep(until_free)
                jobs.expire()
                jobs.look()
                pause -= until_free
            while pause > LOOK_PERIOD:
                sleep(LOOK_PERIOD)
                jobs.look()
                pause -= LOOK_PERIOD
            sleep(pause)
    except Stopped:
        say("ended")
        return 0


def _tried(job: Callable[[], None]) -> None:
    """Do what may fail without an end of the loop."""
    try:
        job()
    except PrunerError as error:
        say(str(error), error=True)


def _trust(anchor: Anchor, settings: Settings, clock: Clock, jobs: Jobs) -> Anchor:
    """Wait out a jump of the wall clock: forward, it makes fresh files look old."""
    while jump := anchor.jump(Anchor.of(clock)):
        anchor = Anchor.of(clock)
        if jump < 0:
            say(
                "the clock jumped back; files look younger than they are and stay longer", seconds=round(jump)
            )
            continue
        wait = max(settings.grace, settings.untagged_after, settings.uploads_after)
        say("the clock jumped forward, so files look older than they are: no run before", seconds=wait)
        jobs.wait(wait)
        clock.sleep(wait)
    return Anchor.of(clock)
