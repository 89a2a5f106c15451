"""docs/development.md says what is so: every hazard with its test, every module that a run goes through."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.gc.images import image, layer
from tests.gc.inprocess import AT_ONCE, Pruner

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/development.md").read_text()
HAZARDS = {
    int(number): test
    for number, test in re.findall(r"^\| (\d+) \| [^|]+ \| `(test_hazard_\w+)` \|$", PAGE, re.MULTILINE)
}
TESTS = {
    name
    for path in (ROOT / "tests/gc").glob("test_*.py")
    for name in re.findall(r"^def (test_hazard_\w+)\(", path.read_text(), re.MULTILINE)
}


def test_every_hazard_is_listed_with_a_test_that_there_is() -> None:
    assert list(HAZARDS) == list(range(1, 39))
    assert set(HAZARDS.values()) <= TESTS
    assert all(test.startswith(f"test_hazard_{number:02}_") for number, test in HAZARDS.items())


def test_every_test_of_a_hazard_is_of_one_that_is_listed() -> None:
    assert {int(name.split("_")[2]) for name in TESTS} == set(HAZARDS)


def test_every_module_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`(\w+/\w+\.py)`", PAGE))
    assert len(named) > 15
    assert [name for name in named if not (ROOT / "gc/pruner" / name).exists()] == []


@pytest.mark.parametrize("function", re.findall(r"`sweep/phases\.py`, `(\w+)`", PAGE))
def test_every_phase_that_the_page_names_is_one(function: str) -> None:
    assert f"def {function}(" in (ROOT / "gc/pruner/sweep/phases.py").read_text()


def test_a_dangling_tag_keeps_its_repository_until_it_is_told_to_go(tmp_path: Path) -> None:
    """What the two commands of the page differ by is what the tag held."""
    pruner = Pruner(tmp_path, AT_ONCE)
    pruner.tree.push("app", image([layer("kept")], "kept"), "kept")
    pruner.tree.push("app", image([layer("held by the tag")], "held"))
    pruner.tree.link_tag("app", "dangling", "sha256:" + "0" * 64)
    pruner.old()
    kept = pruner.plan()
    assert kept.removals == () and "app" in kept.plan.skipped
    freed = pruner.plan(dangling_tags="remove")
    assert freed.summary()["removable_blobs"] == 3
    pruner.run()
    assert pruner.plan(dangling_tags="keep").removals == ()
