"""The limit on operations: what looks, removes and puts back yields, counted on a clock that tests move."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pruner.clock import Stopped, SystemClock
from pruner.storage import Storage
from pruner.storage.filesystem import FileSystem
from pruner.storage.paced import SLICE, Pace, Paced, at_pace
from pruner.sweep import run as pruning
from tests.gc.images import image, layer
from tests.gc.inprocess import ONLINE, STATE, Pruner
from tests.gc.prunerprocess import AT_ONCE, PrunerProcess
from tests.gc.storagedoubles import FakeClock, Interposed
from tests.gc.treebuilder import age
from tests.gc.twoimages import GONE, KEPT, blobs_of, fill, is_pruned


class CountedClock(FakeClock):
    """Notes the steady time of each operation that is done under it."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def note(self, _operation: str, _path: str) -> None:
        self.times.append(self.steady)

    def most_within(self, seconds: float) -> int:
        """The most operations that came in any span of so many seconds."""
        window: deque[float] = deque()
        most = 0
        for moment in self.times:
            window.append(moment)
            while window[0] <= moment - seconds:
                window.popleft()
            most = max(most, len(window))
        return most


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    pruner = Pruner(tmp_path, ONLINE, CountedClock())
    fill(pruner)
    for number in range(40):
        pruner.tree.push(f"more{number % 4}", image([layer(f"{number}")], f"{number}"), f"v{number}")
    pruner.old()
    return pruner


def within(pruner: Pruner, per_second: float) -> tuple[CountedClock, Storage]:
    clock = pruner.clock
    assert isinstance(clock, CountedClock)
    clock.times.clear()
    counted = Interposed(pruner.files, clock.note)
    return clock, at_pace(counted, per_second, clock)


@pytest.mark.parametrize("per_second", [5, 100, 1000, 7000])
def test_a_run_does_at_most_so_many_operations_a_second(pruner: Pruner, per_second: int) -> None:
    clock, storage = within(pruner, per_second)
    report = pruning.run(pruner.place(storage))
    assert report.done is not None and any(each.kind == "blob" for each in report.done.removed)
    assert len(clock.times) > 1000, "listings, reads, stats, renames and removals are all counted"
    for seconds in (1.0, 10.0):
        assert clock.most_within(seconds) <= per_second * (seconds + SLICE) + 1
    elapsed = clock.times[-1] - clock.times[0]
    waits = ONLINE.grace + 60  # between the looks, and to settle
    assert elapsed - waits == pytest.approx(len(clock.times) / per_second, abs=2 + 2 * SLICE), (
        "and it does that many: it waits for nothing else"
    )
    assert not pruner.has_blob(GONE.digest)
    assert blobs_of(KEPT) <= pruner.blobs()


def test_the_time_of_a_wait_is_not_saved_up(pruner: Pruner) -> None:
    clock = pruner.clock
    pace = Pace(100, clock)
    pace.take()
    clock.advance(3600)
    start = clock.steady
    for _ in range(101):
        pace.take()
    assert clock.steady - start >= 1 - SLICE


def test_every_call_counts(pruner: Pruner) -> None:
    """One for each: a call that is passed on without waiting would show here."""
    clock = pruner.clock
    root = pruner.data / "docker"
    (root / "file").write_bytes(b"content")
    storage = Paced(pruner.files, 1, clock)
    view = storage.view()

    def lock() -> None:
        with storage.lock("docker/lock", "us"):
            pass

    calls: dict[str, Callable[[], object]] = {
        "make_folder": lambda: storage.make_folder("docker/new"),
        "write": lambda: storage.write("docker/new/a", b"a"),
        "append": lambda: storage.append("docker/new/a", b"a"),
        "reserve": lambda: storage.reserve("docker/new/r", 10),
        "touch": lambda: storage.touch("docker/new/a"),
        "rename": lambda: storage.rename("docker/new/a", "docker/new/b"),
        "put_back": lambda: storage.put_back("docker/new/b", "docker/new/a"),
        "remove": lambda: storage.remove("docker/new/a"),
        "remove_folder": lambda: storage.remove_folder("docker/new"),
        "lock": lock,
    }
    for each in (storage, view):
        which = "storage" if each is storage else "view"
        calls |= {
            f"{which} list": lambda each=each: each.list("docker"),
            f"{which} folders": lambda each=each: each.folders("docker"),
            f"{which} stamp": lambda each=each: each.stamp("docker"),
            f"{which} identity": lambda each=each: each.identity("docker"),
            f"{which} read": lambda each=each: each.read("docker/file", 10),
            f"{which} stat": lambda each=each: each.stat("docker/file"),
        }
    for name, call in calls.items():
        before = clock.steady
        call()
        assert clock.steady == before + 1, name
    for each in (storage, view):
        before = clock.steady
        assert len(list(each.read_many(["docker/file", "docker/no", "docker/file"], 10))) == 3
        assert len(list(each.stat_many(["docker/file", "docker/no", "docker/file"]))) == 3
        assert clock.steady == before + 6
    before = clock.steady
    assert b"".join(storage.chunks("docker/file", 3)) == b"content"
    assert clock.steady >= before + 3
    before = clock.steady
    storage.remove_many(["docker/file", "docker/no"])
    assert clock.steady == before + 2 and not (root / "file").exists()
    (root / "empty").mkdir()
    before = clock.steady
    assert storage.remove_folders(["docker/empty", "docker/no"]) == [True, False]
    assert clock.steady == before + 2
    many = {"read_many", "stat_many", "remove_many", "remove_folders", "chunks", "view"}
    named = {name.rpartition(" ")[2] for name in calls} | many
    told = {"root", "has_folders", "remarks", "ahead"}  # without a question to the storage
    assert named == {name for name in dir(Storage) if not name.startswith("_")} - told


def test_without_a_limit_nothing_stands_between(tmp_path: Path) -> None:
    files = FileSystem(str(tmp_path))
    assert at_pace(files, 0, FakeClock()) is files


class EndedClock(FakeClock):
    """A process that was asked to end after so many sleeps: from then on every sleep says so."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def sleep(self, seconds: float) -> None:
        if len(self.slept) >= self.after:
            raise Stopped("asked to end")
        super().sleep(seconds)


@pytest.mark.parametrize("part", [0.01, 0.2, 0.4, 0.6, 0.8])
def test_a_run_that_is_asked_to_end_while_it_yields_ends_without_a_wait(tmp_path: Path, part: float) -> None:
    """Undone, or decided already and finished by the next run; in either case it takes no sleep more."""
    clock = EndedClock(1 << 30)
    whole = Pruner(tmp_path / "whole", ONLINE, clock)
    fill(whole)
    pruning.run(whole.place(at_pace(whole.files, 1, clock)))
    clock = EndedClock(int(part * len(clock.slept)))
    pruner = Pruner(tmp_path, ONLINE, clock)
    fill(pruner)
    before = pruner.snapshot()
    with pytest.raises(Stopped):
        pruning.run(pruner.place(at_pace(pruner.files, 1, clock)))
    assert len(clock.slept) == clock.after
    if not (pruner.data / STATE / "current/held").exists():
        assert pruner.snapshot().keys() == before.keys(), "everything is back in its place"
    else:
        assert part > 0.5, "it had decided"
    assert blobs_of(KEPT) <= pruner.blobs()
    clock.after = 1 << 30
    pruner.run()
    assert is_pruned(pruner)


def timed(process: PrunerProcess, *words: str) -> tuple[float, str]:
    start = time.monotonic()
    run = process.start(*words)
    output, errors = run.communicate(timeout=60)
    assert run.returncode == 0, errors
    return time.monotonic() - start, output


@pytest.fixture
def process(tmp_path: Path) -> Iterator[PrunerProcess]:
    pruner = Pruner(tmp_path)
    for number in range(60):
        pruner.tree.push("app", image([layer(f"{number}")], f"{number}"), *(("tag",) if number else ()))
    age(pruner.data, 86400)
    yield PrunerProcess(pruner.config)


def test_the_setting_reaches_a_command(process: PrunerProcess) -> None:
    fast, plan = timed(process, "plan", *AT_ONCE)
    slow, same = timed(process, "plan", *AT_ONCE, "--ops-per-second", "500")
    assert slow - fast > 1.0, "some 1000 operations"
    assert [line.split("\t")[:2] for line in same.splitlines() if "\t" in line] == [
        line.split("\t")[:2] for line in plan.splitlines() if "\t" in line
    ]


def test_a_command_that_yields_hears_that_it_is_asked_to_end(process: PrunerProcess) -> None:
    run = process.start("plan", *AT_ONCE, "--ops-per-second", "1")
    assert run.stderr is not None
    assert "phase" in run.stderr.readline(), "it is at work"
    start = time.monotonic()
    run.terminate()
    run.communicate(timeout=10)
    assert run.returncode == 143
    assert time.monotonic() - start < 2, "within a second, where the machine has one to give"


def test_a_real_clock_keeps_the_pace() -> None:
    pace = Pace(2000, SystemClock())
    start = time.monotonic()
    for _ in range(1000):
        pace.take()
    assert 0.5 - 2 * SLICE <= time.monotonic() - start < 2 + (os.cpu_count() or 1) * 0.5
