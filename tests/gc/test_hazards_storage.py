"""Hazards 14 to 19: what may be missing from a storage or wrong in it, and names that are alike."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gc.images import digest_of, image, index, layer
from tests.gc.inprocess import GRACE, Pruner
from tests.gc.realregistry import RealRegistry
from tests.gc.treebuilder import TREE, TreeBuilder, snapshot, write
from tests.gc.twoimages import BASE, GONE, KEPT, blobs_of, fill, is_pruned


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    return Pruner(tmp_path)


# 14


@pytest.mark.parametrize(
    "folders",
    [
        [],
        [TREE],
        [f"{TREE}/repositories"],
        [f"{TREE}/blobs", f"{TREE}/repositories"],
        [f"{TREE}/repositories/app/_uploads"],
        [f"{TREE}/repositories/app/_layers/sha256"],
        [f"{TREE}/repositories/app/_manifests/tags", f"{TREE}/repositories/app/_manifests/revisions/sha256"],
    ],
)
def test_hazard_14_registries_with_hardly_anything_in_them(pruner: Pruner, folders: list[str]) -> None:
    for folder in folders:
        (pruner.data / folder).mkdir(parents=True)
    pruner.old(seconds=0)
    assert pruner.run(grace=GRACE).removals == ()
    assert all((pruner.data / folder).is_dir() for folder in folders)
    pruner.old()
    pruner.run(grace=0)
    assert pruner.verify().problems == ()
    assert pruner.run().removals == ()
    if folders:
        fill(pruner)
        pruner.run()
        assert is_pruned(pruner)


def test_a_registry_that_was_never_pushed_to_is_pruned(registry: RealRegistry) -> None:
    before = snapshot(registry.data)
    assert Pruner(registry.folder).run().removals == ()
    assert snapshot(registry.data) == before


# 15


Spoil = Callable[[TreeBuilder], Path]


def _current(tree: TreeBuilder) -> Path:
    return tree.tag_path("app", "kept")


def _history(tree: TreeBuilder) -> Path:
    return tree.tag_index_path("app", "kept", KEPT.digest)


def _revision(tree: TreeBuilder) -> Path:
    return tree.revision_path("app", KEPT.digest)


def _layer(tree: TreeBuilder) -> Path:
    return tree.layer_path("app", digest_of(layer("kept")))


def _unneeded(tree: TreeBuilder) -> Path:
    return tree.layer_path("app", digest_of(layer("gone")))


WRONG = [b"", b" \n", b"sha256:beef", b"\xff\xfe", GONE.digest.encode()]


@pytest.mark.parametrize(
    ("which", "content"),
    [
        (which, content)
        for which in (_current, _history, _revision, _layer, _unneeded)
        for content in WRONG
        if which is not _current or content != WRONG[-1]  # that is an ordinary tag on the other image
    ],
)
def test_hazard_15_links_that_are_empty_or_wrong(pruner: Pruner, which: Spoil, content: bytes) -> None:
    fill(pruner)
    fill(pruner, "other")
    pruner.tree.push("other", image([layer("other")], "other"))
    write(which(pruner.tree), content)
    pruner.old()
    names = {digest[7:] for digest in blobs_of(GONE) - blobs_of(KEPT)}
    before = {path for path in pruner.links() if "/repositories/app/" in path}
    pruner.run_as_planned()
    assert {path for path in before if not any(name in path for name in names)} <= pruner.links()
    assert blobs_of(KEPT) <= pruner.blobs()
    if content == GONE.digest.encode():
        assert pruner.has_blob(GONE.digest) or which is _history, "a link may mean what it holds"
    assert not pruner.has_blob(digest_of(layer("other"))), "the other repository is pruned all the same"
    if which is _unneeded:
        assert pruner.has_blob(digest_of(layer("gone"))), "nor is it clear that its place is wrong"
    assert which(pruner.tree).read_bytes() == content


def test_a_fresh_empty_link_is_read_again(pruner: Pruner) -> None:
    fill(pruner)
    link = pruner.tree.tag_path("app", "kept")
    content = link.read_bytes()
    link.write_bytes(b"")
    os.utime(link, (pruner.clock.now(), pruner.clock.now()))

    def written(_seconds: float) -> None:
        link.write_bytes(content)

    pruner.clock.while_asleep = written
    assert pruner.run().plan.skipped == {}
    assert is_pruned(pruner)


# 16, 17


def test_hazard_16_a_manifest_that_is_not_there(pruner: Pruner) -> None:
    broken = index([KEPT, GONE])
    pruner.tree.push("broken", broken, "latest")
    pruner.tree.push("broken", image([layer("may be part of it")], "may be"))
    held = pruner.blobs() - {broken.digest}
    pruner.tree.blob_path(broken.digest).unlink()
    pruner.tree.push("app", KEPT, "kept")
    lost = pruner.tree.push("app", image([layer("lost")], "lost"))
    pruner.tree.blob_path(lost).unlink()  # untagged: nobody misses it, and its link may go
    pruner.old()
    report = pruner.run_as_planned()
    assert set(report.plan.skipped) == {"broken"}
    assert broken.digest in report.plan.skipped["broken"]
    assert pruner.blobs() == held | blobs_of(KEPT)
    assert not pruner.tree.revision_path("app", lost).exists()


@pytest.mark.parametrize("choice", ["keep", "remove"])
def test_hazard_17_tags_that_name_no_manifest(pruner: Pruner, choice: str) -> None:
    tree = pruner.tree
    fill(pruner)
    tree.push("app", GONE, "history")
    tree.tag_path("app", "history").unlink()
    tags = tree.repository("app") / "_manifests/tags"
    (tags / "nothing").mkdir()
    tree.link_tag("astray", "pointing", digest_of(b"never there"))
    pruner.old()
    pruner.run_as_planned(dangling_tags="keep")
    assert blobs_of(KEPT, GONE) <= pruner.blobs(), "the history of a dangling tag may be all that is left"
    report = pruner.run_as_planned(dangling_tags=choice)
    assert set(report.plan.dangling) == ({"app:history", "astray:pointing"} if choice == "keep" else set())
    assert tree.tag_path("app", "kept").exists()
    left = {path.name for path in tags.iterdir()}
    if choice == "keep":
        assert left == {"kept", "history"}
        assert tree.tag_path("astray", "pointing").exists()
    else:
        assert left == {"kept"}
        assert not tree.tag_path("astray", "pointing").exists()
        pruner.run_as_planned()
        assert is_pruned(pruner)


# 18, 19


def test_hazard_18_repositories_below_repositories(registry: RealRegistry) -> None:
    names = ["a", "a/b", "a/b/c", "under_score", "two__under", "do.t", "da-sh/under_score/do.t", "a/b_c"]
    pruner = Pruner(registry.folder)
    with registry.client() as client:
        for name in names:
            client.push(name, image([BASE, layer(name)], name), "v1")
        for name in ("a", "a/b/c", "under_score"):
            client.delete_manifest(name, image([BASE, layer(name)], name).digest)
        pruner.old()
        pruner.run_as_planned()
        gone = {"a", "a/b/c", "under_score"}
        for name in set(names) - gone:
            client.check(name, "v1", image([BASE, layer(name)], name))
        assert set(client.catalog()) == set(names) - gone
        assert not any(pruner.has_blob(digest_of(layer(name))) for name in gone)


def test_hazard_19_a_name_that_begins_with_another(pruner: Pruner) -> None:
    names = ["foo", "foobar", "foo-bar", "foo/bar", "fo"]
    for name in names:
        pruner.tree.push(name, KEPT, *(["v1"] if name != "foo" else []))
    pruner.old()
    pruner.run_as_planned()
    for name in names[1:]:
        assert pruner.tree.tag_path(name, "v1").exists()
        assert all(pruner.tree.layer_path(name, digest_of(blob)).exists() for blob in KEPT.blobs)
    assert not (pruner.tree.repository("foo") / "_layers").exists()
    assert pruner.verify().problems == ()
