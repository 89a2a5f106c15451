"""The loop of the gc container on a fake clock: a week passes in no time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pruner.cli.console import log
from pruner.cli.loop import Jobs, serve
from pruner.cli.main import STOPPED, main
from pruner.clock import Stopped
from pruner.delays import LOOK_PERIOD, RETRY
from pruner.errors import Busy, ReadError, Refused, RegistryError
from pruner.settings.table import Settings
from tests.gc.inprocess import Pruner
from tests.gc.storagedoubles import FakeClock

WEEK = 7 * 86400.0
SETTINGS = Settings(
    period=WEEK, initial_delay=120, grace=3600, untagged_after=86400, uploads_after=7200, trash=0
)


@dataclass
class Loop:
    """Runs the loop until that many runs are done, and notes when each began (seconds after the start)."""

    clock: FakeClock = field(default_factory=FakeClock)
    began: list[float] = field(default_factory=list[float])
    expired: list[float] = field(default_factory=list[float])
    looked: list[float] = field(default_factory=list[float])
    told: list[float] = field(default_factory=list[float])
    renewed: list[float] = field(default_factory=list[float])
    prepared: int = 0
    settings: Settings = SETTINGS

    def go(
        self,
        codes: list[int],
        *,
        prepare: Callable[[], None] | None = None,
        before: Callable[[int], None] | None = None,
    ) -> int:
        def run() -> int:
            if len(self.began) == len(codes):
                raise Stopped("asked to end")
            if before is not None:
                before(len(self.began))
            self.began.append(self.clock.steady)
            return codes[len(self.began) - 1]

        def counted() -> None:
            self.prepared += 1
            if prepare is not None:
                prepare()

        def expire() -> int:
            self.expired.append(self.clock.steady)
            return 0

        def look() -> int:
            self.looked.append(self.clock.steady)
            return 0

        def renew() -> None:
            self.renewed.append(self.clock.steady)
            raise RegistryError("whatever it is, the loop goes on")

        def wait(seconds: float) -> None:
            self.told.append(self.clock.steady + seconds)

        return serve(self.settings, self.clock, Jobs(counted, run, expire, look, wait, renew))


def test_it_waits_first_and_then_runs_once_a_period() -> None:
    loop = Loop()
    assert loop.go([0, 0, 0]) == 0
    assert loop.began == [120, 120 + WEEK, 120 + 2 * WEEK]
    assert loop.prepared == 1


def test_it_tells_when_the_next_run_begins_and_looks_once_a_day_meanwhile() -> None:
    loop = Loop()
    loop.go([0, 0])
    assert loop.told[:3] == [120, 120 + WEEK, 120 + 2 * WEEK]
    assert loop.looked[:6] == [120 + LOOK_PERIOD * day for day in range(1, 7)]
    short = Loop(settings=replace(SETTINGS, period=LOOK_PERIOD))
    short.go([0, 0])
    assert short.looked == []


def test_it_looks_after_the_certificate_between_runs_and_is_punctual_all_the_same() -> None:
    loop = Loop(settings=replace(SETTINGS, renewals=True, period=150))
    loop.go([0, 0])
    assert loop.renewed == [60, 120, 180, 240, 270, 330, 390, 420]
    assert loop.began == [120, 270]
    other = Loop(settings=replace(SETTINGS, period=150))
    other.go([0])
    assert other.renewed == []


def test_it_looks_after_the_certificate_however_short_the_period() -> None:
    loop = Loop(settings=replace(SETTINGS, renewals=True, period=1, initial_delay=0))
    loop.go([0, 0])
    assert loop.renewed == [1, 2]


def test_it_looks_at_once_when_the_trash_was_emptied() -> None:
    loop = Loop(settings=replace(SETTINGS, trash=3600))
    loop.go([0])
    assert loop.looked[0] == loop.expired[0]


@pytest.mark.parametrize("code", [ReadError.exit_code, Busy.exit_code, RegistryError.exit_code, 1, -9])
def test_a_run_that_failed_is_tried_again_soon(code: int) -> None:
    loop = Loop()
    loop.go([code, code, 0, 0])
    assert loop.began == [120, 120 + RETRY, 120 + 2 * RETRY, 120 + 2 * RETRY + WEEK]


def test_a_fuse_waits_for_a_person() -> None:
    loop = Loop()
    loop.go([Refused.exit_code, 0])
    assert loop.began == [120, 120 + WEEK]


def test_a_period_shorter_than_the_retry_stays_as_it_is() -> None:
    loop = Loop(settings=Settings(period=60, initial_delay=0))
    loop.go([1, 0])
    assert loop.began == [0, 60]


def test_being_asked_to_end_while_it_waits_ends_it_well() -> None:
    loop = Loop()

    def stop(_seconds: float) -> None:
        raise Stopped("asked to end")

    loop.clock.while_asleep = stop
    assert loop.go([0]) == 0
    assert loop.began == []


def test_the_trash_is_emptied_when_its_time_is_over_not_with_the_next_run() -> None:
    loop = Loop(settings=replace(SETTINGS, trash=86400))
    loop.go([0, 0])
    assert loop.began == [120, 120 + WEEK]
    assert [
        86400 < moment - begun < 86500 for moment, begun in zip(loop.expired, loop.began, strict=True)
    ] == [
        True,
        True,
    ]


def test_a_trash_that_outlasts_the_period_is_left_to_the_runs() -> None:
    loop = Loop(settings=replace(SETTINGS, trash=2 * WEEK))
    loop.go([0, 0])
    assert loop.expired == []


def test_what_cannot_be_prepared_does_not_keep_it_from_pruning() -> None:
    def fail() -> None:
        raise ReadError("the storage is not mounted yet")

    loop = Loop()
    assert loop.go([0], prepare=fail) == 0
    assert loop.began == [120]


def test_a_clock_that_jumped_forward_makes_it_wait_until_ages_are_true_again() -> None:
    loop = Loop()
    jumped: list[float] = []

    def asleep(seconds: float) -> None:
        if seconds == LOOK_PERIOD and not jumped:
            jumped.append(seconds)
            loop.clock.jump(10 * 86400)

    loop.clock.while_asleep = asleep
    loop.go([0, 0])
    assert loop.began == [120, 120 + WEEK + 86400], "the longest of the delays, not of the jump"


def test_a_clock_that_jumped_back_or_a_little_makes_no_difference() -> None:
    for jump in (-10 * 86400.0, 20.0):
        loop = Loop(settings=replace(SETTINGS, period=LOOK_PERIOD))
        loop.clock.while_asleep = lambda _seconds, jump=jump, loop=loop: loop.clock.jump(jump)
        loop.go([0, 0])
        assert loop.began == [120, 120 + LOOK_PERIOD]


class Newborn:
    """A run's process that is asked to end, like its parent, before the parent knows of it."""

    ended = False

    def __init__(self, _command: list[str], **_options: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    def __enter__(self) -> Newborn:
        return self

    def __exit__(self, *_: object) -> None: ...

    def send_signal(self, number: int) -> None:
        Newborn.ended = number == signal.SIGTERM

    def wait(self) -> int:
        assert Newborn.ended, "nobody told the run to end, and the pod would be killed"
        return STOPPED


def test_being_asked_to_end_just_when_a_run_starts_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["serve", "--config", str(Pruner(tmp_path).config), "--initial-delay", "0"]
    monkeypatch.setattr(subprocess, "Popen", Newborn)
    monkeypatch.setattr(sys, "orig_argv", ["python", *words])
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    handlers = list(log.handlers)
    try:
        assert main(words, {}) == 0
    finally:
        log.handlers[:] = handlers
        for number, handler in before.items():
            signal.signal(number, handler)
