"""One run or one plan, from the storage to what came of it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pruner.clock import Clock, RunTime
from pruner.decide.fuses import check_plan, check_storage
from pruner.decide.look import AskCluster, Look, Observer
from pruner.decide.plan import LINKS, Plan, Removal
from pruner.decide.taken import Trashed
from pruner.delays import TOLERANCE
from pruner.errors import Refused
from pruner.registry import readonly
from pruner.registry.caches import forget_redis
from pruner.registry.config import RegistryConfig
from pruner.registry.process import RunningRegistry
from pruner.settings.durations import format_duration
from pruner.settings.table import Settings
from pruner.storage import Storage, read_errors
from pruner.sweep import state, trash
from pruner.sweep.execute import Execution, execute
from pruner.tree.library import Library
from pruner.tree.model import Tree
from pruner.tree.scan import Progress

EMPTY = Plan((), {}, {}, ())


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
class Outcome:
    """What `plan` would do now, or what `run` did: then `done` says how. `seconds` is how long it took.

    `last` is the last look that was taken, None where there was nothing to look at.
    """

    root: str
    tree: Tree
    plan: Plan
    seconds: float
    notes: tuple[str, ...] = ()
    done: Execution | None = None
    last: Look | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Everything a command works with, made once at the edge and passed in.

    `given` is the root directory as the configuration writes it. `ask_cluster` is None when the images that
    the cluster runs are not to be protected.
    """

    storage: Storage
    given: str
    config: RegistryConfig
    settings: Settings
    clock: Clock
    registry: RunningRegistry
    window: Window
    ask_cluster: AskCluster | None
    progress: Progress

    def observer(self, time: RunTime, library: Library) -> Observer:
        """Takes looks at the storage in one run."""
        grace = 0.0 if self.settings.mode == "readonly" else self.settings.grace
        return Observer(self.storage, self.settings, grace, library, time, self.ask_cluster, self.progress)

    def look(self) -> Look | None:
        """A single look, for the commands that only read; None for an empty storage."""
        if not check_storage(self.storage, self.given, self.config, self.settings):
            return None
        observer = self.observer(RunTime(self.clock), Library(self.storage))
        with read_errors(self.storage):
            links, decided = trash.held_links(self.storage, trash.CURRENT)
            trashed = tuple(trash.listing(self.storage))
        if not links:
            return observer.look(trashed=trashed)
        interrupted = () if decided else tuple(trash.removal_of(link) for link in links)
        look = observer.look(interrupted=interrupted, trashed=trashed)
        warning = "a run is at work or was interrupted: the links it holds are shown in their places"
        return replace(look, warnings=(*look.warnings, warning))


def plan(place: Place) -> Outcome:
    """What `run` would remove now; changes nothing.

    Raises as `run` does, but for a fuse that refuses the plan itself: that becomes a note.
    """
    time = RunTime(place.clock)
    look = place.look()
    if look is None:
        return _nothing(place, time, executed=False)
    notes = list(look.warnings)
    try:
        check_plan(look.tree, look.plan, place.settings)
    except Refused as refusal:
        # The refusal tells people to look at the plan, so it must be there to be looked at.
        notes.append(f"run would refuse: {refusal}")
    return Outcome(place.storage.root, look.tree, look.plan, time.elapsed, tuple(notes), last=look)


def run(place: Place) -> Outcome:
    """Prune once. Raises a PrunerError of which the exit code tells the kind, or Stopped."""
    time = RunTime(place.clock)
    if not check_storage(place.storage, place.given, place.config, place.settings):
        return _nothing(place, time, executed=True)
    with state.locked(place.storage):
        notes: list[str] = []
        with state.write_errors(place.storage):
            time = RunTime(place.clock, _skew(place, notes))
            state.reserve(place.storage)
            recovered = state.recover(place.storage, time.now())
        if recovered:
            notes.append(recovered)
        if place.window.recover():
            notes.append("the registry was read-only from an interrupted run, and takes pushes again")
        library = Library(place.storage)
        observer = place.observer(time, library)
        look = observer.look(trashed=_trashed(place))
        check_plan(look.tree, look.plan, place.settings)
        looked = time.elapsed
        if place.settings.mode == "readonly" and look.plan.of(*LINKS, "blob"):
            look, done = _in_window(place, observer, notes)
        else:
            done = execute(look, observer, _Caches(place, is_restarted_later=False))
        done.phases = {"first look": round(looked, 3), **done.phases}
        if place.settings.trash and any(removal.kind == "blob" for removal in done.removed):
            notes.append(
                f"the space of removed blobs is free {format_duration(place.settings.trash)} from now, when "
                "they leave the trash; `prune trash purge` frees it at once"
            )
        said = (*notes, *look.warnings, *done.notes)
        return Outcome(place.storage.root, look.tree, look.plan, time.elapsed, said, done, done.last)


def _in_window(place: Place, observer: Observer, notes: list[str]) -> tuple[Look, Execution]:
    """Look and execute while the registry takes no pushes; with the grace where that is not certain."""
    with place.window.open() as unverified:
        if unverified:
            notes.append(f"{unverified}: so the run waited the grace as well")
            observer = replace(observer, grace=place.settings.grace)
        look = observer.look(trashed=_trashed(place))
        check_plan(look.tree, look.plan, place.settings)
        return look, execute(look, observer, _Caches(place, is_restarted_later=not unverified))


def _skew(place: Place, notes: list[str]) -> float:
    """How far the clock that stamps the files is ahead of ours, in seconds; told when it matters."""
    skew = place.storage.stat(state.LOCK).mtime - place.clock.now()
    if abs(skew) < TOLERANCE:
        return 0.0
    notes.append(f"the storage's clock differs from this machine's by {skew:+.0f} s: the storage's is used")
    return skew


def _trashed(place: Place) -> tuple[Trashed, ...]:
    with read_errors(place.storage):
        return tuple(trash.listing(place.storage))


def _nothing(place: Place, time: RunTime, *, executed: bool) -> Outcome:
    note = f"{place.given} has no registry's tree yet: there is nothing to prune"
    done = Execution() if executed else None
    return Outcome(place.storage.root, Tree(), EMPTY, time.elapsed, (note,), done)


class _Caches:
    """Makes the registry forget what is removed, whichever way it remembers descriptors.

    No cache needs nothing. A cache in memory cannot be reached from outside, so the registry is restarted in
    place. From redis the keys are deleted.
    """

    def __init__(self, place: Place, *, is_restarted_later: bool) -> None:
        self.place = place
        self.is_restarted_later = is_restarted_later

    def flush(self, links: tuple[Removal, ...], blobs: tuple[Removal, ...]) -> str:
        config = self.place.config
        if config.redis is not None:
            self.forget(links, blobs)
            return ""
        # At the end of a read-only window the registry is restarted anyway, and takes no pushes until then.
        if config.cache != "inmemory" or self.is_restarted_later:
            return ""
        if not blobs and all(removal.kind in ("tag", "index-link") for removal in links):
            return ""  # the cache knows nothing of tags
        if not self.place.registry.present(config):
            return "no registry is running, so no cache had to be flushed"
        self.place.registry.restart(config)
        return "the registry was restarted in place, since its descriptor cache is in memory"

    def forget(self, links: tuple[Removal, ...], blobs: tuple[Removal, ...]) -> None:
        config = self.place.config
        if config.redis is not None:
            keys = [(removal.repository, removal.digest) for removal in links if removal.digest]
            forget_redis(config.redis, [*keys, *((None, blob.digest) for blob in blobs)])
