"""What `make bench` measures with: trees of the shape it says, a floor that finds what it should, a page."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import contenders, page, plot, rounds, trees
from benchmarks.contenders import FLOOR, ROOT
from benchmarks.latency import Answers, Felt, percentile
from benchmarks.measured import Measured, measure
from benchmarks.rounds import Result
from tests.gc.prunerprocess import PrunerProcess
from tests.gc.treebuilder import TREE

SHAPE = trees.Shape(repositories=3, tags=4, untagged=2, layers=3, shared=5, orphans=17)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    trees.build(str(tmp_path / "data"), SHAPE)
    return contenders.configuration(tmp_path, tmp_path / "data")


def test_the_tree_is_of_the_shape_and_the_floor_finds_what_the_plan_does(
    config: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    assert len(list((data / TREE / "blobs").glob("*/*/*/data"))) == SHAPE.blobs
    floor = json.loads(subprocess.check_output([sys.executable, ROOT / "benchmarks/floor.py", str(data)]))
    summary = PrunerProcess(config).report("plan", "--summary")["summary"]
    kinds = {kind: numbers["count"] for kind, numbers in summary["by_kind"].items()}
    assert (summary["manifests"], summary["blobs"]) == (SHAPE.manifests, SHAPE.blobs)
    assert floor == {
        "links": kinds["revision"] + kinds["layer-link"],
        "blobs": SHAPE.unused,
        "bytes": summary["removable_bytes"],
    }
    assert kinds["blob"] == SHAPE.unused


def test_the_shape_of_the_issue() -> None:
    shape = trees.Shape()
    assert (shape.manifests, shape.blobs, shape.unused) == (10_000, 90_050, 34_000)
    assert (shape.times(10).manifests, shape.times(10).blobs) == (100_000, 900_500)


def test_a_run_that_remembers_removes_nothing(config: Path, tmp_path: Path) -> None:
    before = {path for path in (tmp_path / "data").rglob("*") if "/pruner" not in str(path)}
    time.sleep(2.1)  # until the times of what was just written tell something
    rounds.remember(config)
    assert {path for path in (tmp_path / "data").rglob("*") if "/pruner" not in str(path)} == before
    assert (tmp_path / "data" / rounds.INDEX).stat().st_size > 500


def test_a_process_is_measured_with_its_memory_and_without_ours() -> None:
    held = bytearray(200 << 20)  # that of the one who measures does not count
    words = "import time; held = bytearray(60 << 20); sum(range(3_000_000)); time.sleep(0.2)"
    one = measure([sys.executable, "-c", words])
    assert one.seconds >= 0.2
    assert 0.02 < one.processor < one.seconds
    assert 60 <= one.mebibytes < 150
    assert len(held)
    with pytest.raises(RuntimeError, match="ended with 3: what went wrong"):
        measure(["sh", "-c", "echo what went wrong >&2; exit 3"])


def result(name: str, seconds: Sequence[float], left: int = 0) -> Result:
    return Result(name, tuple(Measured(each, each / 2, 10 * each) for each in seconds), left)


def test_the_page_has_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(page, "PLOT", tmp_path / "plot.svg")
    plans = [
        result("garbage-collect --dry-run 2.8.2", (7, 6, 9)),
        result("prune plan --summary, cold", (0.5, 0.7, 0.1)),
        result(FLOOR, (0.25,)),
    ]
    runs = [result("garbage-collect 2.8.2", (3,), 900), result("prune run", (1.5,), 12_345)]
    quiet, busy = (0.002,) * 98 + (0.01, 0.01), (0.003,) * 98 + (0.015, 0.015)
    before, beside = Answers(list(quiet), list(quiet)), Answers(list(busy), list(quiet))
    felt = {"2.8.2": [Felt("a run", before, beside)]}
    setting = page.Setting(SHAPE, 2000, 3, tmp_path, 4.4, 1.7, "nothing else", (0.5, 1.5))
    page.write(setting, plans, runs, felt)
    text = page.PAGE.read_text()
    for row in (
        "| `garbage-collect --dry-run 2.8.2` | 7.00 | 6.00, 9.00 | 1.0 | 3.50 | 1.0 | 90 MiB |",
        "| `prune plan --summary, cold` | 0.50 | 0.10, 0.70 | 14.0 | 0.25 | 14.0 | 7 MiB |",
        f"| {FLOOR} | 0.25 | 0.25, 0.25 | 28.0 | 0.12 | 28.0 | 2 MiB |",
        "| `prune run` | 1.50 | 1.50, 1.50 | 2.0 | 0.75 | 2.0 | 15 MiB | 12,345 |",
        "| 2.8.2, a run | pulls | 200 | 2.0 | 3.0 | +50 % | 10.0 | 15.0 | +50 % |",
        "| 2.8.2, a run | pushes | 200 | 2.0 | 2.0 | +0 % | 10.0 | 10.0 | +0 % |",
        "| beside it | nothing else; load 0.5 before, 1.5 after |",
    ):
        assert row in text.splitlines(), row
    assert percentile(quiet, 50) == 0.002
    assert max(map(len, [line for line in text.splitlines() if not line.startswith(("|", "!"))])) < 120
    drawn = ElementTree.parse(page.PLOT).getroot()
    rects = drawn.iter("{http://www.w3.org/2000/svg}rect")
    widths = {rect.get("class", ""): float(rect.get("width", "0")) for rect in list(rects)[:3]}
    assert widths["theirs"] / widths["ours"] == pytest.approx(14, rel=0.01)
    assert widths["theirs"] / widths["floor"] == pytest.approx(28, rel=0.01)


def test_the_plot_reads_on_light_and_on_dark() -> None:
    text = plot.draw([plot.Panel("A < B", [plot.Bar("a & b", 2.0, "ours")])], "s")
    assert "prefers-color-scheme: dark" in text
    words = ["".join(each.itertext()) for each in ElementTree.fromstring(text) if each.tag.endswith("text")]
    assert words == ["A < B", "a & b", "2.00 s"]
