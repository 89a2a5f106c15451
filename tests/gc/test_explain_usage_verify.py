"""What people ask about a tree: why a digest stays or goes, who uses the bytes, whether all is there."""

from __future__ import annotations

import inspect
import os
import re
import shutil
from pathlib import Path

import pytest

from pruner.inspect.explain import Explanation, explain
from pruner.inspect.usage import Usage, usage
from pruner.inspect.verify import ADVICE, Problem
from pruner.settings.policies import parse_policies
from pruner.sweep import trash
from tests.gc.images import artifact, digest_of, image, index, layer
from tests.gc.inprocess import AT_ONCE, ONLINE, Pruner
from tests.gc.treebuilder import snapshot, write

BASE = layer("base", 10_000)
KEPT = image([BASE, layer("kept", 1000)], "kept")
GONE = image([BASE, layer("gone", 2000)], "gone")


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    pruner = Pruner(tmp_path, ONLINE)
    pruner.tree.push("app", GONE, "moving")
    pruner.tree.push("app", KEPT, "moving", "kept")
    pruner.old()
    return pruner


def explained(pruner: Pruner, digest: str) -> Explanation:
    return explain(pruner.look(), trash.listing(pruner.files), pruner.settings.trash, digest)


def touch(pruner: Pruner, path: Path, age: float) -> None:
    os.utime(path, (pruner.clock.now() - age, pruner.clock.now() - age))


# explain


def test_a_tagged_manifest_and_its_layer_are_kept(pruner: Pruner) -> None:
    manifest = explained(pruner, KEPT.digest)
    assert (manifest.fate, manifest.when) == ("kept", None)
    assert manifest.reason == "tag app:kept names it"
    assert {"tag app:kept", "tag app:moving", "revision in app"} <= set(manifest.references)
    base = explained(pruner, digest_of(BASE))
    assert (base.fate, base.when) == ("kept", None)
    assert f"live manifest app@{KEPT.digest}" in base.references
    assert f"dead manifest app@{GONE.digest}" in base.references


def test_what_goes_says_since_when_no_tag_names_it(pruner: Pruner) -> None:
    touch(pruner, pruner.tree.tag_path("app", "moving"), 5000)
    manifest = explained(pruner, GONE.digest)
    assert manifest.fate == "goes"
    assert manifest.unreferenced_since == pytest.approx(pruner.clock.now() - 5000, abs=1)
    assert manifest.when == pruner.clock.now()
    assert "history of tag app:moving" in manifest.references
    assert "no tag has named it since 2023-11-14 20:50:00 UTC" in manifest.text()
    alone = explained(pruner, digest_of(layer("gone", 2000)))
    assert (alone.fate, alone.reason) == ("goes", "no manifest of the repository needs it")


def test_what_is_young_says_when_it_may_go(pruner: Pruner) -> None:
    touch(pruner, pruner.tree.revision_path("app", GONE.digest), 1000)
    manifest = explained(pruner, GONE.digest)
    assert manifest.fate == "kept"
    assert manifest.when == pytest.approx(pruner.clock.now() - 1000 + 3600, abs=1)
    assert "untagged, and pushed less than" in manifest.reason
    assert "may go from" in manifest.text()
    touch(pruner, pruner.tree.revision_path("app", GONE.digest), 3601)
    assert explained(pruner, GONE.digest).fate == "goes"


def test_a_damaged_repository_elsewhere_does_not_hide_when_something_may_go(pruner: Pruner) -> None:
    pruner.tree.manifest("odd", b"no json")
    pruner.old()
    touch(pruner, pruner.tree.revision_path("app", GONE.digest), 1000)
    assert explained(pruner, GONE.digest).when == pytest.approx(pruner.clock.now() - 1000 + 3600, abs=1)
    assert explained(pruner, digest_of(b"no json")).when is None


def test_what_retention_keeps_for_ever_has_no_date(pruner: Pruner) -> None:
    pruner.look(retention=parse_policies([{"repositories": "app", "untagged": "keep"}]))
    manifest = explained(pruner, GONE.digest)
    assert (manifest.fate, manifest.when) == ("kept", None)
    assert manifest.reason == "in app: retention keeps untagged manifests"


def test_an_index_a_referrer_and_a_damaged_repository_are_named(pruner: Pruner) -> None:
    listing = index([KEPT])
    sbom = artifact("sbom", subject=KEPT)
    pruner.tree.push("app", listing, "multi")
    pruner.tree.push("app", sbom)
    pruner.tree.push("odd", image([layer("odd")], "odd"))
    pruner.tree.manifest("odd", b"no json")
    pruner.old()
    references = explained(pruner, KEPT.digest).references
    assert f"live index app@{listing.digest}" in references
    assert f"live referrer app@{sbom.digest}, which lives and dies with it" in references
    odd = explained(pruner, image([layer("odd")], "odd").digest)
    assert odd.fate == "kept"
    assert odd.reason.startswith("repository odd is kept whole")


def test_the_trash_and_the_unknown(pruner: Pruner) -> None:
    pruner.run(trash=86400)
    found = explained(pruner, GONE.digest)
    assert found.fate == "in the trash"
    assert found.reason.startswith("removed on 2023-11-14 22:")
    nowhere = explained(pruner, digest_of(b"nowhere"))
    assert (nowhere.fate, nowhere.references) == ("unknown", ())
    assert "nothing refers to it" in nowhere.text()
    assert set(nowhere.to_json()) == {
        "digest",
        "fate",
        "reason",
        "references",
        "unreferenced_since",
        "when",
    }


def test_what_the_plan_says_of_a_digest_is_what_explain_says(pruner: Pruner) -> None:
    going = {removal.digest for removal in pruner.plan().removals if removal.kind in ("revision", "blob")}
    everything = pruner.blobs()
    assert going and everything - going
    for digest in everything:
        assert (explained(pruner, digest).fate == "goes") == (digest in going)


# usage


def measured(pruner: Pruner) -> Usage:
    return usage(pruner.look(), 77)


def test_bytes_are_exclusive_shared_and_reclaimable(pruner: Pruner) -> None:
    other = image([BASE, layer("other", 500)], "other")
    pruner.tree.push("other/app", other, "v1")
    pruner.old()
    found = measured(pruner)
    by_name = {entry.name: entry for entry in found.repositories}
    app, shared = by_name["app"], len(BASE)

    def size(*digests: str) -> int:
        return sum(pruner.tree.blob_path(digest).stat().st_size for digest in set(digests))

    of_gone = size(GONE.digest, *(digest_of(blob) for blob in GONE.blobs)) - shared
    of_kept = size(KEPT.digest, *(digest_of(blob) for blob in KEPT.blobs)) - shared
    assert (app.tags, app.manifests) == (2, 2)
    assert app.exclusive_bytes == of_gone + of_kept
    assert app.shared_bytes == by_name["other/app"].shared_bytes == shared
    assert app.reclaimable_bytes == of_gone == found.reclaimable_bytes
    assert by_name["other/app"].reclaimable_bytes == 0
    assert app.largest_tags == (("kept", of_kept + shared), ("moving", of_kept + shared))
    assert found.blobs == len(pruner.blobs())
    assert found.bytes == size(*pruner.blobs())
    assert found.trash_bytes == 77


def test_usage_as_a_table_and_as_json(pruner: Pruner) -> None:
    found = measured(pruner)
    lines = found.text().splitlines()
    assert lines[0].split()[:3] == ["REPOSITORY", "TAGS", "MANIFESTS"]
    assert lines[1].startswith("app") and "kept (" in lines[1]
    assert lines[-1].endswith("in the trash 77 B")
    assert found.to_json()["repositories"][0]["largest_tags"][0]["tag"] == "kept"


def test_a_deep_index_counts_once(pruner: Pruner) -> None:
    listing = index([index([KEPT]), KEPT])
    pruner.tree.push("app", listing, "multi")
    pruner.old()
    sizes = dict(measured(pruner).repositories[0].largest_tags)
    own = sum(len(each.content) for each in (listing, listing.children[0]))
    assert sizes["multi"] == sizes["kept"] + own


# verify


def test_a_sound_tree_has_no_problem_and_is_not_touched(pruner: Pruner) -> None:
    before = snapshot(pruner.data)
    found = pruner.verify()
    assert (found.problems, found.sparse) == ((), 0)
    assert found.hashed_bytes == sum(
        pruner.tree.blob_path(digest).stat().st_size for digest in pruner.blobs()
    )
    assert found.to_json()["ok"] is True
    assert snapshot(pruner.data) == before


def test_every_kind_of_problem_is_found(pruner: Pruner) -> None:
    tree = pruner.tree
    lost = layer("kept", 1000)
    tree.blob_path(digest_of(lost)).unlink()
    tree.layer_path("app", digest_of(KEPT.blobs[-1])).unlink()
    tree.tag_path("app", "moving").unlink()
    tree.link_tag("app", "astray", digest_of(b"nowhere"))
    tree.link_revision("app", digest_of(b"without data"))
    odd = tree.manifest("odd", b"no json", "v1")
    write(tree.layer_path("odd", digest_of(BASE)), GONE.digest.encode())
    write(tree.revision_path("odd", KEPT.digest), GONE.digest.encode())
    write(tree.tag_path("odd", "empty"), b"")
    found = {(problem.kind, problem.repository, problem.digest) for problem in pruner.verify().problems}
    assert found >= {
        ("missing-blob", "app", digest_of(lost)),
        ("missing-link", "app", digest_of(KEPT.blobs[-1])),
        ("dangling-tag", "app", ""),
        ("dangling-tag", "app", digest_of(b"nowhere")),
        ("missing-manifest", "app", digest_of(b"without data")),
        ("damaged-manifest", "odd", odd),
        ("bad-link", "odd", digest_of(BASE)),
        ("bad-link", "odd", KEPT.digest),
        ("damage", "odd", ""),
    }


def test_only_hashing_finds_bytes_that_changed(pruner: Pruner) -> None:
    tree = pruner.tree
    path = tree.blob_path(digest_of(BASE))
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert pruner.verify(digests=False).problems == ()
    (problem,) = pruner.verify().problems
    assert (problem.kind, problem.digest) == ("digest-mismatch", digest_of(BASE))
    text = pruner.verify().text()
    assert "1 problem in" in text and f"digest-mismatch: {ADVICE['digest-mismatch']}" in text
    assert problem.advice == pruner.verify().to_json()["problems"][0]["advice"]


def test_every_kind_of_problem_has_advice() -> None:
    source = Path(str(inspect.getsourcefile(Problem))).read_text()
    assert set(re.findall(r"Problem\(\s*\"([\w-]+)\"", source)) == set(ADVICE)


def test_it_verifies_after_a_run_as_before(pruner: Pruner) -> None:
    pruner.settings = AT_ONCE
    pruner.run()
    assert pruner.verify().problems == ()


# what clients do meanwhile


def test_a_tag_that_a_client_deletes_after_the_look_stops_no_question(
    pruner: Pruner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pruner.tree.scan.ENTERED", 0)
    look = pruner.look()
    shutil.rmtree(pruner.tree.tag_path("app", "kept").parents[1])
    tags = look.tree.repositories["app"].tags
    assert [tag.name for tag in tags.each()] == ["moving"]
    assert usage(look, 0).to_json()["repositories"][0]["tags"] == 2
    explanation = explain(look, [], pruner.settings.trash, KEPT.digest)
    assert "tag app:moving" in explanation.references


def test_usage_reads_no_link(pruner: Pruner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruner.tree.scan.ENTERED", 0)
    look = pruner.look()
    pruner.storage.calls.clear()
    usage(look, 0)
    assert not [path for _operation, path in pruner.storage.calls if path.endswith("/link")]
