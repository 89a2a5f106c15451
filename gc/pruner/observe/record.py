"""The record of the runs: one file in the pruner's folder of the storage, written whole after each run.

It is what history, metrics, page and status are made from, so that none of them ever looks at the storage by
itself. Its size is bounded by the counts below; a record that cannot be read is begun anew.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, TypeVar, cast

from pruner.inspect.usage import SharedBlob, TagUsage
from pruner.storage import Storage
from pruner.tree import layout

PATH = f"{layout.STATE}/record.json"
VERSION = 1
RUNS = 60
"""Runs that are kept, the newest."""
REPOSITORIES = 200
"""Repositories that are kept by name, the largest; the rest is counted."""
LISTED = 50
"""Entries that are kept of every other list."""
TEXT = 400
"""Characters that are kept of a sentence."""

_LIMIT = 4 * 1024 * 1024
T = TypeVar("T")

Ended = Literal["done", "refused", "failed", "stopped"]
ENDS: tuple[Ended, ...] = ("done", "refused", "failed", "stopped")
"""How a run can end: as it should, by a fuse, by an error, or because the process was asked to end."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How many things, and their bytes."""

    count: int = 0
    bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.count + other.count, self.bytes + other.bytes)


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `began` is seconds since the epoch, `phases` seconds by name, `removed` by kind of removal.

    `reclaimed_bytes` are free on the disk; what else was removed lies in the trash. The stored and trash
    bytes are those at its end, 0 where a run did not get so far.
    """

    began: float
    seconds: float
    ended: Ended
    exit_code: int = 0
    message: str = ""
    phases: Mapping[str, float] = field(default_factory=dict[str, float])
    removed: Mapping[str, Amount] = field(default_factory=dict[str, Amount])
    reclaimed_bytes: int = 0
    stored_bytes: int = 0
    stored_blobs: int = 0
    trash_bytes: int = 0

    @property
    def end(self) -> float:
        """When it ended, seconds since the epoch."""
        return self.began + self.seconds

    @property
    def total(self) -> Amount:
        """All that was removed, but for what left the trash and was counted when it came there."""
        return sum((amount for kind, amount in self.removed.items() if kind != "trash"), Amount())


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all runs ever recorded on this storage; they outlive the runs that are kept."""

    runs: Mapping[str, int] = field(default_factory=dict[str, int])
    removed: Mapping[str, Amount] = field(default_factory=dict[str, Amount])
    phases: Mapping[str, float] = field(default_factory=dict[str, float])
    reclaimed_bytes: int = 0
    last_success: float = 0.0

    def plus(self, run: Run) -> Totals:
        """With one more run."""
        removed = {kind: self.removed.get(kind, Amount()) + each for kind, each in run.removed.items()}
        phases = {name: self.phases.get(name, 0.0) + taken for name, taken in run.phases.items()}
        return Totals(
            {**self.runs, run.ended: self.runs.get(run.ended, 0) + 1},
            {**self.removed, **removed},
            {**self.phases, **phases},
            self.reclaimed_bytes + run.reclaimed_bytes,
            run.end if run.ended == "done" else self.last_success,
        )


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository; bytes as in the usage command."""

    name: str
    tags: int
    manifests: int
    exclusive_bytes: int
    shared_bytes: int
    reclaimable_bytes: int


@dataclass(frozen=True, slots=True)
class Going:
    """What a run would remove of one kind for one reason."""

    kind: str
    reason: str
    amount: Amount


@dataclass(frozen=True, slots=True)
class Kept:
    """A repository that is kept whole: the sentence, and the kind of trouble in a word or two."""

    repository: str
    reason: str
    trouble: str


@dataclass(frozen=True, slots=True)
class InTrash:
    """A blob that can be had back until it leaves the trash (seconds since the epoch)."""

    digest: str
    bytes: int
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the last look found, `at` seconds since the epoch.

    `repositories` are the largest by name, `others` how many more there are. `spared` counts by reason what
    stays for now although nothing refers to it. `troubles` counts the repositories kept whole by trouble.
    """

    at: float = 0.0
    blobs: int = 0
    bytes: int = 0
    manifests: int = 0
    tags: int = 0
    saved_bytes: int = 0
    repositories: tuple[Repository, ...] = ()
    others: int = 0
    shared: tuple[SharedBlob, ...] = ()
    largest: tuple[TagUsage, ...] = ()
    oldest: tuple[TagUsage, ...] = ()
    going: tuple[Going, ...] = ()
    spared: Mapping[str, int] = field(default_factory=dict[str, int])
    kept_whole: tuple[Kept, ...] = ()
    troubles: Mapping[str, int] = field(default_factory=dict[str, int])
    dangling: tuple[str, ...] = ()
    trash: Amount = Amount()
    trashed: tuple[InTrash, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many repositories there are."""
        return len(self.repositories) + self.others

    @property
    def reclaimable(self) -> Amount:
        """All that a run would remove, but for what leaves the trash."""
        return sum((each.amount for each in self.going if each.kind != "trash"), Amount())


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that is remembered; `runs` has the newest last, `snapshot` is None before the first look."""

    runs: tuple[Run, ...] = ()
    totals: Totals = Totals()
    snapshot: Snapshot | None = None

    @property
    def last(self) -> Run | None:
        """The newest run."""
        return self.runs[-1] if self.runs else None

    def plus(self, run: Run, snapshot: Snapshot | None = None) -> Record:
        """With one more run, and what it found."""
        run = replace(run, message=clip(run.message))
        return Record((*self.runs, run)[-RUNS:], self.totals.plus(run), snapshot or self.snapshot)

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {"version": VERSION, **asdict(self)}

    @staticmethod
    def from_json(data: object) -> Record:
        """Read what `to_json` gave; raises ValueError for anything else. Fields not known are left out."""
        if not isinstance(data, dict) or cast("dict[str, Any]", data).get("version") != VERSION:
            raise ValueError(f"it is not a record of version {VERSION}")
        try:
            return _decode(Record, cast("object", data))
        except (TypeError, KeyError) as error:
            raise ValueError(f"it is not a record: {error}") from error


def load(storage: Storage) -> Record:
    """The record of `storage`; an empty one where there is none, or none that can be read as one.

    Raises OSError when the storage refuses.
    """
    try:
        content = storage.read(PATH, _LIMIT).content
        return Record.from_json(json.loads(content))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return Record()


def save(storage: Storage, record: Record) -> None:
    """Write the record, whole or not at all; call it under the lock. Raises OSError."""
    storage.write(PATH, json.dumps(record.to_json(), separators=(",", ":")).encode())


def clip(text: str) -> str:
    """`text`, cut where it gets too long to be kept."""
    return text if len(text) <= TEXT else text[: TEXT - 1] + "…"


def _decode(wanted: Any, data: object) -> Any:
    """`data` as the annotated type `wanted`; raises TypeError for what does not fit."""
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (types.UnionType, typing.Union):
        return None if data is None else _decode(arguments[0], data)
    if origin is Literal:
        if data not in arguments:
            raise TypeError(f"{data!r} is not one of {arguments}")
        return data
    if origin is tuple and isinstance(data, list):
        return tuple(_decode(arguments[0], each) for each in cast("list[object]", data))
    if isinstance(data, dict):
        entries = cast("dict[str, object]", data)
        if is_dataclass(wanted):
            hints = typing.get_type_hints(wanted)
            known = {each.name for each in fields(wanted)}
            return cast("Any", wanted)(
                **{name: _decode(hints[name], value) for name, value in entries.items() if name in known}
            )
        if arguments:
            return {name: _decode(arguments[1], value) for name, value in entries.items()}
    if wanted is float and isinstance(data, int | float) and not isinstance(data, bool):
        return float(data)
    if wanted in (int, str, bool) and isinstance(data, wanted):
        return data
    raise TypeError(f"{data!r} is not of the type {wanted}")
