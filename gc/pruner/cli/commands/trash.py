"""`prune trash`: what was removed and can still be had back."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pruner.cli.call import Call
from pruner.cli.console import say
from pruner.decide.taken import Trashed
from pruner.errors import UsageError
from pruner.inspect.report import format_bytes
from pruner.settings.durations import format_moment
from pruner.settings.table import Part
from pruner.storage import read_errors
from pruner.sweep import purge, restore, trash

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


def changes(arguments: argparse.Namespace) -> bool:
    """All but the list do."""
    return arguments.action != "list" and not arguments.dry_run


@dataclass(frozen=True, slots=True)
class _List:
    entries: Sequence[trash.Entry]

    def to_json(self) -> dict[str, Any]:
        """As JSON data; bytes and seconds are numbers."""
        blobs = [_entry(entry) | {"kind": entry.kind} for entry in self.entries if entry.kind != "tag"]
        tags = [_entry(entry) | {"tag": entry.tag} for entry in self.entries if entry.kind == "tag"]
        return {"action": "list", "blobs": blobs, "tags": tags, "links": 0, "bytes": self._bytes()}

    def text(self) -> str:
        """As lines for a terminal."""
        lines = [_line(entry) for entry in self.entries]
        tags = sum(entry.kind == "tag" for entry in self.entries)
        return "\n".join([*lines, _total("list", len(lines) - tags, self._bytes(), tags=tags)])

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


def _line(entry: trash.Entry) -> str:
    names = ", ".join(entry.repositories) or "-"
    name = f"{names}:{entry.tag}" if entry.tag else names
    if entry.since is None or entry.goes is None:
        when = "held by a run at work"
    else:
        when = f"since {format_moment(entry.since)}, goes {format_moment(entry.goes)}"
    return f"{entry.kind}  {name}  {entry.digest}  {format_bytes(entry.bytes)}  {when}"


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
        call.show(_List(entries))
        return 0
    if not has_tree:
        # Without a tree there is no trash, and no folder is made for one where a mount may be missing.
        result = _Done("purge" if action == "expire" else action, ())
    elif action == "restore":
        back = restore.restore(place, None if arguments.all else list(arguments.names))
        result = _Done("restore", back.blobs, back.links, back.tags, back.notes)
    else:
        destroy = purge.purge if action == "purge" else purge.expire
        gone = destroy(place, dry_run=arguments.dry_run)
        result = _Done("would purge" if arguments.dry_run else "purge", gone.blobs, notes=_left(gone))
    if call.served:
        say(result.text().splitlines()[-1])
    else:
        call.show(result)
    return 0


def _left(gone: purge.Purged) -> tuple[str, ...]:
    notes: list[str] = []
    if gone.put_back:
        notes.append(f"{len(gone.put_back)} blobs are needed again and stay")
    if gone.waiting:
        notes.append(
            f"{len(gone.waiting)} blobs of a run that was interrupted a moment ago stay: purge in a minute"
        )
    return tuple(notes)
