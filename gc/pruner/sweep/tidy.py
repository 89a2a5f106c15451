"""What a run clears away beside links and blobs: leftovers of the registry's, and folders that are empty.

Nothing here can be undone, and nothing needs to be: no client can reach it, and a folder goes only when the
operating system finds it empty.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import compress

from pruner.decide.plan import LEFTOVERS, Plan, Removal
from pruner.storage import Storage
from pruner.sweep import state
from pruner.tree import layout
from pruner.tree.model import Leftover


def remove_leftovers(storage: Storage, plan: Plan) -> list[Removal]:
    """Remove the leftovers that the plan names; the removals that were carried out. Raises OSError."""
    return [
        removal
        for removal in plan.of(*LEFTOVERS)
        if removal.leftover is not None and _remove_leftover(storage, removal.leftover)
    ]


def _remove_leftover(storage: Storage, leftover: Leftover) -> bool:
    """Remove what was left behind; False when somebody came back to it."""
    for path in leftover.files:
        try:
            if storage.stat(path).mtime > leftover.mtime:
                return False
        except FileNotFoundError:
            continue
    for path in leftover.files:
        try:
            storage.remove(path)
        except FileNotFoundError:
            continue
    removed = [storage.remove_folder(path) for path in leftover.folders]
    return all(removed)


def remove_folders(storage: Storage, removed: Iterable[Removal], plan: Plan) -> list[Removal]:
    """Remove the folders of what was `removed`, upwards while they are empty, then those the plan names.

    Returns the removals of the plan that were carried out. Raises OSError.
    """
    if storage.has_folders:
        _remove_empty_above(storage, (removal.path for removal in removed))
    done: list[Removal] = []
    for removal in plan.of("folder"):
        if _remove_empty(storage, removal.path):
            done.append(removal)
            _remove_empty_above(storage, (removal.path,))
    for removal in plan.of("repository"):
        for name in state.list_or_empty(storage, removal.path):
            if name.startswith("_"):
                _remove_empty(storage, f"{removal.path}/{name}")
        if not any(name.startswith("_") for name in state.list_or_empty(storage, removal.path)):
            done.append(removal)
            storage.remove_folder(removal.path)  # stays when another repository lies below it
            _remove_empty_above(storage, (removal.path,))
    return done


def _remove_empty(storage: Storage, path: str) -> bool:
    try:
        entries = storage.list(path)
    except FileNotFoundError:
        return False
    for entry in entries:
        if entry.kind == "folder":
            _remove_empty(storage, f"{path}/{entry.name}")
    return storage.remove_folder(path)


def _remove_empty_above(storage: Storage, paths: Iterable[str]) -> None:
    """Remove the folders above what is gone, level by level: one that many lay in is tried once, at last."""
    gone: list[str] = list(paths)
    while gone:
        above = dict.fromkeys(path.rpartition("/")[0] for path in gone)
        made = list(filter(layout.is_made_for_what_is_below, above))
        gone = list(compress(made, storage.remove_folders(made)))
