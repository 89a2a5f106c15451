"""What a run takes away: the folder it lies in, the journal that says of what, the ways there and back.

A run gathers its takings in one folder, `current`: held links as `held/<n>`, quarantined blobs as
`blobs/<alg>-<hex>`, and the `journal`, a line for each link and one for the decision. At the end of the run
the folder becomes a batch of the trash by one rename, so a batch is read by the same functions.

*Put back* is what the pruner does of its own accord, link by link or blob by blob; *undo* puts back
everything that an undecided run took; *recover* undoes or ends what an interrupted run left.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence

from pruner.decide.plan import Removal
from pruner.decide.taken import Trashed
from pruner.errors import PrunerError
from pruner.storage import Move, Storage
from pruner.sweep import journal, state
from pruner.sweep.journal import Held, Journal
from pruner.tree import layout

CURRENT = f"{layout.STATE}/current"
TRASH = f"{layout.STATE}/trash"
_PARTS = ("blobs", "held")
_JOURNAL = f"{CURRENT}/journal"


# -- the journal


def begin(storage: Storage, run: str, links: Sequence[Removal]) -> None:
    """Make the folder, with a journal of the first `links`, before they are taken away."""

    def make() -> None:
        for part in _PARTS:
            storage.make_folder(f"{CURRENT}/{part}")
        storage.write(_JOURNAL, journal.head(run) + journal.records(0, links))

    state.with_space_to_hold(storage, make)


def extend(storage: Storage, number: int, links: Sequence[Removal]) -> None:
    """Write to the journal of more links, the first of which is the `number`-th."""
    # The line's end is for one that was cut short when the disk was full.
    content = b"\n" + journal.records(number, links)
    state.with_space_to_hold(storage, lambda: storage.append(_JOURNAL, content))


def decide(storage: Storage) -> None:
    """Note that the held links stay away: from here on an interrupted run is ended, not undone."""
    state.with_space(storage, lambda: storage.append(_JOURNAL, b"\n" + journal.decision()))


def is_of(storage: Storage, run: str) -> bool:
    """Whether the folder is that of the run, and not gone or another's."""
    beginning = journal.head(run)
    try:
        return storage.read(_JOURNAL, len(beginning))[0] == beginning
    except FileNotFoundError:
        return False


def read_journal(storage: Storage, folder: str) -> Journal:
    """The journal of a folder of takings, empty when there is none."""
    try:
        content = storage.read(f"{folder}/journal", 1 << 40).content
    except FileNotFoundError:
        return Journal()
    return journal.read(content, folder)


# -- there


def hold(storage: Storage, held: Held) -> bool:
    """Take the link to its place; False when a client removed it meanwhile."""
    try:
        state.with_space_to_hold(storage, lambda: storage.rename(held.removal.path, held.place))
    except FileNotFoundError:
        return False
    return True


def unchanged(storage: Storage, links: Sequence[Held]) -> list[Held]:
    """Those of the held links that nobody wrote to since they were looked at.

    A registry that opened one before it was taken away writes into the file that is held. One that is not
    there was restored by a person while the run waited.
    """
    stats = storage.stat_many([held.place for held in links])
    return [
        held
        for held, stat in zip(links, stats, strict=True)
        if stat is not None and held.removal.link is not None and stat.mtime == held.removal.link.mtime
    ]


def to_quarantine(digest: str) -> Move:
    """The way of a blob there."""
    return Move(layout.blob_data(digest), _place_of(CURRENT, digest))


def quarantine(storage: Storage, digest: str) -> bool:
    """Take the blob away; False when it is gone."""
    source, target, _ = to_quarantine(digest)
    try:
        state.with_space(storage, lambda: storage.rename(source, target))
    except FileNotFoundError:
        return False
    return True


def finish(storage: Storage, since: float, run: str) -> None:
    """Make a batch of the trash of what the run took away, in it `since` (seconds since the epoch)."""

    def move() -> None:
        storage.make_folder(TRASH)
        storage.rename(CURRENT, f"{TRASH}/{int(since)}-{run}")

    state.with_space(storage, move)


# -- and back


def digests_of(storage: Storage, folder: str) -> list[str]:
    """The digests of the quarantined blobs in a folder of takings, in order."""
    digests = map(_digest, state.list_or_empty(storage, f"{folder}/blobs"))
    return [digest for digest in digests if digest is not None]


def blobs_of(storage: Storage, folder: str) -> Iterator[Trashed]:
    """The quarantined blobs in a folder of takings; one that goes meanwhile is left out."""
    digests = digests_of(storage, folder)
    paths = [_place_of(folder, digest) for digest in digests]
    for digest, path, stat in zip(digests, paths, storage.stat_many(paths), strict=True):
        if stat is not None:
            yield Trashed(folder, digest, path, stat.size, since_of(folder))


def since_of(batch: str) -> float:
    """When a batch came into the trash, from its name; seconds since the epoch."""
    seconds = batch.rpartition("/")[2].partition("-")[0]
    return float(seconds) if seconds.isdigit() else 0.0


def is_batch_of(batch: str, run: str) -> bool:
    """Whether a batch of the trash is what that run took away."""
    return batch.endswith(f"-{run}")


def put_back_blob(storage: Storage, blob: Trashed) -> bool:
    """Put a blob back; False when it is in its place again already (then the copy that was away goes)."""
    target = layout.blob_data(blob.digest)
    storage.make_folder(target.rpartition("/")[0])
    if storage.put_back(blob.path, target):
        return True
    storage.remove(blob.path)
    return False


def put_back_link(storage: Storage, held: Held, *, of_run: bool = False) -> bool:
    """Put a link back, unless a newer one is there; False when there was nothing to put back.

    While a run lasts (`of_run`) the folder of a tag stays, so when it is gone a client deleted the tag, and
    its links go with it. Without folders this is known of a tag's history alone, by the link of the tag.
    """
    path = held.removal.path
    tag = layout.tag_folder(path) if of_run else None
    if tag is not None and not storage.has_folders:
        # Its folder tells nothing. What names nothing without the tag's link goes with that.
        tag = f"{tag}/current/link" if held.removal.kind == "index-link" else None
    if not _exists(storage, held.place):
        return False
    if tag is not None and not _exists(storage, tag):
        storage.remove(held.place)
        return False
    storage.make_folder(path.rpartition("/")[0])
    if storage.put_back(held.place, path):
        return True
    storage.remove(held.place)
    return False


def undo(storage: Storage) -> int:
    """Put back everything that an undecided run took away; how many links that were."""
    links = read_journal(storage, CURRENT).held
    storage.ahead([Move(held.place, held.removal.path) for held in links])
    count = sum(put_back_link(storage, held, of_run=True) for held in links)
    for blob in list(blobs_of(storage, CURRENT)):
        put_back_blob(storage, blob)
    if any(name.isdecimal() for name in state.list_or_empty(storage, f"{CURRENT}/held")):
        raise PrunerError(
            f"{storage.root}/{CURRENT}/held has links that the journal does not name: "
            "put them back by hand from what they hold, then remove the folder"
        )
    destroy(storage, CURRENT)
    return count


def recover(storage: Storage, now: float, settle: float) -> str:
    """Undo or end what an interrupted run left; a sentence about it, empty when there was nothing.

    What it quarantined may be linked by a request that it did not live to wait for, so that counts as being
    in the trash only after `settle` seconds more.
    """
    if not state.list_or_empty(storage, CURRENT):
        storage.remove_folder(CURRENT)
        return ""
    if read_journal(storage, CURRENT).decided:
        finish(storage, math.ceil(now + settle), os.urandom(4).hex())
        return "an interrupted run was finished: what it had taken away is in the trash"
    count = undo(storage)
    return f"an interrupted run was undone: {count} links are back in their places"


def destroy(storage: Storage, folder: str) -> None:
    """Destroy a folder of takings, except what is not the pruner's in it.

    Its blobs go before its journal, so an interrupted purge is simply done again.
    """
    storage.remove_many(_place_of(folder, digest) for digest in digests_of(storage, folder))
    held = [name for name in state.list_or_empty(storage, f"{folder}/held") if name.isdecimal()]
    storage.remove_many(f"{folder}/held/{name}" for name in held)
    for part in _PARTS:
        storage.remove_folder(f"{folder}/{part}")
    for name in state.list_or_empty(storage, folder):
        if name in ("journal", "journal.tmp"):
            storage.remove(f"{folder}/{name}")
    storage.remove_folder(folder)


def _place_of(folder: str, digest: str) -> str:
    return f"{folder}/blobs/{digest.replace(':', '-')}"


def _digest(name: str) -> str | None:
    algorithm, _, hexadecimal = name.partition("-")
    return layout.digest_of(algorithm, hexadecimal)


def _exists(storage: Storage, path: str) -> bool:
    try:
        storage.stat(path)
    except FileNotFoundError:
        return False
    return True
