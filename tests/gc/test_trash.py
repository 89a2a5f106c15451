"""The trash: what was removed stays restorable for its delay, and whatever is uploaded again wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from pruner.errors import PrunerError
from pruner.inspect.report import Report
from pruner.sweep import trash
from pruner.sweep.restore import restore
from tests.gc.images import Image, digest_of, image, index, layer
from tests.gc.inprocess import GRACE, STATE, Pruner, kinds
from tests.gc.treebuilder import write

BASE = layer("base")
KEPT = image([BASE, layer("kept")], "kept")
GONE = index([image([BASE, layer("gone")], "gone"), image([BASE, layer("gone too")], "gone too")])
LAYER = digest_of(layer("gone"))
DAY = 86400.0


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    """Pruned a moment ago, with everything of GONE in the trash."""
    pruner = Pruner(tmp_path)
    pruner.tree.push("app", KEPT, "kept")
    pruner.tree.push("app", GONE)
    pruner.old()
    pruner.run(trash=DAY)
    return pruner


def own_blobs(pushed: Image) -> set[str]:
    found = {each.digest for each in pushed.family()}
    found |= {digest_of(blob) for each in pushed.family() for blob in each.blobs}
    return found - {digest_of(blob) for blob in KEPT.blobs}


def in_trash(pruner: Pruner) -> set[str]:
    return {blob.digest for blob in trash.listing(pruner.files)}


def next_run(pruner: Pruner, seconds: float) -> Report:
    pruner.clock.advance(seconds)
    return pruner.run()


def test_quarantined_blobs_keep_their_bytes_and_size_for_the_delay(pruner: Pruner) -> None:
    assert in_trash(pruner) == own_blobs(GONE)
    assert not own_blobs(GONE) & pruner.blobs()
    for blob in trash.listing(pruner.files):
        assert digest_of((pruner.data / blob.path).read_bytes()) == blob.digest
        assert blob.bytes == (pruner.data / blob.path).stat().st_size
        assert abs(blob.since - pruner.clock.now()) <= 1
    assert next_run(pruner, DAY - 60).removals == ()
    assert in_trash(pruner) == own_blobs(GONE)
    plan_of_it = pruner.clock.advance(120) or pruner.plan()
    report = next_run(pruner, 0)
    assert kinds(report) == {"trash": len(own_blobs(GONE))}
    assert report.removals == plan_of_it.removals
    assert report.facts["purged_blobs"] == len(own_blobs(GONE))
    assert report.facts["purged_bytes"] > 2 * 4096
    assert in_trash(pruner) == set()
    assert not list((pruner.data / STATE / "trash").iterdir())


def test_no_delay_destroys_at_once(pruner: Pruner) -> None:
    report = pruner.run(trash=0)
    assert in_trash(pruner) == set()
    assert report.facts["purged_blobs"] == len(own_blobs(GONE))


def test_restoring_a_manifest_restores_all_that_it_needs(pruner: Pruner) -> None:
    back = restore(pruner.place(), [GONE.digest])
    assert {blob.digest for blob in back.blobs} == own_blobs(GONE)
    assert back.links == len(own_blobs(GONE))
    assert pruner.verify().problems == ()
    for each in GONE.family():
        assert pruner.tree.revision_path("app", each.digest).read_bytes() == each.digest.encode()
    assert pruner.run(grace=GRACE, untagged_after=3600).removals == (), (
        "it is not to go again with the next run"
    )
    pruner.tree.link_tag("app", "back", GONE.digest)
    pruner.old()
    assert pruner.run(grace=0, untagged_after=0).removals == ()


def test_restoring_everything_and_one_layer(pruner: Pruner) -> None:
    back = restore(pruner.place(), [LAYER])
    assert ([blob.digest for blob in back.blobs], back.links) == ([LAYER], 1)
    assert in_trash(pruner) == own_blobs(GONE) - {LAYER}
    restore(pruner.place(), None)
    assert in_trash(pruner) == set()
    assert own_blobs(GONE) <= pruner.blobs()
    assert pruner.verify().problems == ()


def test_what_is_not_in_the_trash_cannot_be_restored(pruner: Pruner) -> None:
    before = pruner.snapshot()
    with pytest.raises(PrunerError, match="is not in the trash"):
        restore(pruner.place(), [LAYER, digest_of(b"never here")])
    assert pruner.snapshot() == before, "all or nothing"


def test_a_blob_uploaded_again_wins(pruner: Pruner) -> None:
    pruner.tree.push("elsewhere", image([layer("gone")], "again"), "v1")
    inode = pruner.tree.blob_path(LAYER).stat().st_ino
    restore(pruner.place(), [LAYER])
    assert pruner.tree.blob_path(LAYER).stat().st_ino == inode
    assert LAYER not in in_trash(pruner)


def test_the_trashs_copy_of_what_was_uploaded_again_goes_with_the_next_run(pruner: Pruner) -> None:
    pruner.tree.push("elsewhere", image([layer("gone")], "again"), "v1")
    pruner.old()
    plan = pruner.plan()
    assert [removal.reason for removal in plan.removals if removal.digest == LAYER] == [
        "uploaded again since it came into the trash"
    ]
    assert pruner.run().removals == plan.removals
    assert in_trash(pruner) == own_blobs(GONE) - {LAYER}
    assert pruner.verify().problems == ()


def test_the_trashs_copy_of_what_was_uploaded_again_for_nothing_goes_with_the_next_run(
    pruner: Pruner,
) -> None:
    pruner.tree.blob(layer("gone"))
    pruner.old()
    plan = pruner.plan()
    assert [removal.kind for removal in plan.removals if removal.digest == LAYER] == ["blob", "trash"]
    assert pruner.run().removals == plan.removals
    assert in_trash(pruner) == own_blobs(GONE), "the newer one"


def test_what_becomes_referenced_again_comes_back_by_itself(pruner: Pruner) -> None:
    """A manifest that needs a layer of the trash, as a registry with a stale cache accepts it."""
    manifest = image([layer("gone")], "gone again")
    pruner.tree.push("elsewhere", manifest, "v1")
    pruner.tree.blob_path(LAYER).unlink()
    assert any(problem.digest == LAYER for problem in pruner.verify().problems)
    report = next_run(pruner, 2 * DAY)
    assert report.facts["restored_blobs"] == 1
    assert pruner.verify().problems == ()
    assert LAYER not in in_trash(pruner)


def test_a_purge_needs_no_journal_and_can_be_done_again(pruner: Pruner) -> None:
    (batch,) = trash.batches(pruner.files)
    (pruner.data / batch / "journal").unlink()
    blobs = sorted((pruner.data / batch / "blobs").iterdir())
    blobs[0].unlink()  # as if a purge had been interrupted
    next_run(pruner, 2 * DAY)
    assert not (pruner.data / batch).exists()


def test_two_batches_of_different_age(pruner: Pruner) -> None:
    later = image([layer("later")], "later")
    pruner.tree.push("app", later)
    pruner.clock.advance(DAY / 2)
    pruner.old()
    pruner.run()
    assert len(trash.batches(pruner.files)) == 2
    next_run(pruner, DAY / 2 + 60)
    assert in_trash(pruner) == own_blobs(later)


def test_foreign_files_in_the_trash_are_no_blobs_and_stay_when_their_time_has_come(pruner: Pruner) -> None:
    (batch,) = trash.batches(pruner.files)
    foreign = [
        pruner.data / batch / "blobs/notes",
        pruner.data / batch / "held/notes",
        pruner.data / batch / "notes",
        pruner.data / STATE / "trash/README",
    ]
    for path in foreign:
        write(path, b"of somebody")
    assert in_trash(pruner) == own_blobs(GONE)
    for _ in range(2):
        next_run(pruner, 2 * DAY)
        assert in_trash(pruner) == set()
        assert [path.read_bytes() for path in foreign] == [b"of somebody"] * 4
    assert pruner.run().removals == ()


def test_a_foreign_file_where_a_run_gathers_what_it_takes_stops_nothing(pruner: Pruner) -> None:
    write(pruner.data / STATE / "current/blobs/notes", b"of somebody")
    pruner.tree.push("app", image([layer("more")], "more"))
    pruner.old()
    pruner.run()
    assert not pruner.has_blob(digest_of(layer("more")))
    assert [path.read_bytes() for path in (pruner.data / STATE).rglob("notes")] == [b"of somebody"]


def test_what_a_last_look_wants_comes_back_before_the_batch_is_destroyed(pruner: Pruner) -> None:
    """A registry with a stale cache takes a manifest whose layer is in the trash, while a run waits."""
    pruner.tree.push("app", image([layer("more")], "more"))  # gives the run something to wait for
    pruner.old()
    pruner.clock.advance(2 * DAY)

    def push(seconds: float) -> None:
        if seconds == GRACE:
            pruner.tree.push("elsewhere", image([layer("gone")], "gone again"), "v1")
            pruner.tree.blob_path(LAYER).unlink()

    pruner.clock.while_asleep = push
    report = pruner.run(grace=GRACE)
    assert report.facts["restored_blobs"] == 1
    assert in_trash(pruner) >= {digest_of(layer("more"))}, "the old batch was destroyed, the new one is kept"
    assert LAYER not in in_trash(pruner)
    assert pruner.verify().problems == ()


def test_the_copy_of_a_blob_that_vanishes_again_is_not_destroyed(pruner: Pruner) -> None:
    """Between the look that saw the new blob and the moment when the copy in the trash would go."""
    pruner.tree.push("elsewhere", image([layer("gone")], "again"), "v1")
    path = str(pruner.tree.blob_path(LAYER).relative_to(pruner.data))

    def before(operation: str, where: str) -> None:
        goes_back = operation == "put_back" and where == path
        if vanish and (goes_back or (operation == "remove" and LAYER[7:] in where)):
            vanish.clear()
            pruner.tree.blob_path(LAYER).unlink()

    vanish = [True]
    pruner.storage.before = before
    pruner.run()
    assert not vanish
    assert pruner.tree.blob_path(LAYER).read_bytes() == layer("gone")


def test_a_clock_that_jumps_during_a_run_keeps_what_is_in_the_trash(pruner: Pruner) -> None:
    """It was two days ahead when the run began, and is set right before the end: nothing is that old."""
    pruner.tree.push("app", image([layer("more")], "more"))
    pruner.clock.jump(2 * DAY)
    pruner.old()

    def set_right(seconds: float) -> None:
        if seconds < GRACE:
            pruner.clock.jump(-2 * DAY)

    pruner.clock.while_asleep = set_right
    report = pruner.run(grace=GRACE)
    assert in_trash(pruner) >= own_blobs(GONE)
    assert report.facts["purged_blobs"] == 0
    assert any("clock jumped" in note for note in report.notes)
