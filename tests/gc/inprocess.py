"""The pruner in this process, on a tree in a folder and on a clock that only the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from pruner.clock import Clock
from pruner.decide.look import AskCluster, Look
from pruner.inspect.report import Report
from pruner.inspect.verify import Verification, verify
from pruner.registry import config as registry_config
from pruner.registry.registries import Registries
from pruner.settings.table import Settings
from pruner.storage import Storage
from pruner.sweep import run as pruning
from pruner.sweep.place import Place, Window
from pruner.tree.library import Library
from pruner.tree.scan import scan_whole
from tests.gc.storagedoubles import ClockedFileSystem, FakeClock, Interposed
from tests.gc.treebuilder import Entry, TreeBuilder, snapshot, stamp

STATE = "docker/registry/v2/pruner"
OLD = 30 * 86400.0  # seconds: older than any delay here
GRACE = 600.0
AT_ONCE = Settings(grace=0, untagged_after=0, uploads_after=0, trash=0, max_fraction=1)
"""Removes for good, in one run, whatever nothing refers to."""
ONLINE = Settings(grace=GRACE, untagged_after=3600, uploads_after=3600, trash=0, max_fraction=1)


def place_of(folder: Path, config: Path, storage: Storage, settings: Settings, clock: Clock) -> Place:
    """What a command works with where no registry runs and no cluster is asked."""
    loaded = registry_config.load(str(config), {})
    registry = Registries(clock, proc=str(folder / "proc"))
    window = Window(loaded.path, {}, registry)
    return Place(
        storage, loaded.root, loaded, settings, clock, registry, window, None, lambda _phase, _count: None
    )


@dataclass(slots=True)
class Pruner:
    """Prunes below `folder`/data, where no registry runs; `ask` stands for the cluster.

    `repositories` are globs of those that its plans and runs are about (none: all).
    """

    folder: Path
    settings: Settings = AT_ONCE
    clock: FakeClock = field(default_factory=FakeClock)
    ask: AskCluster | None = None
    repositories: tuple[str, ...] = ()
    files: ClockedFileSystem = field(init=False)
    storage: Interposed = field(init=False)
    config: Path = field(init=False)

    def __post_init__(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        self.config = self.folder / "pruner.yml"
        self.config.write_text(yaml.safe_dump(self.configuration()))
        (self.folder / "proc").mkdir(exist_ok=True)
        self.files = ClockedFileSystem(str(self.data), self.clock)
        self.storage = Interposed(self.files)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def tree(self) -> TreeBuilder:
        return TreeBuilder(self.data)

    def configuration(self) -> dict[str, Any]:
        return {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(self.data)}},
            "http": {"addr": ":5000"},
        }

    def place(self, storage: Storage | None = None) -> Place:
        storage = storage or self.storage
        place = place_of(self.folder, self.config, storage, self.settings, self.clock)
        return replace(place, ask_cluster=self.ask, repositories=self.repositories)

    def old(self, seconds: float = OLD) -> None:
        """Give everything in the tree an age."""
        stamp(self.data, self.clock.now() - seconds)

    def run(self, **settings: Any) -> Report:
        """One run, with these settings from now on."""
        self.settings = replace(self.settings, **settings)
        return Report.of(pruning.run(self.place()))

    def run_as_planned(self, **settings: Any) -> Report:
        """One run on a tree that nobody else works on: it must do exactly what its plan said."""
        before = snapshot(self.data)
        plan = self.plan(**settings)
        assert snapshot(self.data) == before, "a plan changes nothing"
        report = self.run(**settings)
        assert report.removals == plan.removals
        return report

    def plan(self, **settings: Any) -> Report:
        self.settings = replace(self.settings, **settings)
        return Report.of(pruning.plan(self.place()))

    def look(self, **settings: Any) -> Look:
        self.settings = replace(self.settings, **settings)
        look = self.place().look()
        assert look is not None
        return look

    def verify(self, *, digests: bool = True) -> Verification:
        tree = scan_whole(self.files, self.clock)
        return verify(
            tree,
            self.files,
            Library(self.files),
            digests=digests,
            progress=lambda _phase, _count, _total=0: None,
        )

    def snapshot(self) -> dict[str, Entry]:
        """What lies in the tree, without the pruner's own folder."""
        return snapshot(self.data, without=(STATE,))

    def blobs(self) -> set[str]:
        """The digests of all blobs in the tree."""
        return set(scan_whole(self.files, self.clock).blobs)

    def has_blob(self, digest: str) -> bool:
        return self.tree.blob_path(digest).exists()

    def links(self) -> set[str]:
        """Every link file in the tree."""
        return {path for path in self.snapshot() if path.endswith("/link")}


def kinds(report: Report) -> dict[str, int]:
    """How many removals there are of each kind."""
    return {kind: numbers["count"] for kind, numbers in report.summary()["by_kind"].items()}
