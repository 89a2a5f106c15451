"""The pruner's own folder in the storage: the lock, reserved space, and what an interrupted run left."""

from __future__ import annotations

import errno
import json
import os
import socket
import uuid
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import TypeVar

from pruner.decide.plan import Removal
from pruner.errors import PrunerError, WriteError
from pruner.storage import Storage
from pruner.sweep import trash
from pruner.tree import layout

LOCK = f"{layout.STATE}/lock"
RESERVE = f"{layout.STATE}/reserve"
RESERVE_SIZE = 4 * 1024 * 1024
"""Bytes kept for the journal, so that a full disk, which pruning would mend, does not stop pruning."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
T = TypeVar("T")


@contextmanager
def locked(storage: Storage) -> Generator[None]:
    """Be the only pruner on this tree; raises Busy, or WriteError when the folder cannot be written."""
    with write_errors(storage):
        storage.make_folder(layout.STATE)
        lock = storage.lock(LOCK, f"{socket.gethostname()}, pid {os.getpid()}")
        lock.__enter__()
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


@contextmanager
def write_errors(storage: Storage) -> Generator[None]:
    """Turns a failure of the operating system into a WriteError with a way out."""
    try:
        yield
    except OSError as error:
        where = error.filename or storage.root
        raise WriteError(
            f"{where} could not be changed ({error.strerror or error}): what the run had begun is undone now "
            "or by the next run; mend the storage and run again"
        ) from error


def with_space(storage: Storage, action: Callable[[], T]) -> T:
    """Do `action`; when the disk is full, give it the reserved space and do it once more."""
    try:
        return action()
    except OSError as error:
        if error.errno not in _FULL:
            raise
        try:
            storage.remove(RESERVE)
        except FileNotFoundError:
            raise error from None
        return action()


def reserve(storage: Storage) -> bool:
    """Take the reserved space if it is not taken; False when the disk is too full even for that."""
    try:
        if storage.stat(RESERVE).size >= RESERVE_SIZE:
            return True
    except FileNotFoundError:
        pass
    try:
        storage.reserve(RESERVE, RESERVE_SIZE)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        storage.remove(RESERVE)
        return False
    return True


def begin(storage: Storage, run: str, links: Iterable[Removal]) -> None:
    """Write the journal of a run before it takes anything away."""
    lines = [json.dumps({"run": run})]
    for number, removal in enumerate(links):
        mtime = removal.link.mtime if removal.link is not None else 0.0
        lines.append(
            json.dumps({"hold": number, "path": removal.path, "digest": removal.digest, "mtime": mtime})
        )
    content = ("\n".join(lines) + "\n").encode()

    def write() -> None:
        for folder in ("held", "blobs"):
            storage.make_folder(f"{trash.CURRENT}/{folder}")
        storage.write(f"{trash.CURRENT}/journal", content)

    with_space(storage, write)


def decide(storage: Storage) -> None:
    """Note that the held links stay away: from here on an interrupted run is finished, not undone."""
    line = json.dumps({"phase": "decided"}).encode() + b"\n"
    with_space(storage, lambda: storage.append(f"{trash.CURRENT}/journal", line))


def finish(storage: Storage, now: float, run: str) -> str:
    """Turn what the run took away into a batch of the trash; the path of the batch."""
    batch = f"{trash.TRASH}/{int(now)}-{run}"

    def move() -> None:
        storage.make_folder(trash.TRASH)
        storage.rename(trash.CURRENT, batch)

    with_space(storage, move)
    return batch


def undo(storage: Storage) -> int:
    """Put back everything that an undecided run took away; how many links that were."""
    links, _ = trash.held_links(storage, trash.CURRENT)
    count = sum(trash.restore_link(storage, link, of_run=True) for link in links)
    for trashed in list(trash.blobs_of(storage, trash.CURRENT)):
        trash.restore_blob(storage, trashed)
    if list_or_empty(storage, f"{trash.CURRENT}/held"):
        raise PrunerError(
            f"{storage.root}/{trash.CURRENT}/held has links that the journal does not name: "
            "put them back by hand from what they hold, then remove the folder"
        )
    trash.purge_batch(storage, trash.CURRENT)
    return count


def recover(storage: Storage, now: float) -> str:
    """Undo or finish what an interrupted run left; a sentence about it, empty when there was nothing."""
    if not list_or_empty(storage, trash.CURRENT):
        storage.remove_folder(trash.CURRENT)
        return ""
    _, decided = trash.held_links(storage, trash.CURRENT)
    if decided:
        finish(storage, now, uuid.uuid4().hex[:8])
        return "an interrupted run was finished: what it had taken away is in the trash"
    count = undo(storage)
    return f"an interrupted run was undone: {count} links are back in their places"


def list_or_empty(storage: Storage, path: str) -> list[str]:
    """Names in a folder; none when it is not there."""
    try:
        return [entry.name for entry in storage.list(path)]
    except FileNotFoundError:
        return []
