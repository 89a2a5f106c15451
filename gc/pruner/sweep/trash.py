"""What was removed and can still be had back.

A run gathers what it takes away in one folder, `current`: the held links as `held/<n>`, quarantined blobs as
`blobs/<alg>-<hex>`, and the `journal` that says where each link was. At its end the folder becomes a batch
of the trash, `trash/<seconds>-<run>`, by one rename. A blob that is uploaded again in the meantime wins.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from pruner.decide.plan import Removal
from pruner.decide.taken import Trashed
from pruner.errors import UsageError
from pruner.storage import Storage
from pruner.tree import layout
from pruner.tree.library import Library
from pruner.tree.manifests import Manifest
from pruner.tree.model import Link

CURRENT = f"{layout.STATE}/current"
TRASH = f"{layout.STATE}/trash"


@dataclass(frozen=True, slots=True)
class HeldLink:
    """A link of a batch: where it lies, where it was, the digest it stands for and its mtime there."""

    held: str
    path: str
    digest: str
    mtime: float


def blob_name(digest: str) -> str:
    """The file name of a blob in a batch."""
    return digest.replace(":", "-")


def batches(storage: Storage) -> list[str]:
    """Paths of the batches, oldest first."""
    try:
        entries = storage.list(TRASH)
    except FileNotFoundError:
        return []
    return [f"{TRASH}/{entry.name}" for entry in entries if entry.kind == "folder"]


def since_of(batch: str) -> float:
    """When a batch came into the trash, from its name; seconds since the epoch."""
    seconds = batch.rpartition("/")[2].partition("-")[0]
    return float(seconds) if seconds.isdigit() else 0.0


def listing(storage: Storage) -> list[Trashed]:
    """Every blob in the trash, oldest batch first."""
    return [trashed for batch in batches(storage) for trashed in blobs_of(storage, batch)]


def blobs_of(storage: Storage, batch: str) -> Iterator[Trashed]:
    """The blobs of one batch."""
    folder = f"{batch}/blobs"
    try:
        entries = storage.list(folder)
    except FileNotFoundError:
        return
    for entry in entries:
        algorithm, _, name = entry.name.partition("-")
        digest = layout.digest_of(algorithm, name)
        if digest is not None:
            path = f"{folder}/{entry.name}"
            yield Trashed(batch, digest, path, storage.stat(path).size, since_of(batch))


def held_links(storage: Storage, batch: str) -> tuple[list[HeldLink], bool]:
    """The links that the journal of a batch (or of `current`) names, and whether their fate was decided.

    A last line that was cut short by a crash was not acted upon and is left out.
    """
    try:
        content, _ = storage.read(f"{batch}/journal", 1 << 40)
    except FileNotFoundError:
        return [], False
    links: list[HeldLink] = []
    decided = False
    for line in content.split(b"\n")[:-1]:
        try:
            record = cast("dict[str, Any]", json.loads(line))
        except ValueError:
            continue
        if "hold" in record:
            links.append(
                HeldLink(f"{batch}/held/{record['hold']}", record["path"], record["digest"], record["mtime"])
            )
        decided = decided or record.get("phase") == "decided"
    return links, decided


def restore_blob(storage: Storage, trashed: Trashed) -> bool:
    """Put a blob back; False when it is in its place again already (then the trash's copy goes)."""
    target = layout.blob_data(trashed.digest)
    storage.make_folder(target.rpartition("/")[0])
    if storage.put_back(trashed.path, target):
        return True
    storage.remove(trashed.path)
    return False


def restore_link(storage: Storage, link: HeldLink, *, of_run: bool = False) -> bool:
    """Put a link back, unless a newer one is there; False when there was nothing to put back.

    While a run lasts (`of_run`) the folder of a tag stays, so when it is gone a client deleted the tag, and
    its links go with it.
    """
    try:
        storage.stat(link.held)
    except FileNotFoundError:
        return False
    folder = layout.tag_folder(link.path) if of_run else None
    if folder is not None:
        try:
            storage.stat(folder)
        except FileNotFoundError:
            storage.remove(link.held)
            return False
    storage.make_folder(link.path.rpartition("/")[0])
    if storage.put_back(link.held, link.path):
        return True
    storage.remove(link.held)
    return False


def purge_batch(storage: Storage, batch: str) -> None:
    """Destroy a batch. Its blobs go before its journal, so an interrupted purge is simply done again."""
    for part in ("blobs", "held"):
        try:
            entries = storage.list(f"{batch}/{part}")
        except FileNotFoundError:
            continue
        for entry in entries:
            storage.remove(f"{batch}/{part}/{entry.name}")
        storage.remove_folder(f"{batch}/{part}")
    for entry in storage.list(batch):
        if entry.kind == "file":
            storage.remove(f"{batch}/{entry.name}")
    storage.remove_folder(batch)


def restore(storage: Storage, digests: list[str] | None) -> tuple[list[Trashed], int]:
    """Put back blobs with their links, and all that a restored manifest needs; None: everything.

    Returns the blobs and the number of links. Links come back with a fresh mtime: what a person restores is
    not to go again with the next run. Raises UsageError when a digest is not in the trash.
    """
    blobs = {blob.digest: blob for blob in listing(storage)}
    links: dict[str, list[HeldLink]] = {}
    for batch in batches(storage):
        for link in held_links(storage, batch)[0]:
            links.setdefault(link.digest, []).append(link)
    wanted = [*blobs, *links] if digests is None else list(digests)
    for digest in wanted:
        if digest not in blobs and digest not in links:
            raise UsageError(f"{digest} is not in the trash: `prune trash list` shows what is")
    restored: list[Trashed] = []
    count = 0
    seen: set[str] = set()
    while wanted:
        digest = wanted.pop()
        if digest in seen:
            continue
        seen.add(digest)
        blob = blobs.get(digest)
        if blob is not None and restore_blob(storage, blob):
            restored.append(blob)
        for link in links.get(digest, ()):
            if restore_link(storage, link):
                storage.touch(link.path)
                count += 1
        manifest = Library(storage).get(digest)
        if isinstance(manifest, Manifest):
            wanted.extend(d for d in (*manifest.blobs, *manifest.children) if d in blobs or d in links)
    return restored, count


def removal_of(link: HeldLink) -> Removal:
    """What an interrupted run's journal says of a link, as the removal that it was."""
    name, _, below = link.path.removeprefix(f"{layout.REPOSITORIES}/").partition("/_")
    known = Link(link.path, link.digest, link.digest, link.mtime)
    if below.startswith("layers/"):
        return Removal("layer-link", name, link.digest, link.path, 0, "", link=known)
    if below.startswith("manifests/revisions/"):
        return Removal("revision", name, link.digest, link.path, 0, "", link=known)
    tag = below.removeprefix("manifests/tags/").partition("/")[0]
    kind = "tag" if link.path.endswith("/current/link") else "index-link"
    return Removal(kind, name, link.digest, link.path, 0, "", tag, known)
