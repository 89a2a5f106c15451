"""Hazards 20 to 27 (23: test_faults.py): what else may lie in a storage, or be in the place of one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pruner.errors import NotARegistry, Refused, StorageMissing
from tests.gc.images import digest_of, image, layer
from tests.gc.inprocess import GRACE, Pruner, kinds
from tests.gc.realregistry import RealRegistry
from tests.gc.treebuilder import TREE, TreeBuilder, snapshot, write
from tests.gc.twoimages import BASE, GONE, KEPT, blobs_of, fill, is_pruned

UUID = "0d9b0b68-5b76-4bd9-8a7c-6a3f1c8f2c11"


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    return Pruner(tmp_path)


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
