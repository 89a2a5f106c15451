"""What people do with the trash: list it, restore tags and digests, empty it; also while a run waits."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pruner.clock import Stopped
from pruner.errors import Busy, ReadError, UsageError
from pruner.settings.policies import Policy
from pruner.sweep import state, trash
from pruner.sweep.purge import expire, purge
from pruner.sweep.restore import restore
from tests.gc.images import digest_of, image, index, layer
from tests.gc.inprocess import GRACE, ONLINE, STATE, Pruner
from tests.gc.storagedoubles import WRITES, Killed, killed_at, nothing
from tests.gc.treebuilder import snapshot

HOUR, DAY = 3600.0, 86400.0
BASE = layer("base")
KEPT = image([BASE, layer("kept")], "kept")
OLD = index([image([BASE, layer("old")], "old"), image([BASE, layer("old too")], "old too")])
LAST_ONLY = (Policy(("team/*",), ("v*",), 1, None, None),)


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    """team/app has v1 (an index) and v2, of which retention keeps the last."""
    pruner = Pruner(tmp_path, ONLINE)
    pruner.tree.push("team/app", OLD, "v1")
    pruner.tree.push("team/app", KEPT, "v2")
    pruner.old()
    link = pruner.tree.tag_path("team/app", "v2")
    stamp_one(link, pruner.clock.now() - 20 * DAY)
    return pruner


def stamp_one(path: Path, moment: float) -> None:
    os.utime(path, (moment, moment))


def drop_v1(pruner: Pruner) -> None:
    pruner.run(retention=LAST_ONLY, trash=DAY)
    assert not pruner.tree.tag_path("team/app", "v1").exists()


def parts() -> set[str]:
    found = {each.digest for each in OLD.family()}
    found |= {digest_of(blob) for each in OLD.family() for blob in each.blobs}
    return found - {digest_of(blob) for blob in KEPT.blobs}


def in_trash(pruner: Pruner) -> set[str]:
    return {blob.digest for blob in trash.listing(pruner.files)}


def while_waiting(pruner: Pruner, act: Callable[[], object]) -> None:
    def asleep(seconds: float) -> None:
        if seconds == GRACE:
            pruner.clock.while_asleep = lambda _seconds: None
            act()

    pruner.clock.while_asleep = asleep


def is_v1_whole(pruner: Pruner) -> bool:
    link = pruner.tree.tag_path("team/app", "v1")
    return link.exists() and link.read_text() == OLD.digest and pruner.verify().problems == ()


# -- list


def test_the_list_says_whose_what_was_and_when_it_goes(pruner: Pruner) -> None:
    drop_v1(pruner)
    entries = trash.entries(pruner.files, DAY)
    tag = next(entry for entry in entries if entry.kind == "tag")
    assert (tag.repositories, tag.tag, tag.digest) == (("team/app",), "v1", OLD.digest)
    kinds = {entry.digest: entry.kind for entry in entries if entry.kind != "tag"}
    assert kinds.keys() == parts()
    assert {digest for digest, kind in kinds.items() if kind == "manifest"} == {
        each.digest for each in OLD.family()
    }
    assert kinds[digest_of(layer("old"))] == "layer"
    for entry in entries:
        assert entry.repositories == ("team/app",)
        assert entry.since is not None and entry.goes == entry.since + DAY
        assert abs(entry.since - pruner.clock.now()) <= 1


def test_the_list_shows_what_a_run_holds_while_it_waits(pruner: Pruner) -> None:
    seen: list[trash.Entry] = []
    while_waiting(pruner, lambda: seen.extend(trash.entries(pruner.files, DAY)))
    drop_v1(pruner)
    assert [(entry.kind, entry.tag, entry.goes) for entry in seen] == [("tag", "v1", None)]


@pytest.mark.parametrize("part", ["blobs", "batch"])
def test_item_14_the_list_is_not_disturbed_by_a_purge_that_is_at_work(pruner: Pruner, part: str) -> None:
    """What vanishes while it is listed was purged: nothing is to be mended."""
    drop_v1(pruner)
    (batch,) = trash.batches(pruner.files)

    def vanish(operation: str, path: str) -> None:
        if operation == ("stat" if part == "blobs" else "list") and path.startswith(f"{batch}/blobs"):
            pruner.storage.before = nothing
            purge(pruner.place(pruner.files))

    pruner.storage.before = vanish
    trash.listing(pruner.storage)
    pruner.storage.before = nothing
    assert in_trash(pruner) == set()


# -- restore


def test_a_dropped_tag_comes_back_by_its_name_with_all_it_needs(pruner: Pruner) -> None:
    drop_v1(pruner)
    back = restore(pruner.place(), ["team/app:v1"])
    assert back.tags == ("team/app:v1",)
    assert {blob.digest for blob in back.blobs} == parts()
    assert is_v1_whole(pruner)
    assert in_trash(pruner) == set()
    assert pruner.run(retention=()).removals == ()


def test_what_the_restored_tag_evicts_under_the_policies_is_said(pruner: Pruner) -> None:
    drop_v1(pruner)
    back = restore(pruner.place(), ["team/app:v1"])
    assert [note for note in back.notes if "team/app:v2" in note], back.notes
    pruner.clock.advance(2 * GRACE)
    report = pruner.run()
    assert [removal.tag for removal in report.removals if removal.kind == "tag"] == ["v2"], "as it was said"


def test_a_restored_tag_that_goes_again_by_itself_is_said(pruner: Pruner) -> None:
    drop_v1(pruner)
    pruner.settings = replace(pruner.settings, retention=(Policy(("*",), ("*",), 0, None, None),))
    back = restore(pruner.place(), ["team/app:v1"])
    assert [note for note in back.notes if note.startswith("team/app:v1 goes again")]


def test_an_untagged_manifest_that_comes_back_goes_again_unless_it_is_tagged(pruner: Pruner) -> None:
    drop_v1(pruner)
    child = next(iter(OLD.family()))
    back = restore(pruner.place(), [child.digest])
    assert any("tag it to keep it" in note for note in back.notes)


def test_a_tag_that_was_pushed_again_is_not_replaced(pruner: Pruner) -> None:
    drop_v1(pruner)
    pruner.tree.push("team/app", KEPT, "v1")
    before = snapshot(pruner.data)
    with pytest.raises(UsageError, match="pushed again"):
        restore(pruner.place(), ["team/app:v1"])
    after = snapshot(pruner.data)
    assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} <= {
        f"{STATE}/lock",
        f"{STATE}/run",
        STATE,
    }


@pytest.mark.parametrize("name", ["team/app:v3", "other/app:v1", "v1", "team/app"])
def test_a_tag_that_is_not_in_the_trash(pruner: Pruner, name: str) -> None:
    drop_v1(pruner)
    with pytest.raises(UsageError, match="is not in the trash"):
        restore(pruner.place(), [name])
    assert in_trash(pruner) == parts()


@pytest.mark.parametrize("name", ["team/app:v1", OLD.digest])
def test_a_restore_that_is_killed_at_any_change_is_done_again_by_the_same_name(
    tmp_path: Path, pruner: Pruner, name: str
) -> None:
    del tmp_path
    number = 0
    while True:
        number += 1
        pruner.tree.push("team/app", OLD, "v1")
        pruner.tree.push("team/app", KEPT, "v2")
        pruner.old()
        link = pruner.tree.tag_path("team/app", "v2")
        stamp_one(link, pruner.clock.now() - 20 * DAY)
        pruner.run(retention=LAST_ONLY, trash=DAY)
        pruner.storage.before = killed_at(number, WRITES)
        try:
            restore(pruner.place(), [name])
        except Killed:
            pruner.storage.before = nothing
            if not is_v1_whole(pruner):
                restore(pruner.place(), [name])
            assert is_v1_whole(pruner), f"killed before change {number}"
            purge(pruner.place())
            continue
        pruner.storage.before = nothing
        break
    assert number > 20


# -- purge and expire


def test_a_dry_run_of_a_purge_says_what_it_would_destroy_and_changes_nothing(pruner: Pruner) -> None:
    drop_v1(pruner)
    before = snapshot(pruner.data)
    would = purge(pruner.place(), dry_run=True)
    assert snapshot(pruner.data) == before
    assert {blob.digest for blob in would.blobs} == parts()
    assert purge(pruner.place()) == would
    assert in_trash(pruner) == set()


def test_a_purge_puts_back_what_something_needs_again(pruner: Pruner) -> None:
    drop_v1(pruner)
    again = image([layer("old")], "again")
    pruner.tree.push("elsewhere", again, "v1")
    pruner.tree.blob_path(digest_of(layer("old"))).unlink()
    done = purge(pruner.place())
    assert [blob.digest for blob in done.put_back] == [digest_of(layer("old"))]
    assert pruner.verify().problems == ()


def test_what_a_killed_run_quarantined_is_not_purged_before_it_has_settled(pruner: Pruner) -> None:
    """A request that found the blob may still write the link that the killed run did not live to see."""
    pruner.settings = replace(pruner.settings, retention=LAST_ONLY, trash=DAY)

    def kill(seconds: float) -> None:
        if seconds < GRACE:
            raise Killed

    pruner.clock.while_asleep = kill
    with pytest.raises(Killed):
        pruner.run()
    pruner.clock.while_asleep = lambda _seconds: None
    done = purge(pruner.place())
    assert (done.blobs, {blob.digest for blob in done.waiting}) == ([], parts())
    assert in_trash(pruner) == parts()
    pruner.clock.advance(62)
    assert {blob.digest for blob in purge(pruner.place()).blobs} == parts()


# -- the storage's clock (item 8)


@pytest.mark.parametrize("skew", [-2 * HOUR, 2 * HOUR])
def test_item_8_fresh_trash_is_not_destroyed_for_the_clocks_differ(pruner: Pruner, skew: float) -> None:
    pruner.files.skew = skew
    pruner.old(30 * DAY - skew)
    link = pruner.tree.tag_path("team/app", "v2")
    stamp_one(link, pruner.clock.now() + skew - 20 * DAY)
    pruner.run(retention=LAST_ONLY, trash=HOUR)
    assert in_trash(pruner) == parts()
    assert expire(pruner.place()).blobs == []
    assert purge(pruner.place(), dry_run=True).waiting == []
    assert in_trash(pruner) == parts()
    place = pruner.place()
    since = {entry.since for entry in trash.entries(place.storage, HOUR, place.time().skew)}
    assert all(moment is not None and abs(moment - pruner.clock.now()) <= 1 for moment in since)
    pruner.clock.advance(HOUR + 1)
    assert {blob.digest for blob in expire(pruner.place()).blobs} == parts()


@pytest.mark.parametrize("skew", [-2 * HOUR, 2 * HOUR])
def test_item_8_a_plan_is_what_the_run_does_although_the_clocks_differ(pruner: Pruner, skew: float) -> None:
    pruner.files.skew = skew
    with state.locked(pruner.files, pruner.clock):
        pruner.place().measured_time()  # as the container does when it starts
    young = image([layer("young")], "young")
    pruner.tree.push("team/app", young)
    for path in pruner.tree.top.rglob("*"):
        if any(d[7:] in str(path) for d in (young.digest, *map(digest_of, young.blobs))):
            stamp_one(path, pruner.clock.now() + skew - 60)
    plan = pruner.plan(untagged_after=0)
    assert any("clock differs" in note for note in plan.notes)
    assert not any(young.digest in removal.path for removal in plan.removals)
    assert pruner.run().removals == plan.removals
    assert pruner.has_blob(young.digest)


def test_a_skew_that_another_machine_measured_is_not_ours(
    pruner: Pruner, monkeypatch: pytest.MonkeyPatch
) -> None:
    pruner.files.skew = 2 * HOUR
    with state.locked(pruner.files, pruner.clock):
        pruner.place().measured_time()
    assert pruner.place().time().skew == pytest.approx(2 * HOUR, abs=1)
    with monkeypatch.context() as patch:
        patch.setattr("pruner.sweep.state.machine", lambda: "elsewhere")
        assert pruner.place().time().skew == 0
    pruner.files.skew = 0
    with state.locked(pruner.files, pruner.clock):
        pruner.place().measured_time()
    assert pruner.place().time().skew == 0, "once the clocks agree, no more is said of it"


# -- while a run waits its grace


def test_the_trash_is_restored_and_purged_while_a_run_waits_its_grace(pruner: Pruner) -> None:
    drop_v1(pruner)
    gone = image([layer("gone")], "gone")
    pruner.tree.push("team/app", gone)
    pruner.old(30 * DAY)
    while_waiting(pruner, lambda: restore(pruner.place(), ["team/app:v1"]))
    pruner.run(retention=())
    assert is_v1_whole(pruner)
    assert not pruner.has_blob(gone.digest), "the run went on"
    more = image([layer("more")], "more")
    pruner.tree.push("team/app", more)
    pruner.old(30 * DAY)
    destroyed: list[int] = []
    while_waiting(pruner, lambda: destroyed.append(len(purge(pruner.place()).blobs)))
    pruner.run()
    assert destroyed == [3]
    assert in_trash(pruner) == {more.digest, *map(digest_of, more.blobs)}, "what the run itself took away"


def test_a_tag_that_the_waiting_run_holds_can_be_had_back_at_once(pruner: Pruner) -> None:
    while_waiting(pruner, lambda: restore(pruner.place(), ["team/app:v1"]))
    report = pruner.run(retention=LAST_ONLY, trash=DAY)
    assert is_v1_whole(pruner)
    assert report.removals == ()
    assert in_trash(pruner) == set()


def test_a_second_run_does_not_get_in_while_one_waits(pruner: Pruner) -> None:
    met: list[BaseException] = []

    def try_it() -> None:
        with pytest.raises(Busy) as caught:
            pruner.run()
        met.append(caught.value)

    while_waiting(pruner, try_it)
    drop_v1(pruner)
    assert len(met) == 1


def test_a_trash_command_says_what_is_going_on_while_a_run_does_not_wait(pruner: Pruner) -> None:
    said: list[str] = []

    def asleep(seconds: float) -> None:
        if seconds < GRACE:
            with pytest.raises(Busy) as caught:
                purge(pruner.place())
            said.append(str(caught.value))

    pruner.clock.while_asleep = asleep
    drop_v1(pruner)
    assert len(said) == 1 and "waits its grace" in said[0]


def test_a_run_waits_for_a_trash_command_that_is_at_work_when_its_grace_is_over(pruner: Pruner) -> None:
    other = pruner.files.lock(state.LOCK, "somebody")
    naps: list[float] = []

    def asleep(seconds: float) -> None:
        if seconds == GRACE:
            other.__enter__()
        elif seconds == 1:
            naps.append(seconds)
            if len(naps) == 5:
                other.__exit__(None, None, None)

    pruner.clock.while_asleep = asleep
    drop_v1(pruner)
    assert len(naps) == 5


def test_a_run_whose_lock_does_not_come_back_leaves_the_undoing_to_the_next(pruner: Pruner) -> None:
    before = pruner.snapshot()
    other = pruner.files.lock(state.LOCK, "somebody")

    def asleep(seconds: float) -> None:
        if seconds == GRACE:
            other.__enter__()
            raise Stopped("asked to end")
        raise Stopped("asked to end")

    pruner.clock.while_asleep = asleep
    with pytest.raises(Stopped) as caught:
        drop_v1(pruner)
    assert any("the next run does it" in note for note in caught.value.__notes__)
    assert not pruner.tree.tag_path("team/app", "v1").exists(), "it is not ours to touch"
    other.__exit__(None, None, None)
    pruner.clock.while_asleep = lambda _seconds: None
    purge(pruner.place())
    assert pruner.snapshot() == before


def test_a_run_that_another_pruner_undid_while_it_waited_ends_and_takes_nothing(pruner: Pruner) -> None:
    """A former version knows the one lock only, and takes the waiting run for an interrupted one."""
    before = pruner.snapshot()

    def undo() -> None:
        with pruner.files.lock(state.LOCK, "a former version"):
            pruner.place().recover(pruner.place().time())

    while_waiting(pruner, undo)
    with pytest.raises(Busy, match="took over"):
        drop_v1(pruner)
    assert pruner.snapshot() == before


def test_a_trash_that_cannot_be_read_is_said(pruner: Pruner) -> None:
    drop_v1(pruner)

    def before(operation: str, path: str) -> None:
        if operation == "list" and path.endswith("/trash"):
            raise OSError(5, "Input/output error", path)

    pruner.storage.before = before
    with pytest.raises(ReadError):
        pruner.place().trashed()
