"""`prune trash`: what was removed and can still be had back."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from pruner.cli.call import Call
from pruner.cli.console import say
from pruner.clock import RunTime
from pruner.decide.fuses import check_storage
from pruner.decide.taken import Trashed
from pruner.delays import SETTLE
from pruner.errors import UsageError
from pruner.inspect.report import format_bytes
from pruner.settings.durations import format_moment
from pruner.settings.table import Part
from pruner.storage import read_errors
from pruner.sweep import run as pruning
from pruner.sweep import state, trash
from pruner.tree.library import Library

SETTINGS: tuple[Part, ...] = ("look", "trash", "storage")
FORMS = ("text", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and with what."""
    parser.add_argument(
        "action",
        choices=("list", "restore", "purge", "expire"),
        help="purge destroys all that is in the trash, expire what has been there for its time",
    )
    parser.add_argument("digests", nargs="*", metavar="DIGEST", help="restore: these, with all they need")
    parser.add_argument("--all", action="store_true", help="restore: everything")


def changes(arguments: argparse.Namespace) -> bool:
    """All but the list do."""
    return arguments.action != "list"


@dataclass(frozen=True, slots=True)
class _TrashResult:
    action: str
    blobs: list[Trashed]
    links: int = 0

    def to_json(self) -> dict[str, Any]:
        """As JSON data; bytes and seconds are numbers."""
        blobs = [{"digest": blob.digest, "bytes": blob.bytes, "since": blob.since} for blob in self.blobs]
        return {
            "action": self.action,
            "blobs": blobs,
            "links": self.links,
            "bytes": sum(blob.bytes for blob in self.blobs),
        }

    def text(self) -> str:
        """As lines for a terminal."""
        lines = [
            f"{blob.digest}  {format_bytes(blob.bytes)}  since {format_moment(blob.since)}"
            for blob in self.blobs
        ]
        done = {"list": "in the trash", "restore": "restored"}.get(self.action, "purged")
        links = f" and {self.links} links" if self.links else ""
        total = format_bytes(sum(blob.bytes for blob in self.blobs))
        return "\n".join([*lines, f"{len(self.blobs)} blobs{links} {done}, {total}"])


def run(call: Call) -> int:
    """List, restore or purge."""
    arguments = call.arguments
    action: str = arguments.action
    if action == "restore" and arguments.all == bool(arguments.digests):
        raise UsageError("trash restore needs digests, or --all")
    if action != "restore" and (arguments.all or arguments.digests):
        raise UsageError(f"trash {action} takes no digests: it is about the whole trash")
    place = call.place()
    has_tree = check_storage(place.storage, place.given, place.config, place.settings)
    with read_errors(place.storage):
        listed = trash.listing(place.storage)
    if action == "list" or not has_tree:
        # Without a tree there is no trash, and no folder is made for one where a mount may be missing.
        call.show(_TrashResult(action, listed))
        return 0
    with state.locked(place.storage), state.write_errors(place.storage):
        state.recover(place.storage, call.clock.now())
        if action in ("purge", "expire"):
            result = _TrashResult("purge", _purge(place, expired_only=action == "expire"))
        else:
            wanted = None if arguments.all else list(arguments.digests)
            result = _TrashResult("restore", *trash.restore(place.storage, wanted))
    if call.served:
        say(result.text().splitlines()[-1])
    else:
        call.show(result)
    return 0


def _purge(place: pruning.Place, *, expired_only: bool) -> list[Trashed]:
    """Destroy the trash, or what has been there for long enough, after a look; what is wanted goes back."""
    least = max(place.settings.trash, SETTLE) if expired_only else 0.0
    batches = trash.batches(place.storage)
    if not batches:
        return []
    look = place.observer(RunTime(place.clock), Library(place.storage)).look()
    purged: list[Trashed] = []
    for batch in batches:
        if look.rules.now - trash.since_of(batch) < least:
            continue
        for blob in list(trash.blobs_of(place.storage, batch)):
            if blob.digest in look.marks.blobs:
                trash.restore_blob(place.storage, blob)
            else:
                purged.append(blob)
        trash.purge_batch(place.storage, batch)
    return purged
