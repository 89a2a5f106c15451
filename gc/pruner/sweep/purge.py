"""`prune trash purge` and `expire`: destroy what is in the trash, unless a look wants it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pruner.clock import RunTime
from pruner.decide.taken import Trashed, is_due
from pruner.sweep import current, trash
from pruner.sweep.place import Place


@dataclass(frozen=True, slots=True)
class Purged:
    """What was destroyed, or would be: `blobs`. What something needs again is `put_back`, and what an
    interrupted run left a moment ago must be `waiting`, as a request may still link it."""

    blobs: list[Trashed] = field(default_factory=list[Trashed])
    put_back: list[Trashed] = field(default_factory=list[Trashed])
    waiting: list[Trashed] = field(default_factory=list[Trashed])


def purge(place: Place, *, dry_run: bool = False) -> Purged:
    """Destroy all that is in the trash, whatever its age; with `dry_run` say what that would be."""
    return _purge(place, 0.0, dry_run=dry_run)


def expire(place: Place, *, dry_run: bool = False) -> Purged:
    """Destroy what has been in the trash for its time."""
    return _purge(place, place.settings.trash, dry_run=dry_run)


def _purge(place: Place, keep: float, *, dry_run: bool) -> Purged:
    if dry_run:
        return _look_and_purge(place, place.time(), keep, dry_run=True)
    consequence = "what was destroyed is gone, and the rest of the trash is as it was"
    with place.changing_trash(consequence) as time:
        return _look_and_purge(place, time, keep, dry_run=False)


def _look_and_purge(place: Place, time: RunTime, keep: float, *, dry_run: bool) -> Purged:
    purged = Purged()
    batches = trash.batches(place.storage)
    if not batches:
        return purged
    look = place.look_at_tree(time)
    for batch in batches:
        blobs = list(current.blobs_of(place.storage, batch))
        if not is_due(current.since_of(batch), look.rules.now, keep):
            if not keep:
                purged.waiting.extend(blobs)
            continue
        for blob in blobs:
            if blob.digest not in look.marks.blobs:
                purged.blobs.append(blob)
            else:
                purged.put_back.append(blob)
                if not dry_run:
                    current.put_back_blob(place.storage, blob)
        if not dry_run:
            current.destroy(place.storage, batch)
    return purged
