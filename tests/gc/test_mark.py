"""What stays although a careless reader of names, keys or links would not see why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pruner.settings.policies import parse_policies
from tests.gc.images import (
    DOCKER_MANIFEST,
    Image,
    cosign_tag,
    digest_of,
    fallback_tag,
    image,
    index,
    layer,
    signature,
)
from tests.gc.inprocess import Pruner, kinds

DAY = 86400.0
APP = image([layer("of app")], "app")


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    pruner = Pruner(tmp_path)
    pruner.tree.push("other", image([layer("other")], "other"), "latest")
    return pruner


@pytest.mark.parametrize("part", ["manifest", "config", "layer", "child"])
def test_a_tag_named_after_its_own_image_or_a_part_of_it_is_an_ordinary_tag(
    pruner: Pruner, part: str
) -> None:
    parts = {"layer": APP.blobs[0], "config": APP.blobs[1], "manifest": APP.content, "child": APP.content}
    pushed = index([APP]) if part == "child" else APP
    pruner.tree.push("app", pushed, fallback_tag(digest_of(parts[part])))
    pruner.old()
    assert pruner.run_as_planned().removals == ()
    assert pruner.verify().problems == ()


def test_a_suffix_of_another_tool_makes_an_ordinary_tag(pruner: Pruner) -> None:
    dead = image([layer("dead")], "dead")
    pruner.tree.push("app", dead)
    pruner.tree.push("app", APP, cosign_tag(dead.digest, "imgpkg"))
    pruner.old()
    pruner.run_as_planned()
    assert pruner.has_blob(APP.digest)
    assert not pruner.has_blob(dead.digest)


def test_a_signature_of_a_live_layer_stays(pruner: Pruner) -> None:
    pruner.tree.push("app", APP, "1")
    about = Image(APP.media_type, APP.blobs[0])
    pruner.tree.push("app", signature(about), cosign_tag(about.digest))
    pruner.old()
    assert pruner.run_as_planned().removals == ()


def test_fresh_signatures_take_no_place_among_the_last_tags(pruner: Pruner) -> None:
    images = [image([layer(f"v{number}")], f"v{number}") for number in range(2)]
    for number, pushed in enumerate(images):
        pruner.tree.push("app", pushed, f"v{number}")
    pruner.old()
    for pushed in images:
        pruner.tree.push("app", signature(pushed), cosign_tag(pushed.digest))
    policies = parse_policies([{"repositories": "app", "keepLast": 2}])
    report = pruner.run(retention=policies, grace=DAY)
    assert report.removals == ()
    assert all(pruner.has_blob(pushed.digest) for pushed in images)


@pytest.mark.parametrize("spelling", [str.upper, str.title, str.lower])
def test_keys_count_in_any_case_as_for_the_registrys_decoder(pruner: Pruner, spelling: object) -> None:
    assert callable(spelling)
    document = json.loads(APP.content)
    document["layers"] = [{spelling("digest"): digest_of(APP.blobs[0]), "size": len(APP.blobs[0])}]
    document[spelling("layers")] = document.pop("layers")
    odd = Image(DOCKER_MANIFEST, json.dumps(document).encode(), APP.blobs)
    pruner.tree.push("app", odd, "1")
    pruner.old()
    assert pruner.run_as_planned().removals == ()


def test_a_repository_with_a_key_that_stands_twice_is_kept_whole(pruner: Pruner) -> None:
    text = APP.content.decode().rstrip("}\n") + ', "Layers": []}'
    pruner.tree.push("app", Image(DOCKER_MANIFEST, text.encode(), APP.blobs), "1")
    pruner.tree.push("app", image([layer("untagged")], "untagged"))
    pruner.old()
    report = pruner.run_as_planned()
    assert report.removals == ()
    assert "twice" in report.plan.skipped["app"]


@pytest.mark.parametrize("part", ["_manifests", "_layers", "_manifests/tags", "_manifests/revisions"])
def test_a_repository_with_a_symbolic_link_inside_is_kept_whole(
    pruner: Pruner, tmp_path: Path, part: str
) -> None:
    pruner.tree.push("app", APP, "1")
    pruner.tree.push("app", image([layer("untagged")], "untagged"))
    pruner.old()
    folder = pruner.tree.repository("app") / part
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    report = pruner.run_as_planned()
    assert report.removals == ()
    assert "symbolic link" in report.plan.skipped["app"]


def test_two_repositories_that_share_a_folder_of_layers_lose_none(pruner: Pruner, tmp_path: Path) -> None:
    second = image([layer("of second")], "second")
    pruner.tree.push("app", APP, "1")
    pruner.tree.push("second", second, "1")
    for digest in [digest_of(blob) for blob in second.blobs]:
        pruner.tree.link_layer("app", digest)
    shared = tmp_path / "shared"
    (pruner.tree.repository("app") / "_layers").rename(shared)
    for name in ("app", "second"):
        folder = pruner.tree.repository(name) / "_layers"
        if folder.exists():
            for link in sorted(folder.rglob("*"), reverse=True):
                link.unlink() if link.is_file() else link.rmdir()
            folder.rmdir()
        folder.symlink_to(shared)
    pruner.old()
    assert pruner.run_as_planned().removals == ()
    assert pruner.verify().problems != (), "the links are told of"


def test_a_manifest_that_another_one_names_as_a_blob_keeps_its_own_layers(pruner: Pruner) -> None:
    document = json.loads(APP.content)
    inner = image([layer("inner")], "inner")
    document["layers"].append({"mediaType": "application/octet-stream", "digest": inner.digest, "size": 1})
    pruner.tree.push("app", inner)
    pruner.tree.link_layer("app", inner.digest)
    pruner.tree.push("app", Image(DOCKER_MANIFEST, json.dumps(document).encode(), APP.blobs), "1")
    pruner.old()
    assert pruner.run_as_planned().removals == ()


def test_a_copy_in_the_trash_goes_before_the_blob_is_removed_again(pruner: Pruner) -> None:
    reports: list[dict[str, int]] = []
    for _ in range(2):
        pruner.tree.push("app", APP)
        pruner.old()
        reports.append(kinds(pruner.run_as_planned(trash=100 * DAY)))
    assert [report["blob"] for report in reports] == [3, 3]
    assert reports[1]["trash"] == 3


def test_what_was_the_last_thing_in_a_folder_takes_the_folder_along(pruner: Pruner) -> None:
    tree = pruner.tree
    tree.push("app", APP, "1")
    tag = tree.tag_path("app", "1").parent.parent
    for folder in (
        tree.blob_path(digest_of(b"x")).parent,
        tree.revision_path("app", digest_of(b"y")).parent,
        tag.with_name("2") / "current",
    ):
        folder.mkdir(parents=True)
        (folder / "link.0b0e6c9c-6c1c-4b0e-9d53-0c7e3b1f0a11.tmp").write_bytes(b"")
    (tree.revision_path("gone", digest_of(b"z")).parent / "signatures/sha256/ab").mkdir(parents=True)
    pruner.old()
    assert pruner.run_as_planned().removals != ()
    assert pruner.run().removals == ()
