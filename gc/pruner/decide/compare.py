"""What a look says about what is away, and what two looks of a run say together. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pruner.decide.look import Look
from pruner.decide.plan import Removal
from pruner.tree import layout


def misses(look: Look, removal: Removal) -> bool:
    """Whether something live needs the link to a layer or a manifest that was removed, and it is away."""
    marks = look.marks.repositories.get(removal.repository)
    if marks is None:
        return False
    repository = look.tree.repositories[removal.repository]
    if removal.kind == "revision":
        return removal.digest in marks.revisions and removal.digest not in repository.revisions
    if removal.kind == "layer-link":
        return removal.digest in marks.needed_layers and removal.digest not in repository.layers
    return False


def pushed_and_deleted(first: Look, later: Look, emptied: Mapping[str, float]) -> frozenset[str]:
    """Manifests that a client pushed and deleted again between the two looks.

    A registry with a cache in memory still knows them and would not store their bytes when they come once
    more. All that is left of them in the tree is that their folder has changed. `emptied` are the folders
    that the run emptied itself, with their mtimes right after that.
    """
    known = {**_empty_folders(first), **emptied}
    return frozenset(
        digest
        for path, mtime in _empty_folders(later).items()
        if known.get(path) != mtime and (digest := layout.revision_of_folder(path)) is not None
    )


def _empty_folders(look: Look) -> dict[str, float]:
    repositories = look.tree.repositories.values()
    return {folder.path: folder.mtime for repository in repositories for folder in repository.empty_folders}
