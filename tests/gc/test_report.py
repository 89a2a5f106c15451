"""A run's report: counts and bytes, what was kept and why, and a sentence that a person understands."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pruner.inspect.report import Report, format_bytes
from pruner.storage import Entry
from pruner.storage.filesystem import FileSystem
from tests.gc.images import digest_of, image, layer
from tests.gc.inprocess import GRACE, ONLINE, Pruner, kinds

KEPT = image([layer("base"), layer("kept")], "kept")
GONE = image([layer("base"), layer("gone", 5000)], "gone")


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    """Something of every kind: two repositories, uploads, temporaries, damage, a dangling tag."""
    pruner = Pruner(tmp_path, ONLINE)
    tree = pruner.tree
    tree.push("app", KEPT, "kept")
    tree.push("app", GONE)
    tree.push("team/app", GONE, "moving")
    tree.push("team/app", KEPT, "moving")
    tree.upload("app", "abandoned", b"x" * 300)
    (tree.repository("app") / "_manifests/revisions" / KEPT.digest.replace(":", "/") / "signatures/a").mkdir(
        parents=True
    )
    (tree.top / "repositories/empty/folder").mkdir(parents=True)
    tree.push("gone", GONE)
    tree.manifest("odd", b"no json")
    tree.link_tag("astray", "v1", KEPT.digest, current=False)
    (tree.blob_path(KEPT.digest).parent / "data.tmp").write_bytes(b"y" * 40)
    pruner.old()
    tree.upload("app", "going-on", b"z" * 10)
    tree.push("app", image([layer("young")], "young"))
    for path in tree.top.rglob("*"):
        if path.lstat().st_mtime > pruner.clock.now():
            os.utime(path, (pruner.clock.now() - 60, pruner.clock.now() - 60))
    return pruner


def test_a_run_reports_what_its_plan_said(pruner: Pruner) -> None:
    plan, run = pruner.plan(), pruner.run()
    assert set(plan.removals) == set(run.removals)
    assert plan.to_json()["removals"] == run.to_json()["removals"]
    assert (plan.executed, run.executed) == (False, True)
    assert plan.sentence().startswith("would remove") and run.sentence().startswith("removed")
    assert plan.sentence().removeprefix("would remove") == run.sentence().removeprefix("removed")


def test_counts_and_bytes_are_those_of_the_disk(pruner: Pruner) -> None:
    before = {path: path.stat().st_size for path in pruner.tree.top.rglob("*") if path.is_file()}
    report = pruner.run()
    freed = sum(size for path, size in before.items() if not path.exists() and path.name != "link")
    summary = report.summary()
    assert summary["removable_bytes"] == freed == sum(removal.bytes for removal in report.removals)
    assert summary["by_kind"]["blob"] == {"count": 3, "bytes": len(GONE.content) + 5000 + len(GONE.blobs[-1])}
    assert summary["by_kind"]["upload"] == {"count": 1, "bytes": 300}
    assert summary["by_kind"]["temporary"] == {"count": 1, "bytes": 40}
    assert summary["removable_blobs"] == 3
    assert summary["purged_blobs"] == 3
    assert set(kinds(report)) >= {
        "index-link",
        "revision",
        "layer-link",
        "signatures",
        "folder",
        "repository",
    }


def test_what_was_kept_for_safety_says_why(pruner: Pruner) -> None:
    summary = pruner.run().summary()
    assert summary["kept"]["younger than the grace"] >= 1
    assert summary["kept"]["an upload that may go on"] == 1
    assert list(summary["skipped"]) == ["odd"]
    assert "not JSON" in summary["skipped"]["odd"]
    assert summary["dangling_tags"] == ["astray:v1"]


def test_phases_take_the_time_of_the_run(pruner: Pruner) -> None:
    report = pruner.run()
    phases = report.summary()["phases"]
    assert phases["wait the grace"] == pytest.approx(GRACE)
    assert {"hold links", "second look", "quarantine", "third look", "purge"} <= set(phases)
    assert report.summary()["seconds"] == pytest.approx(sum(phases.values()), abs=1)


def test_the_sentence_and_the_text(pruner: Pruner) -> None:
    report = pruner.run()
    assert report.sentence().startswith("removed 3 blobs, ")
    assert "1 abandoned upload" in report.sentence()
    assert report.sentence().endswith("; 1 repository skipped: odd")
    lines = report.text().splitlines()
    assert lines[0].startswith("Removed 3 blobs") and lines[0].endswith(".")
    assert any(line.startswith("Skipped odd: ") for line in lines)
    assert "Dangling tag: astray:v1" in lines
    assert any(line.startswith("Time: 1") and "wait the grace 10m" in line for line in lines)


def test_nothing_to_do_is_a_sentence_too(pruner: Pruner) -> None:
    pruner.run()
    report: Report = pruner.run()
    assert report.removals == ()
    assert report.sentence() == "nothing to remove in 4 repositories; 1 repository skipped: odd"


def test_json_has_what_machines_are_promised(pruner: Pruner) -> None:
    data = json.loads(json.dumps(pruner.run().to_json()))
    assert set(data) == {"removals", "summary"}
    for removal in data["removals"]:
        assert {"kind", "repository", "digest", "path", "bytes", "reason"} <= set(removal)
        assert removal["path"].startswith(str(pruner.data.resolve()))
    assert {"repositories", "manifests", "blobs", "removable_blobs", "removable_bytes", "seconds"} <= set(
        data["summary"]
    )
    assert digest_of(layer("gone", 5000)) in {removal["digest"] for removal in data["removals"]}


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (5 << 20, "5.0 MiB"),
        (1 << 40, "1.0 TiB"),
        (5000 << 40, "5000.0 TiB"),
    ],
)
def test_bytes_in_words(count: int, text: str) -> None:
    assert format_bytes(count) == text


def test_a_plan_is_in_order_whatever_the_order_in_which_folders_are_listed(
    pruner: Pruner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        pruner.tree.push("many", image([layer(f"{number}")], f"{number}"))
    for number in range(5):
        pruner.tree.push("many", image([layer(f"{number}")], f"{number}"), "moving")
    pruner.old()
    forth = [removal.path for removal in pruner.plan().removals], pruner.verify()
    folders = FileSystem.folders

    def backwards(self: FileSystem, path: str) -> tuple[list[str], list[Entry]]:
        names, others = folders(self, path)
        return names[::-1], others

    monkeypatch.setattr(FileSystem, "folders", backwards)
    back = [removal.path for removal in pruner.plan().removals], pruner.verify()
    assert back == forth
    assert len([path for path in forth[0] if "/many/_manifests/tags/moving/index/" in path]) == 4
    layers = [path for path in forth[0] if "/many/_layers/" in path]
    assert layers == sorted(layers)
    assert len(layers) == 38
