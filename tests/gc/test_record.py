"""The record of the runs: what is written at the end of one, and that nothing of it makes a run fail."""

from __future__ import annotations

import errno
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from pruner.clock import Stopped
from pruner.delays import HUNG
from pruner.errors import Busy, ReadError, Refused
from pruner.inspect.report import Report
from pruner.inspect.usage import SharedBlob, TagUsage
from pruner.observe import measure, record
from pruner.observe.board import Board
from pruner.observe.measure import trouble
from pruner.observe.pulse import Beat
from pruner.observe.record import Amount, Going, InTrash, Kept, Record, Repository, Run, Snapshot
from pruner.observe.recorder import keep, recorded
from pruner.sweep import run as pruning
from pruner.sweep import state
from pruner.sweep.run import Outcome
from tests.gc.images import digest_of, image, layer
from tests.gc.inprocess import ONLINE, Pruner
from tests.gc.storagedoubles import FakeClock
from tests.gc.treebuilder import snapshot, write

BASE = layer("base", 10_000)
KEPT = image([BASE, layer("kept", 1000)], "kept")
OTHER = image([BASE, layer("other", 3000)], "other")
GONE = image([BASE, layer("gone", 2000)], "gone")


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    pruner = Pruner(tmp_path, replace(ONLINE, trash=3600))
    pruner.tree.push("app", KEPT, "kept")
    pruner.tree.push("app", GONE)
    pruner.tree.push("web", OTHER, "1")
    pruner.old()
    return pruner


def prune(pruner: Pruner) -> Record:
    place = pruner.place()
    recorded(place, lambda: pruning.run(place))
    return record.load(pruner.files)


def stored(pruner: Pruner) -> int:
    return sum(pruner.tree.blob_path(digest).stat().st_size for digest in pruner.blobs())


def test_a_run_is_written_with_what_it_removed_and_what_is_stored_then(pruner: Pruner) -> None:
    began = pruner.clock.now()
    written = prune(pruner)
    (run,) = written.runs
    assert (run.began, run.ended, run.exit_code) == (began, "done", 0)
    assert run.seconds >= 600, "the grace"
    assert run.message.startswith("removed 3 blobs, 2 stale layer links, 1 untagged manifest")
    assert run.removed["revision"] == Amount(1, 0)
    assert run.removed["blob"].count == 3
    assert run.total == Amount(sum(each.count for each in run.removed.values()), run.removed["blob"].bytes)
    assert run.reclaimed_bytes == 0, "all of it lies in the trash"
    assert run.stored_bytes == stored(pruner)
    assert run.phases["wait the grace"] == 600
    found = written.snapshot
    assert found is not None
    assert found.trash == Amount(3, run.removed["blob"].bytes)
    assert {blob.until - blob.since for blob in found.trashed} == {3600}
    assert found.bytes == run.stored_bytes
    assert (found.blobs, found.manifests, found.tags, found.count) == (len(pruner.blobs()), 2, 2, 2)
    assert [each.name for each in found.repositories] == ["web", "app"]
    assert [(each.manifests, each.tags) for each in found.repositories] == [(1, 1), (1, 1)]
    assert found.shared[0] == SharedBlob(digest_of(BASE), 10_000, 2)
    assert found.saved_bytes == 10_000
    assert found.largest[0] == TagUsage("web", "1", found.largest[0].bytes, found.oldest[0].pushed)
    assert found.going == ()
    assert written.totals.runs == {"done": 1}
    assert written.totals.last_success == run.end


def test_what_left_the_trash_is_reclaimed(pruner: Pruner) -> None:
    first = prune(pruner)
    pruner.clock.advance(4000)
    second = prune(pruner)
    assert second.runs[1].reclaimed_bytes == first.runs[0].removed["blob"].bytes
    assert second.runs[1].total == Amount(), "it was removed once"
    assert second.totals.reclaimed_bytes == second.runs[1].reclaimed_bytes
    assert second.snapshot is not None
    assert second.snapshot.trash == Amount()


def test_uploads_are_reclaimed_at_once(pruner: Pruner) -> None:
    write(pruner.tree.repository("app") / "_uploads/one/data", bytes(5000))
    pruner.old()
    (run,) = prune(pruner).runs
    assert run.removed["upload"] == Amount(1, 5000)
    assert run.reclaimed_bytes == 5000


def test_a_plan_writes_what_would_go_and_why_and_is_no_run(pruner: Pruner) -> None:
    prune(pruner)
    pruner.tree.push("app", image([layer("more", 700)], "more"))
    pruner.old()
    place = pruner.place()
    outcome = pruning.plan(place)
    keep(place, outcome)
    written = record.load(pruner.files)
    assert len(written.runs) == 1
    found = written.snapshot
    assert found is not None
    assert found.reclaimable == Amount(
        sum(each.kind != "trash" for each in outcome.plan.removals),
        sum(each.bytes for each in outcome.plan.removals if each.kind != "trash"),
    )
    assert ("revision", "untagged") in {(each.kind, each.reason) for each in found.going}
    app = next(each for each in found.repositories if each.name == "app")
    assert app.reclaimable_bytes == found.reclaimable.bytes > 700


def test_what_is_kept_for_safety_and_whole_is_written_with_its_reason(pruner: Pruner) -> None:
    pruner.tree.manifest("odd", b"not json")
    pruner.old()
    pruner.tree.push("app", image([layer("young")], "young"))
    found = prune(pruner).snapshot
    assert found is not None
    assert found.troubles == {"damaged manifest": 1}
    assert [(each.repository, each.trouble) for each in found.kept_whole] == [("odd", "damaged manifest")]
    assert sum(found.spared.values()) > 0


@pytest.mark.parametrize(
    ("sentence", "word"),
    [
        ("it is reached through a symbolic link", "symbolic link"),
        ("tag a: its manifest sha256:00 is not there", "manifest missing"),
        ("tag a holds no digest (x)", "unreadable tag"),
        ("revisions of the unknown algorithm md5", "unknown algorithm"),
        ("revision sha256:00: it is not JSON (ValueError)", "damaged manifest"),
        ("something new", "other"),
    ],
)
def test_a_trouble_is_one_of_a_few_words(sentence: str, word: str) -> None:
    assert trouble(sentence) == word


def test_a_refused_run_is_written_and_still_refused(pruner: Pruner) -> None:
    before = prune(pruner)

    def refuse() -> Outcome:
        raise Refused("a fuse says no")

    with pytest.raises(Refused):
        recorded(pruner.place(), refuse)
    written = record.load(pruner.files)
    assert (written.runs[-1].ended, written.runs[-1].exit_code) == ("refused", Refused.exit_code)
    assert written.runs[-1].message == "a fuse says no"
    assert written.snapshot == before.snapshot, "what was seen is still what there is"
    assert written.totals.last_success == before.totals.last_success


@pytest.mark.parametrize(
    ("error", "ended", "code"), [(Stopped("end"), "stopped", 143), (ReadError("no"), "failed", 7)]
)
def test_a_failed_or_stopped_run_is_written(pruner: Pruner, error: Exception, ended: str, code: int) -> None:
    prune(pruner)

    def fail() -> Outcome:
        raise error

    with pytest.raises(type(error)):
        recorded(pruner.place(), fail)
    last = record.load(pruner.files).last
    assert last is not None
    assert (last.ended, last.exit_code) == (ended, code)


def test_nothing_is_written_where_there_is_no_folder_or_another_pruner(tmp_path: Path) -> None:
    pruner = Pruner(tmp_path)
    place = pruner.place()
    recorded(place, lambda: pruning.run(place))
    assert snapshot(pruner.data) == {}, "a mount may be missing"
    pruner.tree.push("app", KEPT, "kept")
    pruner.old()

    def busy() -> Outcome:
        raise Busy("another")

    with state.locked(pruner.files, pruner.clock), pytest.raises(Busy):
        recorded(place, busy)
    assert record.load(pruner.files) == Record()


def test_a_full_disk_does_not_make_a_run_fail(pruner: Pruner, caplog: pytest.LogCaptureFixture) -> None:
    def full(_path: str, _content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    place = pruner.place()
    before_run = pruner.storage.write

    def work() -> Outcome:
        outcome = pruning.run(place)
        pruner.storage.write = full  # type: ignore[method-assign]
        return outcome

    try:
        assert Report.of(recorded(place, work)).removals
    finally:
        pruner.storage.write = before_run  # type: ignore[method-assign]
    assert "not in the record" in caplog.text


def test_a_record_survives_being_written_and_read(pruner: Pruner) -> None:
    written = prune(pruner)
    assert Record.from_json(json.loads(json.dumps(written.to_json()))) == written


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"version": 2}',
        b'{"version": 1, "runs": 3}',
        b'{"version": 1, "runs": [{}]}',
    ],
)
def test_a_record_that_cannot_be_read_is_begun_anew(pruner: Pruner, content: bytes) -> None:
    prune(pruner)
    write(pruner.data / record.PATH, content)
    assert record.load(pruner.files) == Record()
    assert len(prune(pruner).runs) == 1


def test_fields_of_a_later_version_are_passed_over() -> None:
    data = Record(runs=(Run(1.0, 2.0, "done"),)).to_json()
    data["later"] = 1
    data["runs"] = [{**run, "later": 1} for run in data["runs"]]
    assert Record.from_json(json.loads(json.dumps(data))).runs == (Run(1.0, 2.0, "done"),)


def test_a_storage_that_cannot_be_read_is_told(pruner: Pruner) -> None:
    path = pruner.data / record.PATH
    write(path, b"")
    path.unlink()
    path.symlink_to(path)  # to itself: an error for everybody, even root
    with pytest.raises(OSError, match="symbolic"):
        record.load(pruner.files)


def test_the_record_of_a_large_registry_stays_small() -> None:
    names = [f"{random.Random(n).randbytes(120).hex()}" for n in range(2000)]
    known = Record()
    run = Run(
        1e9, 1e5, "failed", 7, "x" * 5000, {f"phase {n}": 1.0 for n in range(20)},
        {f"kind {n}": Amount(10**9, 10**15) for n in range(11)},
    )  # fmt: skip
    tags = tuple(TagUsage(name, name[:128], 10**15, 1e9) for name in names[:20])
    found = Snapshot(
        repositories=tuple(
            Repository(name, 10**6, 10**6, 10**15, 10**15, 10**15) for name in names[: record.REPOSITORIES]
        ),
        shared=tuple(SharedBlob(digest_of(name.encode()), 10**15, 10**6) for name in names[:20]),
        largest=tags,
        oldest=tags,
        going=tuple(Going("revision", "y" * record.TEXT, Amount(1, 1)) for _ in range(record.LISTED)),
        kept_whole=tuple(Kept(name, "z" * record.TEXT, "other") for name in names[: record.LISTED]),
        dangling=tuple(f"{name}:{name[:128]}" for name in names[: record.LISTED]),
        trashed=tuple(InTrash(digest_of(name.encode()), 1, 1e9, 1e9) for name in names[: record.LISTED]),
        notes=tuple("n" * record.TEXT for _ in range(record.LISTED)),
    )
    for _ in range(500):
        known = known.plus(run, found)
    assert len(known.runs) == record.RUNS
    assert len(json.dumps(known.to_json())) < 384 * 1024
    assert known.totals.runs == {"failed": 500}


def test_long_lists_are_cut_and_counted(pruner: Pruner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "REPOSITORIES", 1)
    found = prune(pruner).snapshot
    assert found is not None
    assert [each.name for each in found.repositories] == ["web"]
    assert (found.others, found.count) == (1, 2)


# the board


def test_the_board_says_what_the_loop_is_at() -> None:
    clock = FakeClock()
    board = Board(clock, grace=600)
    assert board.now.activity == "starting"
    board.wait(100)
    assert (board.now.activity, board.now.next_run) == ("waiting", clock.now() + 100)
    clock.advance(100)
    board.begin()
    assert (board.now.activity, board.now.next_run) == ("running", None)
    board.beat(Beat("scan", 3))
    since = clock.now()
    clock.advance(50)
    board.beat(Beat("scan", 9))
    assert (board.now.phase, board.now.count, board.now.phase_since) == ("scan", 9, since)


def test_the_board_hears_when_the_loop_or_a_run_hangs() -> None:
    clock = FakeClock()
    board = Board(clock, grace=600)
    board.wait(1000)
    clock.advance(1000 + 600 + HUNG)
    assert board.trouble() == ""
    clock.advance(1)
    assert "the loop" in board.trouble()
    board.begin()
    assert board.trouble() == ""
    board.beat(Beat("scan", 1))
    clock.advance(600 + HUNG + 1)
    assert "'scan'" in board.trouble()
    clock.jump(-1e6)
    board.beat(Beat("scan", 2))
    assert board.trouble() == "", "what the wall clock says matters to nobody"


def test_a_run_that_could_not_write_its_entry_is_known_all_the_same() -> None:
    clock = FakeClock()
    board = Board(clock, grace=0)
    old = Record().plus(Run(clock.now() - 900, 5, "done"))
    board.show(old)
    board.begin()
    clock.advance(7)
    board.finish(old, 4)
    last = board.record.last
    assert last is not None
    assert (last.ended, last.exit_code, last.seconds) == ("failed", 4, 7)
    board.begin()
    board.finish(Record(), 6)
    assert [run.ended for run in board.record.runs] == ["done", "failed", "refused"]
    board.begin()
    clock.advance(3)
    new = old.plus(Run(clock.now() - 3, 3, "done"))
    board.finish(new, 0)
    assert board.record == new, "the storage has the word again"
