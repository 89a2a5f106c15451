"""What every command works with: the storage, the settings, the clock and the registry beside it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pruner.clock import Clock, RunTime
from pruner.decide.fuses import check_storage
from pruner.decide.look import AskCluster, Look, Observer
from pruner.decide.taken import Trashed
from pruner.delays import SETTLE
from pruner.registry import readonly
from pruner.registry.config import RegistryConfig
from pruner.registry.registries import Registries
from pruner.settings.table import Settings
from pruner.storage import Storage, read_errors
from pruner.sweep import current, state, trash
from pruner.tree.index import Index
from pruner.tree.library import Library
from pruner.tree.reading import Known
from pruner.tree.scan import Progress


@dataclass(frozen=True, slots=True)
class Window:
    """The read-only window of the registry whose configuration lies at `path`."""

    path: str
    environ: Mapping[str, str]
    registry: readonly.Registry

    @contextmanager
    def open(self) -> Generator[str | None]:
        """Read-only while the context lasts; gives what could not be verified, for the report."""
        note = readonly.enter(self.path, self.environ, self.registry)
        try:
            yield note
        finally:
            readonly.leave(self.path, self.environ, self.registry)

    def recover(self) -> bool:
        """Close a window that an earlier pruner left open; whether there was one."""
        return readonly.recover(self.path, self.environ, self.registry)


@dataclass(frozen=True, slots=True)
class Place:
    """Everything a command works with, made once at the edge and passed in.

    `given` is the root directory as the configuration writes it. `ask_cluster` is None when the images that
    the cluster runs are not to be protected. `repositories` are globs of those that a plan or a run is about
    (none: all).
    """

    storage: Storage
    given: str
    config: RegistryConfig
    settings: Settings
    clock: Clock
    registry: Registries
    window: Window
    ask_cluster: AskCluster | None
    progress: Progress
    repositories: tuple[str, ...] = ()

    def has_tree(self) -> bool:
        """Whether there is a tree to prune; raises as check_storage does."""
        return check_storage(self.storage, self.given, self.config, self.settings)

    def observer(self, time: RunTime, library: Library) -> Observer:
        """Takes looks at the storage in one run."""
        grace = 0.0 if self.settings.mode == "readonly" else self.settings.grace
        return Observer(
            self.storage,
            self.settings,
            grace,
            library,
            time,
            self.ask_cluster,
            self.progress,
            self.repositories,
        )

    def trashed(self) -> tuple[Trashed, ...]:
        """What is in the trash now. Raises ReadError."""
        with read_errors(self.storage):
            return tuple(trash.listing(self.storage))

    def time(self) -> RunTime:
        """The time for a command that changes nothing: the storage's, as last measured from this machine."""
        return RunTime(self.clock, state.remembered_skew(self.storage))

    @contextmanager
    def changing_trash(self, consequence: str) -> Generator[RunTime]:
        """What a command that changes the trash does under the lock, also while a run waits its grace.

        Where no run is at work, what an interrupted one left is recovered first. `consequence` says in a
        WriteError what became of the trash. Raises Busy and WriteError.
        """
        with (
            state.locked_beside_a_run(self.storage, self.clock) as alone,
            state.write_errors(self.storage, consequence),
        ):
            time = self.measured_time()
            if alone:
                self.recover(time)
            yield time

    def measured_time(self) -> RunTime:
        """The time for a command that has just taken the lock."""
        return RunTime(self.clock, state.measure_skew(self.storage, self.clock))

    def recover(self, time: RunTime) -> str:
        """Undo or end what an interrupted run left, under the lock; a sentence about it, or empty."""
        return current.recover(self.storage, time.now(), min(self.settings.grace, SETTLE))

    def look(self, time: RunTime | None = None) -> Look | None:
        """A single look, for the commands that only read; None for an empty storage."""
        return self.look_at_tree(time or self.time()) if self.has_tree() else None

    def look_at_tree(self, time: RunTime) -> Look:
        """A look that takes what a run holds, at work or interrupted, to be in place. Raises ReadError."""
        with read_errors(self.storage):
            journal = current.read_journal(self.storage, current.CURRENT)
        held = () if journal.decided else tuple(held.removal for held in journal.held)
        library = Library(self.storage, Index.read(self.storage), saves=False)
        observer = replace(self.observer(time, library), known=Known(keeps=False))
        look = observer.look(interrupted=held, trashed=self.trashed())
        warnings = [*look.warnings, *skew_notes(time)]
        if journal.held:
            warnings.append(
                "a run is at work or was interrupted: the links it holds are shown in their places"
            )
        return replace(look, warnings=tuple(warnings))


def skew_notes(time: RunTime) -> tuple[str, ...]:
    """A sentence for the report when the clocks differ."""
    if not time.skew:
        return ()
    skew = f"{time.skew:+.0f} s"
    return (f"the storage's clock differs from this machine's by {skew}: the storage's is used",)
