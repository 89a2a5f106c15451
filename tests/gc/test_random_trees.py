"""Random trees: a plan leaves what the slow and obvious way leaves."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.gc import randomtrees
from tests.gc.inprocess import Pruner
from tests.gc.reference import links_and_blobs, survivors
from tests.gc.treebuilder import walk

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
