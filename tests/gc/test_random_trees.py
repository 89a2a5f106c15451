"""Random trees: a plan leaves what the slow and obvious way leaves, and a later look of a run, which does
anew only what may have changed, says what one says that knows nothing."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pruner.clock import RunTime
from pruner.decide.before import Seen
from pruner.decide.compare import misses
from pruner.decide.look import Look, Observer
from pruner.decide.plan import LINKS, Removal
from pruner.decide.walk import Walk
from pruner.tree import layout
from pruner.tree.library import Library
from tests.gc import randomtrees
from tests.gc.inprocess import AT_ONCE, Pruner
from tests.gc.reference import links_and_blobs, survivors
from tests.gc.treebuilder import walk
from tests.gc.twoimages import fill

SEEDS = range(12)
GRACE, UNTAGGED_AFTER = 600.0, 3600.0


@pytest.mark.parametrize("entered", [0, 1 << 62], ids=["listed", "entered"])
def test_a_plan_removes_what_nothing_needs_and_no_more(
    tmp_path: Path, entered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pruner.tree.scan.ENTERED", entered)
    gone = 0
    for seed in SEEDS:
        pruner = Pruner(tmp_path / str(seed))
        dice = random.Random(seed)
        randomtrees.sound(pruner.tree, dice, pruner.clock.now())
        files = {
            str(path.relative_to(pruner.data)): (path.read_bytes(), path.stat().st_mtime)
            for path in walk(pruner.data)
            if path.is_file()
        }
        removals = pruner.plan(grace=GRACE, untagged_after=UNTAGGED_AFTER).removals
        left = links_and_blobs(files) - {removal.path for removal in removals}
        assert left == survivors(files, pruner.clock.now(), UNTAGGED_AFTER, GRACE), f"seed {seed}"
        gone += len(removals)
    assert gone > len(SEEDS), "trees in which nothing may go show nothing"


def observer(pruner: Pruner) -> Observer:
    """One that has not looked yet."""
    library, time = Library(pruner.files), RunTime(pruner.clock)
    return Observer(pruner.files, pruner.settings, GRACE, library, time, None, lambda _phase, _count: None)


def hold(pruner: Pruner, links: Sequence[Removal]) -> None:
    """Take the links away, as a run does."""
    place = f"{layout.STATE}/current/held"
    pruner.files.make_folder(place)
    for number, removal in enumerate(links):
        pruner.files.rename(removal.path, f"{place}/{number}")


def going(look: Look, first: Look, pruner: Pruner) -> tuple[set[str], set[str]]:
    """The links that stay away after a look, and the blobs that the run takes away then."""
    links = {removal.path for removal in look.plan.of(*LINKS)}
    listed = {removal.path for removal in look.plan.of("blob")}
    blobs = [removal for removal in first.plan.of("blob") if removal.path in listed]
    stats = zip(blobs, pruner.files.stat_many([blob.path for blob in blobs]), strict=True)
    return links, {
        blob.path
        for blob, stat in stats
        if stat is not None and blob.stat is not None and stat[:2] == blob.stat[:2]
    }


@pytest.mark.parametrize("spoiled", [False, True], ids=["sound", "spoiled"])
def test_a_later_look_says_what_one_says_that_knows_nothing(
    tmp_path: Path, spoiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_over = Counter[str]()
    original = Walk.take_over

    def counted(walk: Walk, name: str, seen: Seen) -> None:
        taken_over[name] += 1
        original(walk, name, seen)

    monkeypatch.setattr(Walk, "take_over", counted)
    for seed in SEEDS:
        pruner = Pruner(tmp_path / str(seed))
        pruner.settings = replace(AT_ONCE, grace=GRACE, untagged_after=UNTAGGED_AFTER)
        dice = random.Random(seed)
        randomtrees.sound(pruner.tree, dice, pruner.clock.now(), plain=seed % 3 > 0)
        if spoiled:
            randomtrees.spoil(pruner.tree, dice)
            randomtrees.grow_old(pruner.data, pruner.clock.now(), dice)
        remembering = observer(pruner)
        first = remembering.look()
        held = tuple(first.plan.of(*LINKS))
        hold(pruner, held)
        for number in range(3):
            if number:
                randomtrees.go_on(pruner.tree, dice)
            later, fresh = remembering.look(held), observer(pruner).look(held)
            links, blobs = going(later, first, pruner)
            assert links == going(fresh, first, pruner)[0], f"seed {seed}"
            # What was needed in between stays until the next run.
            assert blobs <= going(fresh, first, pruner)[1], f"seed {seed}"
            assert blobs == going(fresh, first, pruner)[1] or number > 1, f"seed {seed}"
            assert set(fresh.marks.blobs) <= set(later.marks.blobs)
            for removal in held:
                assert misses(later, removal) == misses(fresh, removal), f"seed {seed}"
            held = tuple(later.plan.of(*LINKS))
    assert taken_over.total() > len(SEEDS), "looks that take nothing over show nothing"


def test_a_link_written_in_an_empty_folder_is_seen_by_a_later_look(tmp_path: Path) -> None:
    """A registry that finds a blob in its place does not write it again, and no folder above changes."""
    pruner = Pruner(tmp_path)
    fill(pruner)
    lonely = pruner.tree.blob(b"layer that nothing refers to")
    link = pruner.tree.layer_path("app", lonely)
    link.parent.mkdir(parents=True)
    pruner.old()
    looks = observer(pruner)
    first = looks.look()
    held = tuple(first.plan.of(*LINKS))
    hold(pruner, held)
    assert lonely in {removal.digest for removal in looks.look(held).plan.of("blob")}
    pruner.tree.link_layer("app", lonely)
    assert lonely not in {removal.digest for removal in looks.look(held).plan.of("blob")}


def test_clients_that_meet_a_fifo_do_not_wait_for_it(tmp_path: Path) -> None:
    for seed in range(20):
        tree, dice = Pruner(tmp_path / str(seed)).tree, random.Random(seed)
        randomtrees.sound(tree, dice, time.time() - 60)
        for link in sorted(tree.top.glob("repositories/**/link")):
            link.unlink()
            os.mkfifo(link)
        randomtrees.go_on(tree, dice)
