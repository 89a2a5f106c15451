"""One run or one plan, from the storage to what came of it."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pruner.clock import RunTime
from pruner.decide.fuses import check_plan
from pruner.decide.look import Look, Observer
from pruner.decide.plan import LINKS, Plan
from pruner.decide.removals import Removals
from pruner.errors import Refused, RegistryError
from pruner.settings.durations import format_duration
from pruner.sweep import state
from pruner.sweep.place import Place, skew_notes
from pruner.tree.index import Index
from pruner.tree.library import Library
from pruner.tree.whole import Tree

if TYPE_CHECKING:
    from pruner.sweep.work import Execution

EMPTY = Plan(Removals(), {}, {}, ())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `plan` would do now, or what `run` did: then `done` says how. `seconds` is how long it took.

    `tree` is the part of it that the plan is about. `last` is the last look that was taken, None where there
    was nothing to look at.
    """

    root: str
    tree: Tree
    plan: Plan
    seconds: float
    notes: tuple[str, ...] = ()
    done: Execution | None = None
    last: Look | None = None


def plan(place: Place) -> Outcome:
    """What `run` would remove now; changes nothing.

    Raises as `run` does, but for a fuse that refuses the plan itself: that becomes a note.
    """
    time = place.time()
    look = place.look(time)
    if look is None:
        return _nothing(place, time, executed=False)
    notes = list(look.warnings)
    try:
        check_plan(look, place.settings)
    except Refused as refusal:
        # The refusal tells people to look at the plan, so it must be there to be looked at.
        notes.append(f"run would refuse: {refusal}")
    try:
        notes += _check_registries(place)
    except RegistryError as refusal:
        notes.append(f"run would refuse: {refusal}")
    notes += _unmatched(place, look)
    return Outcome(place.storage.root, look.covered, look.plan, time.elapsed, tuple(notes), last=look)


def run(place: Place) -> Outcome:
    """Prune once. Raises a PrunerError of which the exit code says the kind, or Stopped."""
    if not place.has_tree():
        return _nothing(place, RunTime(place.clock), executed=True)
    with state.locked(place.storage, place.clock) as lock:
        with state.write_errors(place.storage, "the run was not begun"):
            time = place.measured_time()
            state.reserve(place.storage)
            recovered = place.recover(time)
        notes = list(skew_notes(time))
        if recovered:
            notes.append(recovered)
        if place.window.recover():
            notes.append("the registry was read-only from an interrupted run, and takes pushes again")
        notes += [*_check_registries(place), *place.storage.remarks()]
        library = Library(place.storage, Index.read(place.storage))
        observer = place.observer(time, library)
        look = observer.look(trashed=place.trashed())
        check_plan(look, place.settings)
        looked = time.elapsed
        if place.settings.mode == "readonly" and look.plan.removals.has(*LINKS, "blob"):
            look, done = _in_window(place, observer, lock, notes)
        else:
            done = _execute(place, look, observer, lock, is_restarted_later=False)
        if unsaved := library.save(place.storage, look.tree):
            notes.append(unsaved)
        done.phases = {"first look": round(looked, 3), **done.phases}
        if place.settings.trash and any(removal.kind == "blob" for removal in done.removed):
            notes.append(
                f"the space of removed blobs is free {format_duration(place.settings.trash)} from now, when "
                "they leave the trash; `prune trash purge` frees it at once"
            )
        said = (*notes, *look.warnings, *done.notes, *_unmatched(place, look))
        return Outcome(place.storage.root, look.covered, look.plan, time.elapsed, said, done, done.last)


def _in_window(
    place: Place, observer: Observer, lock: state.Lock, notes: list[str]
) -> tuple[Look, Execution]:
    """Look and execute while the registry takes no pushes; with the grace where that is not certain."""
    with place.window.open() as unverified:
        if unverified:
            notes.append(f"{unverified}: so the run waited the grace as well")
            observer = replace(observer, grace=place.settings.grace)
        look = observer.look(trashed=place.trashed())
        check_plan(look, place.settings)
        return look, _execute(place, look, observer, lock, is_restarted_later=not unverified)


def _execute(
    place: Place, look: Look, observer: Observer, lock: state.Lock, *, is_restarted_later: bool
) -> Execution:
    from pruner.sweep.execute import execute  # only here: a plan is to start fast
    from pruner.sweep.flush import RegistryCaches

    return execute(look, observer, RegistryCaches(place, is_restarted_later), lock)


def _check_registries(place: Place) -> list[str]:
    """Raises RegistryError for a registry of this tree that would remember what is removed."""
    vouched = "other-registries" in place.settings.override
    return place.registry.check(place.config, readonly=place.settings.mode == "readonly", doubtful=vouched)


def _unmatched(place: Place, look: Look) -> list[str]:
    """A sentence for each glob of repositories that matches none."""
    names = look.tree.repositories
    return [
        f"no repository matches {glob}"
        for glob in place.repositories
        if not any(fnmatch.fnmatchcase(name, glob) for name in names)
    ]


def _nothing(place: Place, time: RunTime, *, executed: bool) -> Outcome:
    note = f"{place.given} has no registry's tree yet: there is nothing to prune"
    done = None
    if executed:
        from pruner.sweep.work import Execution  # only here, as above

        done = Execution()
    return Outcome(place.storage.root, Tree(), EMPTY, time.elapsed, (note,), done)
