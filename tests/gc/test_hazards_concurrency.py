"""Hazards 28 to 36 at the exact instruction, on a clock that stands still until somebody sleeps.

What real registries and clients make of 28 to 34 and 36 is in test_real_online.py and test_real_caches.py;
here is what no client can time: between two calls of the pruner, and with a clock or process that misbehaves.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pruner.clock import Stopped
from pruner.errors import ClockError
from pruner.sweep import trash
from tests.gc.images import digest_of, image, index, layer
from tests.gc.inprocess import GRACE, ONLINE, STATE, Pruner, kinds
from tests.gc.prunerprocess import PrunerProcess
from tests.gc.storagedoubles import WRITES, nothing
from tests.gc.treebuilder import age, write
from tests.gc.waiting import until

BASE = layer("base")
KEPT = image([BASE, layer("kept")], "kept")
GONE = image([BASE, layer("gone")], "gone")
LISTED = index([image([BASE, layer("child")], "child"), image([layer("other child")], "other child")])
LAYER = digest_of(layer("gone"))
SETTLE = min(GRACE, 60.0)


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    pruner = Pruner(tmp_path, ONLINE)
    fill(pruner)
    return pruner


def fill(pruner: Pruner) -> None:
    pruner.tree.push("app", KEPT, "kept")
    pruner.tree.push("app", GONE, "moving")
    pruner.tree.push("app", KEPT, "moving")
    pruner.tree.push("app", LISTED)
    pruner.old()


def is_pruned(pruner: Pruner) -> bool:
    gone = {each.digest for each in (GONE, *LISTED.family())} | {LAYER}
    return not gone & pruner.blobs() and is_whole(pruner)


def is_whole(pruner: Pruner) -> bool:
    """Whether everything about the image that stays is there, and nothing dangles."""
    tree, blobs = pruner.tree, [digest_of(blob) for blob in KEPT.blobs]
    return (
        all(tree.tag_path("app", tag).read_bytes() == KEPT.digest.encode() for tag in ("kept", "moving"))
        and tree.revision_path("app", KEPT.digest).exists()
        and all(tree.layer_path("app", digest).exists() for digest in blobs)
        and all(tree.blob_path(digest).exists() for digest in (*blobs, KEPT.digest))
    )


def fresh(pruner: Pruner, path: Path) -> None:
    os.utime(path, (pruner.clock.now(), pruner.clock.now()))


def link_again(pruner: Pruner) -> None:
    """What a registry does last when a blob that it found in its place is uploaded or mounted."""
    pruner.tree.link_layer("app", LAYER)
    fresh(pruner, pruner.tree.layer_path("app", LAYER))


def while_asleep(pruner: Pruner, seconds: float, act: Callable[[], None]) -> None:
    """Do it in the middle of the sleep of that length."""

    def asleep(length: float) -> None:
        if length == seconds:
            act()

    pruner.clock.while_asleep = asleep


# The wait, the second look, the third look: each is there for something


def test_clients_cannot_reach_what_will_go_while_a_run_waits(pruner: Pruner) -> None:
    seen: list[bool] = []

    def look() -> None:
        tree = pruner.tree
        paths = [
            tree.revision_path("app", GONE.digest),
            tree.layer_path("app", LAYER),
            *(tree.revision_path("app", each.digest) for each in LISTED.family()),
        ]
        seen.extend(path.exists() for path in paths)
        assert pruner.has_blob(LAYER), "no blob is touched before the second look"
        assert is_whole(pruner)

    while_asleep(pruner, GRACE, look)
    pruner.run()
    assert seen == [False] * 5
    assert is_pruned(pruner)


def test_a_push_of_old_layers_while_a_run_waits_keeps_them(pruner: Pruner) -> None:
    there: list[bool] = []

    def asleep(seconds: float) -> None:
        if seconds == GRACE:
            link_again(pruner)
        elif seconds == SETTLE:
            there.append(pruner.has_blob(LAYER))

    pruner.clock.while_asleep = asleep
    report = pruner.run()
    assert pruner.has_blob(LAYER)
    assert there == [True], "what is linked before the second look never leaves its place"
    assert report.facts["restored_blobs"] == 0
    assert LAYER not in {removal.digest for removal in report.removals if removal.kind == "blob"}
    assert not pruner.has_blob(GONE.digest)


def test_an_image_acknowledged_between_the_mark_and_the_hold_does_not_wait_for_the_grace(
    pruner: Pruner,
) -> None:
    pushed = image([BASE, layer("gone")], "pushed at the last moment")
    readable: list[bool] = []

    def before(operation: str, _path: str) -> None:
        if operation == "rename" and not pruner.has_blob(pushed.digest):
            config = pruner.tree.layer("app", pushed.blobs[-1])  # its layers were found in their places
            digest = pruner.tree.manifest("app", pushed.content, "latest")
            tree = pruner.tree
            for path in (
                tree.layer_path("app", config),
                tree.revision_path("app", digest),
                tree.tag_path("app", "latest"),
            ):
                fresh(pruner, path)

    pruner.storage.before = before
    while_asleep(pruner, GRACE, lambda: readable.append(pruner.tree.layer_path("app", LAYER).exists()))
    pruner.run()
    assert readable == [True]
    assert pruner.verify().problems == ()


def test_an_index_pushed_while_a_run_waits_gets_its_children_back(pruner: Pruner) -> None:
    def push_index() -> None:
        digest = pruner.tree.manifest("app", LISTED.content, "latest")
        for path in (pruner.tree.revision_path("app", digest), pruner.tree.tag_path("app", "latest")):
            fresh(pruner, path)

    while_asleep(pruner, GRACE, push_index)
    report = pruner.run()
    for each in LISTED.family():
        assert pruner.tree.revision_path("app", each.digest).exists()
        assert all(pruner.tree.layer_path("app", digest_of(blob)).exists() for blob in each.blobs)
    assert pruner.verify().problems == ()
    assert report.facts["put_back_links"] >= 5
    assert report.facts["restored_blobs"] == 0
    assert not pruner.has_blob(GONE.digest)


@pytest.mark.parametrize("moment", ["before the quarantine", "after the quarantine", "while it settles"])
def test_a_link_written_around_the_quarantine_brings_its_blob_back(pruner: Pruner, moment: str) -> None:
    data = str(pruner.tree.blob_path(LAYER).relative_to(pruner.data))
    started = [False]

    def before(operation: str, path: str) -> None:
        if operation == "rename" and path == data and moment == "before the quarantine":
            link_again(pruner)
        if started[0] and moment == "after the quarantine":
            started[0] = False
            link_again(pruner)
        started[0] = started[0] or (operation == "rename" and path == data)

    pruner.storage.before = before
    if moment == "while it settles":
        while_asleep(pruner, SETTLE, lambda: link_again(pruner))
    report = pruner.run()
    assert pruner.tree.blob_path(LAYER).read_bytes() == layer("gone")
    assert pruner.tree.layer_path("app", LAYER).exists()
    assert report.facts["restored_blobs"] == 1
    assert LAYER not in {removal.digest for removal in report.removals if removal.kind == "blob"}


def test_a_link_written_through_a_file_that_was_open_before_it_was_held(pruner: Pruner) -> None:
    link = pruner.tree.layer_path("app", LAYER)
    with open(link, "r+b") as opened:

        def write_late() -> None:
            assert not link.exists()
            opened.write(LAYER.encode())
            opened.flush()

        while_asleep(pruner, GRACE, write_late)
        pruner.run()
    assert link.read_bytes() == LAYER.encode()
    assert pruner.has_blob(LAYER)


def test_a_blob_uploaded_again_while_the_run_waits_is_not_taken_though_no_link_is_there_yet(
    pruner: Pruner,
) -> None:
    def upload() -> None:
        write(pruner.tree.blob_path(LAYER), layer("gone"))
        os.utime(pruner.tree.blob_path(LAYER), (pruner.clock.now(), pruner.clock.now()))

    while_asleep(pruner, GRACE, upload)
    pruner.run(trash=3600)
    assert pruner.has_blob(LAYER)
    assert not pruner.has_blob(GONE.digest)
    assert LAYER not in {blob.digest for blob in trash.listing(pruner.files)}


def test_a_blob_uploaded_again_while_it_is_in_quarantine_wins(pruner: Pruner) -> None:
    def upload() -> None:
        write(pruner.tree.blob_path(LAYER), layer("gone"))
        link_again(pruner)

    while_asleep(pruner, SETTLE, upload)
    pruner.run(trash=3600)
    assert pruner.tree.blob_path(LAYER).read_bytes() == layer("gone")
    assert LAYER not in {blob.digest for blob in trash.listing(pruner.files)}


def test_what_came_after_the_listing_is_no_candidate(pruner: Pruner) -> None:
    """A blob written during the walk, with its link not yet, must outlive the run whatever the clock says."""
    late = digest_of(b"late")
    written: list[str] = []

    def before(operation: str, path: str) -> None:
        if operation == "list" and path.endswith("repositories/app/_layers") and not written:
            written.append(pruner.tree.blob(b"late"))
            os.utime(pruner.tree.blob_path(late), (0, 0))

    pruner.storage.before = before
    pruner.run()
    assert pruner.has_blob(late)


# 35


def changes_until_the_end(pruner: Pruner, number: int) -> bool:
    """Run in a process of its own that is killed right before its n-th change; whether it got that far."""
    child = os.fork()
    if not child:
        count = [0]

        def before(operation: str, _path: str) -> None:
            count[0] += operation in WRITES
            if count[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)

        pruner.storage.before = before
        try:
            pruner.run()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def test_hazard_35_killed_at_each_step(pruner: Pruner) -> None:
    number = 0
    while True:
        number += 1
        fill(pruner)
        killed = changes_until_the_end(pruner, number)
        assert is_whole(pruner), f"killed before change {number}"
        links = [pruner.tree.revision_path("app", each.digest).exists() for each in LISTED.family()]
        assert all(links) or not links[-1], "an index goes before its children"
        pruner.clock.advance(2 * GRACE)  # until then, what is gone may just have been deleted by a client
        pruner.run()
        assert is_pruned(pruner), f"killed before change {number}"
        assert pruner.verify().problems == ()
        assert pruner.run().removals == ()
        assert not list((pruner.data / STATE).glob("current*")), f"killed before change {number}"
        if not killed:
            break
    assert number > 30


def test_two_pruners_and_the_lock_of_a_dead_one(pruner: Pruner) -> None:
    age(pruner.data, -time.time() + pruner.clock.now() + 30 * 86400)
    process = PrunerProcess(pruner.config)
    options = ("--output", "json", "--trash", "0", "--max-fraction", "1")
    first = process.start("run", *options, "--grace", "60")
    revision = pruner.tree.revision_path("app", GONE.digest)
    until(lambda: not revision.exists(), process=first)
    held = pruner.snapshot()
    busy = process.report("run", *options, "--grace", "0", expected=(8,))
    assert "another pruner is at work" in busy["error"]["message"]
    assert str(first.pid) in busy["error"]["message"]
    assert pruner.snapshot() == held
    first.kill()
    first.communicate()
    report = process.report("run", *options, "--grace", "0")
    assert any("undone" in note for note in report["summary"]["notes"])
    assert is_pruned(pruner)


@pytest.mark.parametrize("jump", [7200.0, -7200.0])
def test_a_clock_that_jumps_while_a_run_waits_undoes_the_run(pruner: Pruner, jump: float) -> None:
    before = pruner.snapshot()
    while_asleep(pruner, GRACE, lambda: pruner.clock.jump(jump))
    with pytest.raises(ClockError) as caught:
        pruner.run()
    assert caught.value.exit_code == 10
    assert pruner.snapshot() == before


@pytest.mark.parametrize("skew", [-2 * 86400.0, 2 * 86400.0])
def test_ages_are_told_by_the_clock_that_stamps_the_files(pruner: Pruner, skew: float) -> None:
    pruner.files.skew = skew
    young = pruner.tree.push("app", image([layer("young")], "young"))
    for path in pruner.tree.top.rglob("*"):
        if digest_of(layer("young"))[7:] in str(path) or young[7:] in str(path):
            moment = pruner.clock.now() + skew - 60
            os.utime(path, (moment, moment))
    old = pruner.tree.revision_path("app", GONE.digest)
    os.utime(old, (pruner.clock.now() + skew - 7200, pruner.clock.now() + skew - 7200))
    report = pruner.run()
    assert pruner.tree.revision_path("app", young).exists()
    assert pruner.has_blob(digest_of(layer("young")))
    assert not old.exists()
    assert any("clock differs" in note for note in report.notes)


def test_a_run_that_is_asked_to_end_once_it_is_decided_is_finished_by_the_next(pruner: Pruner) -> None:
    def stop() -> None:
        raise Stopped("asked to end")

    while_asleep(pruner, SETTLE, stop)
    with pytest.raises(Stopped) as caught:
        pruner.run()
    assert is_whole(pruner)
    assert pruner.has_blob(LAYER) and pruner.has_blob(GONE.digest), "blobs wait in their places"
    assert any("every blob is back in its place" in note for note in caught.value.__notes__)
    pruner.clock.while_asleep = lambda _seconds: None
    pruner.clock.advance(2 * GRACE)
    link_again(pruner)  # by a registry that had found the blob in its place
    report = pruner.run()
    assert any("finished" in note for note in report.notes)
    assert pruner.tree.blob_path(LAYER).read_bytes() == layer("gone")
    assert not pruner.has_blob(GONE.digest)
    assert pruner.verify().problems == ()


def test_a_run_that_is_asked_to_end_while_it_waits_is_undone(pruner: Pruner) -> None:
    before = pruner.snapshot()

    def stop() -> None:
        raise Stopped("asked to end")

    while_asleep(pruner, GRACE, stop)
    with pytest.raises(Stopped):
        pruner.run()
    assert pruner.snapshot() == before
    pruner.clock.while_asleep = lambda _seconds: None
    pruner.storage.before = nothing
    assert kinds(pruner.run())["blob"] > 3
    assert is_pruned(pruner)
