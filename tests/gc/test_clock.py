"""The machine's clock, whose `stop` is called in the midst of a sleep by a signal's handler."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from pruner.clock import Stopped, SystemClock

# Each round a signal comes a few microseconds later than in the round before, somewhere in a sleep.
STORM = """
import signal
from pruner.clock import Stopped, SystemClock

for round in range(3000):
    clock = SystemClock()
    signal.signal(signal.SIGALRM, lambda *_: clock.stop())
    signal.setitimer(signal.ITIMER_REAL, 2e-5 + round % 100 * 1e-6)
    try:
        while True:
            clock.sleep(0)
    except Stopped:
        pass
print("woken", flush=True)
"""


def test_a_signal_at_any_moment_of_a_sleep_wakes_it() -> None:
    """An Event would wait for a lock that the interrupted sleep holds: neither went on, ever."""
    done = subprocess.run([sys.executable, "-c", STORM], capture_output=True, text=True, timeout=60)
    assert done.stdout == "woken\n", done.stderr


def test_every_sleeper_is_woken_and_so_is_who_sleeps_later() -> None:
    clock, woken = SystemClock(), list[bool]()

    def sleep() -> None:
        with pytest.raises(Stopped):
            clock.sleep(60)
        woken.append(True)

    sleepers = [threading.Thread(target=sleep) for _ in range(5)]
    for sleeper in sleepers:
        sleeper.start()
    clock.stop()
    clock.stop()
    for sleeper in sleepers:
        sleeper.join(10)
    assert len(woken) == 5
    with pytest.raises(Stopped):
        clock.sleep(0)


def test_a_sleep_that_nobody_ends_takes_its_time() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    clock.sleep(0.05)
    assert clock.monotonic() - before >= 0.05
