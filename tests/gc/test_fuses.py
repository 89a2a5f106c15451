"""Fuses: what looks like a mistake is refused with a way out, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pruner.decide.fuses import NON_TRIVIAL
from pruner.errors import NotARegistry, ReadError, Refused, RegistryError
from pruner.settings.policies import parse_policies
from pruner.settings.table import FUSES
from tests.gc.images import image, layer
from tests.gc.inprocess import Pruner, kinds
from tests.gc.processdoubles import FakeProc
from tests.gc.storagedoubles import failing, nothing
from tests.gc.treebuilder import snapshot, write


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    return Pruner(tmp_path)


def loose_blobs(pruner: Pruner, count: int) -> None:
    for number in range(count):
        pruner.tree.blob(b"%d" % number)


def tagged(pruner: Pruner, layers: int) -> None:
    """A tagged image of that many layers; with its config and manifest it makes two blobs more."""
    pruner.tree.push("app", image([layer(f"kept {number}", 10) for number in range(layers)]), "latest")


def test_a_plan_of_more_than_the_fraction_is_refused(pruner: Pruner) -> None:
    tagged(pruner, 28)
    loose_blobs(pruner, 31)
    pruner.old()
    before = snapshot(pruner.data)
    with pytest.raises(Refused, match="31 of 61 blobs") as caught:
        pruner.run(max_fraction=0.5)
    assert caught.value.exit_code == 6
    assert "--override fraction" in str(caught.value)
    assert "--max-fraction" in str(caught.value) and "gcMaxFraction" in str(caught.value)
    assert snapshot(pruner.data, without=("docker/registry/v2/pruner",)) == before
    plan = pruner.plan()
    assert kinds(plan)["blob"] == 31, "what is refused is there to be looked at"
    assert any("would refuse" in note for note in plan.notes)
    assert kinds(pruner.run(max_fraction=0.51))["blob"] == 31


def test_exactly_the_fraction_goes(pruner: Pruner) -> None:
    tagged(pruner, 28)
    loose_blobs(pruner, 30)
    pruner.old()
    assert kinds(pruner.run(max_fraction=0.5))["blob"] == 30


def test_a_small_tree_may_lose_most_of_its_blobs(pruner: Pruner) -> None:
    tagged(pruner, 1)
    loose_blobs(pruner, NON_TRIVIAL - 4)
    pruner.old()
    assert kinds(pruner.run(max_fraction=0.1))["blob"] == NON_TRIVIAL - 4


def test_one_blob_more_and_it_is_no_small_tree(pruner: Pruner) -> None:
    tagged(pruner, 1)
    loose_blobs(pruner, NON_TRIVIAL - 3)
    pruner.old()
    with pytest.raises(Refused):
        pruner.run(max_fraction=0.1)


def test_blobs_and_not_one_tag_are_refused(pruner: Pruner) -> None:
    pruner.tree.push("app", image([layer("untagged")]))
    pruner.old()
    before = pruner.snapshot()
    with pytest.raises(Refused, match="not one tag") as caught:
        pruner.run()
    assert "--override no-tags" in str(caught.value)
    assert pruner.snapshot() == before
    pruner.run(override=frozenset({"no-tags"}))
    assert pruner.blobs() == set()


def test_5_a_plan_that_drops_more_than_the_fraction_of_the_tags_is_refused(pruner: Pruner) -> None:
    for number in range(NON_TRIVIAL):
        pruner.tree.push("app", image([layer("shared by all")], "one image"), f"v{number}")
    pruner.old()
    before = pruner.snapshot()
    with pytest.raises(Refused, match=f"{NON_TRIVIAL} of {NON_TRIVIAL} tags") as caught:
        pruner.run(retention=parse_policies([{"keepLast": 0}]), max_fraction=0.5)
    assert "--override fraction" in str(caught.value)
    assert pruner.snapshot() == before
    assert any("would refuse" in note for note in pruner.plan().notes)
    with pytest.raises(Refused):
        pruner.run(retention=parse_policies([{"keepLast": NON_TRIVIAL // 2 - 1}]))
    half = pruner.run(retention=parse_policies([{"keepLast": NON_TRIVIAL // 2}]))
    assert kinds(half)["tag"] == NON_TRIVIAL // 2
    rest = pruner.run(retention=parse_policies([{"keepLast": 0}]), override=frozenset({"fraction"}))
    assert kinds(rest)["tag"] == NON_TRIVIAL // 2


def test_a_tag_anywhere_is_a_tag(pruner: Pruner) -> None:
    pruner.tree.push("app", image([layer("untagged")]))
    pruner.tree.push("other", image([layer("tagged")]), "v1")
    pruner.old()
    assert kinds(pruner.run())["blob"] == 3


def _fraction(pruner: Pruner) -> None:
    tagged(pruner, 10)
    loose_blobs(pruner, 60)
    pruner.settings = type(pruner.settings)(grace=0, untagged_after=0, trash=0, max_fraction=0.5)


def _no_tags(pruner: Pruner) -> None:
    loose_blobs(pruner, 3)


def _no_registry(pruner: Pruner) -> None:
    write(pruner.data / "somebody's", b"file")


def _proxy(pruner: Pruner) -> None:
    tagged(pruner, 1)
    write(pruner.data / "scheduler-state.json", b"{}")


def _gitlab(pruner: Pruner) -> None:
    tagged(pruner, 1)
    write(pruner.data / "docker/registry/lockfiles/database-in-use", b"")


def _unknown_registry(pruner: Pruner) -> None:
    tagged(pruner, 1)
    FakeProc(pruner.folder / "processes").add(7, "registry", "serve", str(pruner.config))
    (pruner.folder / "proc").rmdir()
    (pruner.folder / "processes").rename(pruner.folder / "proc")


CASES: dict[str, Callable[[Pruner], None]] = {
    "fraction": _fraction,
    "no-tags": _no_tags,
    "not-a-registry": _no_registry,
    "pull-through-cache": _proxy,
    "gitlab-database": _gitlab,
    "other-registries": _unknown_registry,
}


def test_every_fuse_has_its_case() -> None:
    assert set(CASES) == set(FUSES)


@pytest.mark.parametrize("fuse", FUSES)
def test_a_fuse_gives_way_to_its_own_name_only(pruner: Pruner, fuse: str) -> None:
    CASES[fuse](pruner)
    pruner.old()
    before = snapshot(pruner.data)
    with pytest.raises((Refused, NotARegistry, RegistryError), match=f"--override {fuse}"):
        pruner.run(override=frozenset(FUSES) - {fuse})
    assert snapshot(pruner.data, without=("docker/registry/v2/pruner",)) == before
    pruner.run(override=frozenset({fuse}))


def test_a_fuse_that_cannot_be_looked_at_is_no_fuse_that_holds(pruner: Pruner) -> None:
    tagged(pruner, 1)
    loose_blobs(pruner, 1)
    pruner.old()
    pruner.storage.before = failing(5, "database-in-use", "stat")
    with pytest.raises(ReadError):
        pruner.run()
    pruner.storage.before = nothing
    assert kinds(pruner.run())["blob"] == 1
