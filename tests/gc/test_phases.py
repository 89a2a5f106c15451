"""What a run does around its phases: what was interrupted, and the read-only window."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from pruner.errors import Refused
from pruner.sweep import place
from pruner.sweep import run as pruning
from tests.gc.images import image, layer
from tests.gc.inprocess import GRACE, ONLINE, STATE, Pruner, kinds
from tests.gc.storagedoubles import Killed

KEPT = image([layer("kept")], "kept")
GONE = image([layer("gone")], "gone")


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    pruner = Pruner(tmp_path, ONLINE)
    pruner.tree.push("app", KEPT, "kept")
    pruner.tree.push("app", GONE)
    pruner.old()
    return pruner


def as_version_0_1_wrote_it(journal: Path) -> None:
    """Without kind, repository and tag."""
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    known = ("run", "hold", "path", "digest", "mtime", "phase")
    kept = [{key: value for key, value in line.items() if key in known} for line in lines]
    assert kept != lines
    journal.write_text("".join(json.dumps(line) + "\n" for line in kept))


@pytest.mark.parametrize("former", [False, True], ids=["of this version", "of version 0.1"])
def test_a_plan_after_a_killed_run_is_what_the_next_run_does(pruner: Pruner, former: bool) -> None:
    pruner.tree.push("app", GONE, "kept")
    pruner.tree.push("app", KEPT, "kept")  # a tag with a history
    pruner.old()
    before = pruner.plan()
    assert set(kinds(before)) == {"index-link", "revision", "layer-link", "blob"}

    def kill(_seconds: float) -> None:
        raise Killed

    pruner.clock.while_asleep = kill
    with pytest.raises(Killed):
        pruner.run()
    pruner.clock.while_asleep = lambda _seconds: None
    if former:
        as_version_0_1_wrote_it(pruner.data / STATE / "current/journal")
    plan = pruner.plan()
    assert {removal.path for removal in plan.removals} == {removal.path for removal in before.removals}
    assert [(r.kind, r.repository, r.tag) for r in plan.removals if r.kind != "folder"] == [
        (r.kind, r.repository, r.tag) for r in before.removals if r.kind != "folder"
    ]
    assert any("interrupted" in note for note in plan.notes)
    assert pruner.look().plan.removals == plan.removals
    assert pruner.run().removals == plan.removals


@dataclass
class Window:
    """A read-only window that only counts."""

    note: str | None = None
    opened: int = 0
    grace_inside: list[float] = field(default_factory=list[float])

    @contextmanager
    def open(self) -> Generator[str | None]:
        self.opened += 1
        yield self.note

    def recover(self) -> bool:
        return False


def run_readonly(pruner: Pruner, window: Window, **settings: Any) -> pruning.Outcome:
    pruner.settings = replace(pruner.settings, mode="readonly", **settings)
    return pruning.run(replace(pruner.place(), window=cast(place.Window, window)))


def test_a_window_is_opened_once_for_a_run_with_work_and_needs_no_grace(pruner: Pruner) -> None:
    window = Window()
    start = pruner.clock.steady
    run_readonly(pruner, window)
    assert (window.opened, pruner.clock.steady - start) == (1, 0)
    assert not pruner.has_blob(GONE.digest)


def test_a_run_without_work_does_not_make_the_registry_read_only(pruner: Pruner) -> None:
    window = Window()
    run_readonly(pruner, window)
    run_readonly(pruner, window)
    assert window.opened == 1


def test_a_refused_run_does_not_make_the_registry_read_only(pruner: Pruner) -> None:
    pruner.tree.tag_path("app", "kept").unlink()
    (pruner.tree.tag_index_path("app", "kept", KEPT.digest)).unlink()
    for folder in sorted((pruner.tree.repository("app") / "_manifests/tags").rglob("*"), reverse=True):
        folder.rmdir()
    window = Window()
    with pytest.raises(Refused):
        run_readonly(pruner, window)
    assert window.opened == 0


def test_a_window_that_cannot_be_verified_waits_the_grace(pruner: Pruner) -> None:
    start = pruner.clock.steady
    report = run_readonly(pruner, Window(note="a login is demanded"))
    assert pruner.clock.steady - start >= GRACE
    assert any("grace" in note for note in report.notes)
