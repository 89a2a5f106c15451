"""Hazards 14 to 27 (23: test_faults.py): what may lie in a storage or be missing from it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pruner.errors import NotARegistry, Refused, StorageMissing
from tests.gc.images import Image, digest_of, image, index, layer
from tests.gc.inprocess import GRACE, Pruner, kinds
from tests.gc.realregistry import RealRegistry
from tests.gc.treebuilder import TREE, TreeBuilder, snapshot, write

BASE = layer("base")
KEPT = image([BASE, layer("kept")], "kept")
GONE = image([BASE, layer("gone")], "gone")
UUID = "0d9b0b68-5b76-4bd9-8a7c-6a3f1c8f2c11"


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    return Pruner(tmp_path)


def blobs_of(*images: Image) -> set[str]:
    return {each.digest for whole in images for each in whole.family()} | {
        digest_of(blob) for whole in images for each in whole.family() for blob in each.blobs
    }


def fill(pruner: Pruner, repository: str = "app") -> None:
    """An image that stays and one that goes, both old."""
    pruner.tree.push(repository, KEPT, "kept")
    pruner.tree.push(repository, GONE)
    pruner.old()


def is_pruned(pruner: Pruner) -> bool:
    return blobs_of(KEPT) <= pruner.blobs() and not pruner.has_blob(GONE.digest)


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


# 20, 21, 22


def test_hazard_20_algorithms_and_folders_that_are_unknown(pruner: Pruner) -> None:
    tree = pruner.tree
    fill(pruner)
    foreign = [
        tree.top / "blobs/blake3/ab/abcd/data",
        tree.top / "blobs/sha256/README",
        tree.top / "blobs/sha256/ab/not-a-digest/data",
        tree.top / "blobs/sha256" / "ff" / ("0" * 64) / "data",  # in the wrong folder
        tree.top / "notes/of-somebody",
        tree.top / "repositories/stray-file",
        tree.repository("app") / "_trust/root.json",
        tree.repository("app") / "_layers/blake3/abcd/link",
        tree.repository("app") / "_manifests/tags/kept/extra",
        tree.layer_path("app", digest_of(layer("kept"))).with_name("data"),
        pruner.data / "lost+found/inode",
    ]
    for path in foreign:
        write(path, b"not the pruner's")
    strange = tree.revision_path("strange", "blake3:" + "0" * 64)
    write(strange, b"blake3:" + b"0" * 64)
    tree.push("strange", image([layer("in strange")], "in strange"))
    pruner.old()
    report = pruner.run_as_planned()
    assert is_pruned(pruner)
    assert all(path.read_bytes() == b"not the pruner's" for path in foreign)
    assert strange.exists()
    assert set(report.plan.skipped) == {"strange"}, "an unknown revision may refer to anything there"
    assert pruner.has_blob(digest_of(layer("in strange")))
    assert len(report.summary()["unexplained"]) >= 9


def test_hazard_21_the_zero_byte_blob(registry: RealRegistry) -> None:
    empty = image([b"", BASE], "with an empty layer")
    pruner = Pruner(registry.folder)
    with registry.client() as client:
        client.push("app", empty, "v1")
        client.push("app", KEPT, "kept")
        pruner.old()
        assert pruner.run_as_planned().removals == ()
        client.check("app", "v1", empty)
        client.delete_manifest("app", empty.digest)
        pruner.old()
        assert kinds(pruner.run_as_planned())["blob"] == 3
        assert not pruner.has_blob(digest_of(b""))
        client.check("app", "kept", KEPT)


def test_hazard_22_hard_links_and_symbolic_links(tmp_path: Path) -> None:
    elsewhere, link = tmp_path / "disk", tmp_path / "data"
    elsewhere.mkdir()
    link.symlink_to(elsewhere)
    pruner = Pruner(tmp_path)
    tree = pruner.tree
    fill(pruner)
    copy = tmp_path / "backup of a layer"
    os.link(tree.blob_path(digest_of(layer("gone"))), copy)
    outside = TreeBuilder(tmp_path / "outside")
    outside.push("borrowed", GONE, "v1")
    outside.push("borrowed", image([layer("untagged outside")], "untagged outside"))
    borrowed = image([layer("only borrowed")], "only borrowed")
    for blob in borrowed.blobs:
        tree.blob(blob)
        outside.link_layer("borrowed", digest_of(blob))
    tree.blob(borrowed.content)
    outside.manifest("borrowed", borrowed.content, "v2")
    (tree.top / "repositories/linked").symlink_to(outside.repository("borrowed"))
    (tree.repository("app") / "_manifests/tags/astray").symlink_to("../../../../../blobs")
    loop = tree.top / "repositories/knot/loop"
    loop.parent.mkdir()
    loop.symlink_to(".")
    # The symbolic link among app's tags keeps app whole; without it GONE's parts go.
    pruner.old()
    assert "app" in pruner.run_as_planned().plan.skipped
    assert blobs_of(KEPT, GONE, borrowed) <= pruner.blobs()
    (tree.repository("app") / "_manifests/tags/astray").unlink()
    shutil.rmtree(outside.tag_path("borrowed", "v1").parents[1])
    outside.revision_path("borrowed", GONE.digest).unlink()
    for blob in GONE.blobs:
        outside.layer_path("borrowed", digest_of(blob)).unlink()
    untouched = snapshot(tmp_path / "outside")
    pruner.old()
    report = pruner.run_as_planned()
    freed = {removal.digest: removal.bytes for removal in report.removals if removal.kind == "blob"}
    assert freed[digest_of(layer("gone"))] == 0, "the bytes stay in the other file"
    assert freed[GONE.digest] == len(GONE.content)
    assert copy.read_bytes() == layer("gone")
    assert blobs_of(KEPT, borrowed) <= pruner.blobs()
    assert snapshot(tmp_path / "outside") == untouched
    assert loop.is_symlink() and link.is_symlink()


# 24


def test_hazard_24_leftovers_of_interrupted_writes(pruner: Pruner) -> None:
    tree = pruner.tree
    fill(pruner)
    places = [
        tree.blob_path(KEPT.digest),
        tree.layer_path("app", digest_of(layer("kept"))),
        tree.revision_path("app", KEPT.digest),
        tree.tag_path("app", "kept"),
        tree.tag_index_path("app", "kept", KEPT.digest),
    ]
    old = [place.with_name(f"{place.name}.{UUID}.tmp") for place in places]
    for path in old:
        write(path, b"half")
    alone = tree.blob_path(digest_of(b"never finished")).with_name(f"data.{UUID}.tmp")
    write(alone, b"half")
    pruner.old()
    young = [path.with_name(path.name.replace("0d9b", "1d9b")) for path in old]
    for path in young:
        write(path, b"being written")
        moment = pruner.clock.now() - GRACE / 2
        os.utime(path, (moment, moment))
    report = pruner.run_as_planned(grace=GRACE)
    assert kinds(report)["temporary"] == len(old) + 1
    assert not any(path.exists() for path in (*old, alone))
    assert all(path.read_bytes() == b"being written" for path in young)
    assert all(place.exists() for place in places)
    assert is_pruned(pruner)


# 25, 26, 27


def test_hazard_25_gitlabs_metadata_database(pruner: Pruner) -> None:
    for lock in ("docker/registry/lockfiles/database-in-use", f"{TREE}/lockfiles/database-in-use"):
        fill(pruner)
        write(pruner.data / lock, b"")
        before = snapshot(pruner.data)
        for do in (pruner.run, pruner.plan):
            with pytest.raises(Refused, match="GitLab") as caught:
                do()
            assert caught.value.exit_code == 6
        assert snapshot(pruner.data) == before
        (pruner.data / lock).unlink()
    write(pruner.data / lock, b"")
    pruner.run(override=frozenset({"gitlab-database"}))
    assert is_pruned(pruner)


@pytest.mark.parametrize("sign", ["state", "config"])
def test_hazard_26_a_pull_through_cache(pruner: Pruner, sign: str) -> None:
    fill(pruner)
    if sign == "state":
        write(pruner.data / "scheduler-state.json", b"{}")
    else:
        with open(pruner.config, "a") as config:
            config.write("proxy: {remoteurl: https://registry-1.docker.io}\n")
    before = snapshot(pruner.data)
    for do in (pruner.run, pruner.plan):
        with pytest.raises(Refused, match="pull-through cache") as caught:
            do()
        assert caught.value.exit_code == 6
    assert snapshot(pruner.data) == before
    pruner.run(override=frozenset({"pull-through-cache"}))
    assert is_pruned(pruner)


def test_hazard_27_a_root_that_is_wrong_or_not_mounted(pruner: Pruner) -> None:
    fill(pruner)
    pruner.data.rename(pruner.folder / "moved")
    with pytest.raises(StorageMissing) as missing:
        pruner.run()
    assert missing.value.exit_code == 4
    assert not pruner.data.exists()
    home = pruner.folder / "data"
    write(home / "letters/to-mother.txt", b"dear")
    before = snapshot(home)
    for do in (pruner.run, pruner.plan):
        with pytest.raises(NotARegistry) as wrong:
            do()
        assert wrong.value.exit_code == 5
    assert snapshot(home) == before
    (home / "letters/to-mother.txt").unlink()
    (home / "letters").rmdir()
    assert pruner.run().removals == (), "an empty folder is a registry's that nobody pushed to"
    assert snapshot(home) == {}, "and a disk that is not mounted must not be covered"
