"""What is in the trash: batches of what runs took away, each readable as pruner.sweep.current says.

A blob that is uploaded again in the meantime wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pruner.decide.taken import Trashed
from pruner.storage import Storage
from pruner.sweep import current
from pruner.sweep.journal import Held

Kind = Literal["tag", "manifest", "layer", "blob"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that can be restored.

    A tag has its repository, its name, the digest it named and no bytes. A blob is a manifest, a layer, or
    just a blob when no link of its batch says; `repositories` are those whose links to it went with it.
    `since` is when it was removed and `goes` when it may be destroyed, in seconds since the epoch; None as
    long as a run at work holds it.
    """

    kind: Kind
    repositories: tuple[str, ...]
    tag: str
    digest: str
    bytes: int
    since: float | None
    goes: float | None


def batches(storage: Storage) -> list[str]:
    """Paths of the batches, oldest first."""
    try:
        entries = storage.list(current.TRASH)
    except FileNotFoundError:
        return []
    return [f"{current.TRASH}/{entry.name}" for entry in entries if entry.kind == "folder"]


def listing(storage: Storage) -> list[Trashed]:
    """Every blob in the trash, oldest batch first."""
    return blobs_in(storage, batches(storage))


def blobs_in(storage: Storage, folders: Iterable[str]) -> list[Trashed]:
    """Every blob in those batches."""
    return [blob for batch in folders for blob in current.blobs_of(storage, batch)]


def entries(storage: Storage, keep: float, skew: float = 0.0) -> list[Entry]:
    """Every tag and blob in the trash, oldest batch first, then what a run at work holds.

    `keep` is how long things stay in the trash, in seconds, and `skew` how far the storage's clock is ahead
    of this machine's, in whose time the entries' times are given.
    """
    found = [
        entry
        for batch in batches(storage)
        for since in (current.since_of(batch) - skew,)
        for entry in _of_folder(storage, batch, since, since + keep)
    ]
    found.extend(_of_folder(storage, current.CURRENT, None, None))
    return found


def _of_folder(storage: Storage, folder: str, since: float | None, goes: float | None) -> Iterator[Entry]:
    links = there(storage, current.read_journal(storage, folder).held)
    holders: dict[str, dict[str, Kind]] = {}
    for removal in (held.removal for held in links):
        if removal.kind == "tag":
            yield Entry("tag", (removal.repository,), removal.tag, removal.digest, 0, since, goes)
        elif removal.kind in ("revision", "layer-link"):
            kind: Kind = "manifest" if removal.kind == "revision" else "layer"
            # A manifest has a layer link too where it is listed by an image that lists it as a blob.
            if holders.get(removal.digest, {}).get(removal.repository) != "manifest":
                holders.setdefault(removal.digest, {})[removal.repository] = kind
    for blob in current.blobs_of(storage, folder):
        of = holders.get(blob.digest, {})
        kinds = set(of.values())
        kind = "manifest" if "manifest" in kinds else "layer" if kinds else "blob"
        yield Entry(kind, tuple(sorted(of)), "", blob.digest, blob.bytes, since, goes)


def there(storage: Storage, links: Sequence[Held]) -> list[Held]:
    """Those of the links that a journal names that are still away, and were not put back."""
    stats = storage.stat_many([held.place for held in links])
    return [held for held, stat in zip(links, stats, strict=True) if stat is not None]
