"""`run --repository`: what is removed is of those repositories, and whatever others need stays."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pruner.errors import Refused
from pruner.observe import record
from pruner.settings.policies import parse_policies
from tests.gc import reference
from tests.gc.images import digest_of, image, layer
from tests.gc.inprocess import AT_ONCE, STATE, Pruner, kinds
from tests.gc.prunerprocess import AT_ONCE as OPTIONS
from tests.gc.prunerprocess import PrunerProcess
from tests.gc.randomtree import grow
from tests.gc.treebuilder import age
from tests.gc.twoimages import BASE, GONE, KEPT, blobs_of, fill, is_pruned

MINE, THEIRS = image([BASE, layer("mine")], "mine"), image([BASE, layer("theirs")], "theirs")


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    return Pruner(tmp_path)


def files(pruner: Pruner) -> dict[str, tuple[bytes, float]]:
    return {
        str(path.relative_to(pruner.data)): (path.read_bytes(), path.stat().st_mtime)
        for path in pruner.data.rglob("*")
        if path.is_file() and not str(path.relative_to(pruner.data)).startswith(STATE)
    }


def repository(path: str) -> str:
    return path.removeprefix(f"{reference.BASE}/repositories/").partition("/_")[0]


def outside(found: dict[str, tuple[bytes, float]], covered: set[str]) -> dict[str, tuple[bytes, float]]:
    """All that lies in other repositories than the `covered` ones."""
    return {
        path: held
        for path, held in found.items()
        if "/repositories/" in path and repository(path) not in covered
    }


@pytest.mark.parametrize("part", range(4))
def test_random_trees_lose_nothing_and_a_whole_run_ends_the_same(tmp_path: Path, part: int) -> None:
    scopes = {("a/*",): {"a/one", "a/two"}, ("b",): {"b"}, ("a/one", "c"): {"a/one", "c"}}
    removed: set[str] = set()
    for seed in range(part, 24, 4):
        dice = random.Random(seed)
        pruner = Pruner(tmp_path / str(seed), replace(AT_ONCE, trash=3600))
        grow(pruner.tree, dice)
        pruner.old()
        before = files(pruner)
        must_stay = reference.survivors(before, pruner.clock.now(), 0, 0)
        globs, covered = dice.choice(list(scopes.items()))
        pruner.repositories = globs
        report = pruner.run_as_planned()
        after = files(pruner)
        assert must_stay <= after.keys(), seed
        assert outside(after, covered) == outside(before, covered), seed
        assert report.plan.skipped == {}
        assert {removal.repository for removal in report.removals} <= covered | {""}, seed
        # A blob goes only if nothing that is left names it, here or elsewhere.
        linked = {content.decode() for path, (content, _) in after.items() if path.endswith("/link")}
        gone = {
            "{}:{}".format(*path.split("/")[4:7:2])
            for path in before.keys() - after.keys()
            if "/blobs/" in path
        }
        assert gone.isdisjoint(linked), seed
        assert pruner.verify().problems == (), seed
        assert pruner.run().removals == (), "nothing is left to do in them"
        removed |= set(kinds(report))
        pruner.repositories = ()
        pruner.run()
        assert reference.links_and_blobs(files(pruner)) == must_stay, seed
        shutil.rmtree(pruner.folder)
    assert {"blob", "revision", "layer-link"} <= removed


def test_what_another_repository_still_lists_stays(pruner: Pruner) -> None:
    for name in ("mine", "theirs"):
        pruner.tree.push(name, MINE)  # untagged in both: a whole run would remove all of it
        pruner.tree.push(name, THEIRS, "kept")
    pruner.old()
    pruner.repositories = ("mine",)
    report = pruner.run_as_planned()
    assert kinds(report) == {"revision": 1, "layer-link": 2}
    assert blobs_of(MINE) <= pruner.blobs()
    assert pruner.tree.revision_path("theirs", MINE.digest).exists()
    pruner.repositories = ("theirs",)
    assert kinds(pruner.run_as_planned())["blob"] == 3, "now nobody has it"
    assert pruner.blobs() == blobs_of(THEIRS)


def test_a_blob_of_several_matching_repositories_goes_with_its_last_link(pruner: Pruner) -> None:
    for name in ("team/a", "team/b", "other"):
        pruner.tree.push(name, KEPT, "kept")
    for name in ("team/a", "team/b"):
        pruner.tree.push(name, GONE)
    pruner.old()
    pruner.repositories = ("team/*",)
    report = pruner.run_as_planned()
    blobs = [removal for removal in report.removals if removal.kind == "blob"]
    assert {removal.digest for removal in blobs} == blobs_of(GONE) - blobs_of(KEPT)
    assert {removal.repository for removal in blobs} == {""}
    assert is_pruned(pruner)


def test_all_else_is_left_as_it_is(pruner: Pruner) -> None:
    fill(pruner)
    fill(pruner, "other")
    loose = pruner.tree.blob(b"that nothing referred to before")
    for name in ("app", "other"):
        pruner.tree.upload(name, "00000000-0000-4000-8000-000000000001", b"half a layer")
        pruner.tree.link_tag(name, "dangling", digest_of(b"no manifest"), current=False)
    (pruner.data / "docker/registry/v2/repositories/empty").mkdir()
    pruner.old()
    before = outside(files(pruner), {"app"})
    pruner.repositories = ("app",)
    report = pruner.run_as_planned()
    assert kinds(report) == {"revision": 1, "layer-link": 2, "upload": 1}
    assert outside(files(pruner), {"app"}) == before
    assert pruner.has_blob(loose)
    assert report.plan.dangling == ("app:dangling",)
    assert (report.summary()["repositories"], report.summary()["tags"]) == (1, 2)


def test_nothing_leaves_the_trash(pruner: Pruner) -> None:
    fill(pruner)
    pruner.run(trash=3600.0)
    held = list((pruner.data / STATE / "trash").iterdir())
    pruner.clock.advance(7200)
    pruner.tree.push("other", MINE)
    pruner.tree.push("other", THEIRS, "kept")
    pruner.old()
    pruner.repositories = ("other",)
    assert set(kinds(pruner.run_as_planned())) == {"revision", "layer-link", "blob"}
    assert set(held) < set((pruner.data / STATE / "trash").iterdir())
    pruner.repositories = ()
    assert kinds(pruner.run()) == {"trash": 3}


def test_the_fuse_counts_the_tags_of_these_repositories(pruner: Pruner) -> None:
    for number in range(60):
        pruner.tree.push("few", KEPT, f"v{number}")
    for number in range(200):
        pruner.tree.link_tag("many", f"v{number}", pruner.tree.push("many", KEPT))
    pruner.old()
    policies = parse_policies([{"repositories": "few", "keepLast": 20}])
    settings = {"retention": policies, "max_fraction": 0.5}
    assert kinds(pruner.plan(**settings))["tag"] == 40
    pruner.repositories = ("few",)
    with pytest.raises(Refused, match="40 of 60 tags"):
        pruner.run(**settings)
    pruner.repositories = ()
    assert kinds(pruner.run(**settings))["tag"] == 40, "40 of 260"


def test_a_glob_that_matches_nothing_is_said_and_nothing_is_done(pruner: Pruner) -> None:
    fill(pruner)
    before = pruner.snapshot()
    pruner.repositories = ("ap", "app/*")
    report = pruner.run_as_planned()
    assert report.removals == ()
    assert [note for note in report.notes if "matches" in note] == [
        "no repository matches ap",
        "no repository matches app/*",
    ]
    assert pruner.snapshot() == before


def test_plan_and_run_of_the_command_agree_and_the_record_stays_whole(tmp_path: Path) -> None:
    pruner = Pruner(tmp_path)
    for name in ("team/a", "team/b", "other"):
        pruner.tree.push(name, KEPT, "kept")
        pruner.tree.push(name, image([layer(name)], name))
    age(pruner.data, 86400)
    process = PrunerProcess(pruner.config)
    process.report("run", "--repository", "none", *OPTIONS)
    process.report("plan", "--record", *OPTIONS)
    seen = record.load(pruner.files).snapshot
    assert seen is not None and {each.kind for each in seen.going} >= {"blob", "revision"}
    some = ("--repository", "team/*", *OPTIONS)
    planned = process.report("plan", *some)["removals"]
    assert {each["repository"] for each in planned} == {"team/a", "team/b"}
    assert process.report("run", "--dry-run", *some)["removals"] == planned
    assert process.report("run", *some)["removals"] == planned
    assert process.report("plan", *some)["removals"] == []
    left = process.report("plan", *OPTIONS)["removals"]
    assert {each["repository"] for each in left} == {"other"}
    known = record.load(pruner.files)
    assert known.snapshot == seen, "what it shows is of all repositories"
    assert known.runs[-1].removed["revision"].count == 2
    refused = process.start("plan", "--record", *some)
    _, errors = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert "leave --repository out" in errors
