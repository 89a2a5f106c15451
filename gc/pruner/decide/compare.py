"""What a look says about what is away, and what two looks of a run say together. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pruner.decide.look import Look
from pruner.tree import layout


def missing_links(look: Look) -> frozenset[str]:
    """Paths of links that something live needs and that are not there."""
    missing: set[str] = set()
    for name, marks in look.marks.repositories.items():
        repository = look.tree.repositories[name]
        path = repository.path
        layers = marks.needed_layers - repository.layers.keys()
        revisions = marks.revisions - repository.revisions.keys()
        missing.update(layout.layer_link(path, digest) for digest in layers)
        missing.update(layout.revision_link(path, digest) for digest in revisions)
    return frozenset(missing)


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
