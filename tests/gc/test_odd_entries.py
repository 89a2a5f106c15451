"""What no registry writes and a tree may have: one odd repository is kept whole, the others are pruned.

The numbers are those of the list of what tripped the pruner.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pruner.settings.policies import parse_policies
from tests.gc.images import Image, digest_of, image, layer
from tests.gc.inprocess import Pruner, kinds
from tests.gc.treebuilder import write
from tests.gc.twoimages import GONE, KEPT, blobs_of, fill

ODD = image([layer("odd"), layer("of odd alone")], "odd")
UNTAGGED = image([layer("untagged in odd")], "untagged in odd")


@pytest.fixture(params=[0, 1 << 62], ids=["listed", "entered"])
def pruner(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Pruner:
    """With the folders of what stays listed alone, as in a large tree, and with all of them entered."""
    monkeypatch.setattr("pruner.tree.scan.ENTERED", request.param)
    pruner = Pruner(tmp_path)
    fill(pruner)
    pruner.tree.push("odd", ODD, "v1")
    pruner.tree.push("odd", UNTAGGED)
    pruner.old()
    return pruner


def is_kept_whole(pruner: Pruner, *missing: str) -> bool:
    """Whether nothing of odd's went, and the other repository was pruned."""
    report = pruner.run_as_planned()
    assert set(report.plan.skipped) == {"odd"}, report.plan.skipped
    assert not pruner.has_blob(GONE.digest)
    assert blobs_of(KEPT) <= pruner.blobs()
    return blobs_of(ODD, UNTAGGED) - set(missing) <= pruner.blobs()


@pytest.mark.parametrize("change", ["a digit", "{}"])
@pytest.mark.parametrize("which", [ODD, UNTAGGED], ids=["tagged", "untagged"])
def test_1_a_manifest_that_does_not_hash_to_its_name_is_damage(
    pruner: Pruner, which: Image, change: str
) -> None:
    path = pruner.tree.blob_path(which.digest)
    at = which.content.index(digest_of(which.blobs[0]).encode()) + 20
    flipped = which.content[:at] + (b"0" if which.content[at : at + 1] != b"0" else b"1")
    write(path, flipped + which.content[at + 1 :] if change == "a digit" else b"{}")
    pruner.old()
    assert is_kept_whole(pruner)


@pytest.mark.parametrize("untagged", ["keep", "after 1s"])
def test_6_a_symbolic_link_as_the_folder_of_revisions(pruner: Pruner, tmp_path: Path, untagged: str) -> None:
    policies = parse_policies([{"repositories": "odd", "untagged": untagged}])
    pruner.settings = replace(pruner.settings, retention=policies)
    folder = pruner.tree.revision_path("odd", ODD.digest).parents[1]
    shutil.move(folder, tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    pruner.old()
    assert is_kept_whole(pruner)


@pytest.mark.parametrize("media_type", [["a list"], {"an": "object"}, 7, None])
def test_9_a_media_type_of_any_shape(pruner: Pruner, media_type: object) -> None:
    document = json.loads(ODD.content)
    document["mediaType"] = media_type
    document["layers"][0]["mediaType"] = media_type
    strange = Image(ODD.media_type, json.dumps(document).encode(), ODD.blobs)
    pruner.tree.push("strange", strange, "v1")
    pruner.old()
    pruner.run_as_planned()
    assert blobs_of(strange) <= pruner.blobs()
    assert not pruner.has_blob(GONE.digest)


def a_file(path: Path) -> None:
    path.write_bytes(b"not a folder")


def a_link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


PARTS = ("_manifests", "_manifests/tags", "_manifests/revisions", "_layers", "_uploads")


@pytest.mark.parametrize("make", [a_file, a_link_to_itself, a_fifo])
@pytest.mark.parametrize("part", PARTS)
def test_10_something_else_where_a_folder_should_be(
    pruner: Pruner, part: str, make: Callable[[Path], None]
) -> None:
    path = pruner.tree.repository("odd") / part
    if path.exists():
        shutil.rmtree(path)
    make(path)
    pruner.old()
    # Without its revisions nothing tells which manifests were odd's, and without its layers which blobs.
    manifests = (
        {ODD.digest, UNTAGGED.digest} if part in ("_manifests", "_manifests/revisions") else set[str]()
    )
    assert is_kept_whole(pruner, *manifests)


@pytest.mark.parametrize("make", [Path.mkdir, a_link_to_itself, a_fifo])
@pytest.mark.parametrize("which", ["tag", "revision", "layer"])
def test_10_something_else_where_a_link_of_what_goes_should_be(
    pruner: Pruner, which: str, make: Callable[[Path], None]
) -> None:
    tree = pruner.tree
    path = {
        "tag": tree.tag_path("odd", "v1"),
        "revision": tree.revision_path("odd", UNTAGGED.digest),
        "layer": tree.layer_path("odd", digest_of(UNTAGGED.blobs[0])),
    }[which]
    path.unlink()
    make(path)
    pruner.old()
    assert is_kept_whole(pruner)
    assert os.path.lexists(path)


@pytest.mark.parametrize("make", [Path.mkdir, a_link_to_itself, a_fifo])
def test_10_something_else_as_the_data_of_a_manifest(pruner: Pruner, make: Callable[[Path], None]) -> None:
    path = pruner.tree.blob_path(ODD.digest)
    path.unlink()
    make(path)
    pruner.old()
    assert is_kept_whole(pruner, ODD.digest)
    assert os.path.lexists(path)


def test_10_something_else_as_the_data_of_a_blob_that_nothing_refers_to(pruner: Pruner) -> None:
    for name, make in {"folder": Path.mkdir, "link": a_link_to_itself, "fifo": a_fifo}.items():
        path = pruner.tree.blob_path(digest_of(name.encode()))
        path.parent.mkdir(parents=True)
        make(path)
    pruner.old()
    report = pruner.run_as_planned()
    assert report.plan.skipped == {}
    assert not pruner.has_blob(GONE.digest)
    assert all(os.path.lexists(pruner.tree.blob_path(digest_of(n))) for n in (b"folder", b"link", b"fifo"))


def test_10_twelve_hundred_levels_of_folders(pruner: Pruner) -> None:
    folder = pruner.tree.top / "repositories"
    deep = os.open(folder, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=deep)
        below = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    try:
        report = pruner.run()
    finally:
        subprocess.run(["rm", "-rf", str(folder / "d")], check=True)  # deeper than shutil goes
    assert report.plan.skipped == {}
    assert not pruner.has_blob(GONE.digest)


def test_10_links_that_lead_back_are_not_followed(pruner: Pruner) -> None:
    top = pruner.tree.top / "repositories"
    for number in range(7):
        (top / f"loop{number}").symlink_to(".")
        (top / "odd" / f"up{number}").symlink_to("..")
    pruner.old()
    report = pruner.run_as_planned()
    assert len(report.tree.repositories) == 2
    assert not pruner.has_blob(GONE.digest)


def test_10_links_between_folders_outside_are_followed_once(pruner: Pruner, tmp_path: Path) -> None:
    folders = [tmp_path / f"outside{number}" for number in range(7)]
    for folder in folders:
        folder.mkdir()
    for folder in folders:
        for other in folders:
            (folder / other.name).symlink_to(other)
    (pruner.tree.top / "repositories/away").symlink_to(folders[0])
    report = pruner.run_as_planned()
    assert len(report.tree.repositories) == 2


@pytest.mark.parametrize("has_own_link", [True, False], ids=["linked", "unlinked"])
def test_links_of_other_algorithms_are_aliases(pruner: Pruner, *, has_own_link: bool) -> None:
    """A registry writes into the link of a sha512 which sha256 it took it for: that is what a client gets."""
    content, config = b"a layer that is called by its sha512", layer("config of the alias")
    taken_for, alias = pruner.tree.blob(content), digest_of(content, "sha512")
    write(pruner.tree.layer_path("aliases", alias), taken_for.encode())
    if has_own_link:
        pruner.tree.link_layer("aliases", taken_for)
    manifest = json.loads(image([content, config], "alias").content)
    manifest["layers"] = [{**manifest["layers"][0], "digest": alias}]
    pruner.tree.manifest("aliases", json.dumps(manifest).encode(), "v1")
    child = image([layer("of the child")], "child", oci=True)
    for blob in child.blobs:
        pruner.tree.layer("aliases", blob)
    pruner.tree.blob(child.content)
    if has_own_link:
        pruner.tree.link_revision("aliases", child.digest)
    as_alias = digest_of(child.content, "sha512")
    write(pruner.tree.revision_path("aliases", as_alias), child.digest.encode())
    listing = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{**child.descriptor(), "digest": as_alias}],
    }
    pruner.tree.manifest("aliases", json.dumps(listing).encode(), "all")
    pruner.old()
    pruner.run_as_planned()
    assert not pruner.has_blob(GONE.digest)
    assert pruner.has_blob(taken_for)
    assert blobs_of(child) <= pruner.blobs()


def a_link_to_itself_in_place_of(path: Path) -> None:
    shutil.rmtree(path)
    path.symlink_to(path.name)


@pytest.mark.parametrize("part", ["index", "index/sha256", "current", "."])
def test_10_a_part_of_a_tag_that_leads_to_itself_keeps_its_repository(pruner: Pruner, part: str) -> None:
    """Each of them where nothing else is wrong, so that the repository is kept for this alone."""
    pruner.tree.push("odd", UNTAGGED, "knot")
    pruner.tree.push("odd", image([layer("older")], "older"), "knot")
    pruner.tree.push("odd", UNTAGGED, "knot")
    folder = pruner.tree.repository("odd") / "_manifests/tags/knot"
    found = next(folder.glob(part)) if part != "." else folder
    a_link_to_itself_in_place_of(found)
    pruner.old()
    assert is_kept_whole(pruner)
    assert found.is_symlink()
    reason = pruner.plan().plan.skipped["odd"]
    assert str(found) in reason, "it says where"


def test_10_a_blob_whose_folder_leads_to_itself(pruner: Pruner) -> None:
    """In place of what is needed, where that is damage, and of what is not, where it is nobody's business."""
    for digest in (ODD.digest, digest_of(ODD.blobs[0]), digest_of(GONE.blobs[1])):
        a_link_to_itself_in_place_of(pruner.tree.blob_path(digest).parent)
    pruner.old()
    assert is_kept_whole(pruner, ODD.digest, digest_of(ODD.blobs[0]))
    report = pruner.plan()
    assert ODD.digest in report.plan.skipped["odd"]
    assert f"{pruner.tree.blob_path(digest_of(GONE.blobs[1])).parent}" in report.summary()["unexplained"]
    damaged = {(problem.kind, problem.digest) for problem in pruner.verify().problems}
    assert ("missing-blob", digest_of(ODD.blobs[0])) in damaged
    assert any(digest == ODD.digest for _, digest in damaged)


@pytest.mark.parametrize("level", ["sha256", "sha256/??"])
def test_10_a_folder_of_blobs_that_leads_to_itself(pruner: Pruner, level: str) -> None:
    """What lies behind it cannot be seen: the manifests there are damage, and nothing that they need goes."""
    blobs = pruner.tree.top / "blobs"
    found = next(path for path in blobs.glob(level) if level == "sha256" or ODD.digest[7:9] == path.name)
    a_link_to_itself_in_place_of(found)
    pruner.old()
    report = pruner.run_as_planned()
    assert "odd" in report.plan.skipped
    assert found.is_symlink()
    if level == "sha256":
        assert report.removals == () or set(kinds(report)) <= {"revision", "layer-link"}
