"""`prune trash`: what was removed and can still be had back."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pruner.cli.call import Call
from pruner.cli.console import ask, say
from pruner.cli.output import is_terminal
from pruner.decide.taken import Trashed
from pruner.errors import UsageError
from pruner.inspect.report import format_bytes
from pruner.inspect.tables import table
from pruner.settings.durations import format_duration, format_moment
from pruner.settings.table import Part
from pruner.storage import read_errors
from pruner.sweep import purge, restore, trash
from pruner.sweep.place import Place

SETTINGS: tuple[Part, ...] = ("look", "trash", "storage")
FORMS = ("text", "json")
_DONE = {"list": "in the trash", "restore": "restored", "purge": "purged", "would purge": "would be purged"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and with what."""
    parser.add_argument(
        "action",
        choices=("list", "restore", "purge", "expire"),
        help="purge destroys all that is in the trash, expire what has been there for its time",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="restore: these, digests or tags as repository:tag, with all they need",
    )
    parser.add_argument("--all", action="store_true", help="restore: everything")
    parser.add_argument("--dry-run", action="store_true", help="purge, expire: say what would be destroyed")
    parser.add_argument("--yes", action="store_true", help="purge: do not ask, as it does on a terminal")


def changes(arguments: argparse.Namespace) -> bool:
    """All but the list do."""
    return arguments.action != "list" and not arguments.dry_run


@dataclass(frozen=True, slots=True)
class _List:
    entries: Sequence[trash.Entry]
    now: float

    def to_json(self) -> dict[str, Any]:
        """As JSON data; bytes and seconds are numbers."""
        blobs = [_entry(entry) | {"kind": entry.kind} for entry in self.entries if entry.kind != "tag"]
        tags = [_entry(entry) | {"tag": entry.tag} for entry in self.entries if entry.kind == "tag"]
        return {"action": "list", "blobs": blobs, "tags": tags, "links": 0, "bytes": self._bytes()}

    def text(self) -> str:
        """As lines for a terminal."""
        tags = sum(entry.kind == "tag" for entry in self.entries)
        total = _total("list", len(self.entries) - tags, self._bytes(), tags=tags)
        if not self.entries:
            return total
        rows = [_row(entry, self.now) for entry in self.entries]
        head = ("KIND", "REPOSITORY", "TAG", "BYTES", "AGE", "GOES", "DIGEST")
        return "\n".join([*table([head, *rows], right={3, 4}), total])

    def _bytes(self) -> int:
        return sum(entry.bytes for entry in self.entries)


def _entry(entry: trash.Entry) -> dict[str, Any]:
    return {
        "digest": entry.digest,
        "repositories": list(entry.repositories),
        "bytes": entry.bytes,
        "since": entry.since,
        "goes": entry.goes,
    }


def _row(entry: trash.Entry, now: float) -> tuple[str, ...]:
    names = ", ".join(entry.repositories) or "-"
    if entry.since is None or entry.goes is None:
        age, goes = "-", "held by a run at work"
    else:
        age, goes = format_duration(max(0.0, now - entry.since)), format_moment(entry.goes)
    tag, size = entry.tag or "-", "-" if entry.kind == "tag" else format_bytes(entry.bytes)
    return (entry.kind, names, tag, size, age, goes, entry.digest)


@dataclass(frozen=True, slots=True)
class _Done:
    action: str
    blobs: Sequence[Trashed]
    links: int = 0
    tags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON data; bytes and seconds are numbers."""
        blobs = [{"digest": blob.digest, "bytes": blob.bytes, "since": blob.since} for blob in self.blobs]
        return {
            "action": self.action,
            "blobs": blobs,
            "tags": [{"repositories": [name], "tag": tag} for name, _, tag in map(_parted, self.tags)],
            "links": self.links,
            "bytes": self._bytes(),
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """As lines for a terminal."""
        lines = [
            f"{blob.digest}  {format_bytes(blob.bytes)}  since {format_moment(blob.since)}"
            for blob in self.blobs
        ]
        total = _total(self.action, len(self.blobs), self._bytes(), links=self.links, tags=len(self.tags))
        lines.extend(f"tag {tag}" for tag in self.tags)
        lines.extend(f"Note: {note}" for note in self.notes)
        return "\n".join([*lines, total])

    def _bytes(self) -> int:
        return sum(blob.bytes for blob in self.blobs)


def _parted(name: str) -> tuple[str, str, str]:
    return name.rpartition(":")


def _total(action: str, blobs: int, size: int, *, links: int = 0, tags: int = 0) -> str:
    counts = [f"{blobs} blobs"]
    if tags:
        counts.append(f"{tags} tags")
    if links:
        counts.append(f"{links} links")
    return f"{' and '.join(counts)} {_DONE[action]}, {format_bytes(size)}"


def run(call: Call) -> int:
    """List, restore, purge or expire."""
    arguments = call.arguments
    action: str = arguments.action
    if action == "restore" and arguments.all == bool(arguments.names):
        raise UsageError("trash restore needs digests or tags, or --all")
    if action != "restore" and (arguments.all or arguments.names):
        raise UsageError(f"trash {action} takes no digests: it is about the whole trash")
    if arguments.dry_run and action not in ("purge", "expire"):
        raise UsageError(f"trash {action} has no dry run: trash list changes nothing")
    place = call.place()
    has_tree = place.has_tree()
    if action == "list":
        skew = place.time().skew
        with read_errors(place.storage):
            entries = trash.entries(place.storage, place.settings.trash, skew)
        call.show(_List(entries, call.clock.now()))
        return 0
    if not has_tree:
        # Without a tree there is no trash, and no folder is made for one where a mount may be missing.
        result = _Done("purge" if action == "expire" else action, ())
    elif action == "restore":
        back = restore.restore(place, None if arguments.all else list(arguments.names))
        result = _Done("restore", back.blobs, back.links, back.tags, back.notes)
    elif action == "purge" and not arguments.dry_run and not _is_wanted(call, place):
        result = _Done("purge", (), notes=("nothing was destroyed: the answer was not yes",))
    else:
        destroy = purge.purge if action == "purge" else purge.expire
        gone = destroy(place, dry_run=arguments.dry_run)
        result = _Done("would purge" if arguments.dry_run else "purge", gone.blobs, notes=_left(gone))
    if call.served:
        say(result.text().splitlines()[-1])
    else:
        call.show(result)
    return 0


def _is_wanted(call: Call, place: Place) -> bool:
    """Whether to destroy the whole trash: at a terminal a person says so, elsewhere the command does."""
    if call.arguments.yes or call.served or not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        return True
    with read_errors(place.storage):
        blobs = trash.listing(place.storage)
    if not blobs:
        return True
    size = format_bytes(sum(blob.bytes for blob in blobs))
    return ask(f"Destroy {len(blobs)} blobs, {size}, so that no tag can be restored?", call.clock)


def _left(gone: purge.Purged) -> tuple[str, ...]:
    notes: list[str] = []
    if gone.put_back:
        notes.append(f"{len(gone.put_back)} blobs are needed again and stay")
    if gone.waiting:
        notes.append(
            f"{len(gone.waiting)} blobs of a run that was interrupted a moment ago stay: purge in a minute"
        )
    return tuple(notes)
