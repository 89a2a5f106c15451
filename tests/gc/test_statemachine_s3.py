"""The state machine of test_statemachine.py where there is no rename: on a bucket, at every request.

Clients take turns between any two requests of the pruner, also between the comparison and the deletion that
take a tag or a blob away. What is left out is what docs/s3.md says remains, each shown by itself in
test_s3_remains.py: a link of a manifest or a layer written in that very moment, and, without conditional
writes, a link that is put back in the moment in which a client writes it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import event, settings
from hypothesis.stateful import initialize

from pruner.errors import Busy, PrunerError
from pruner.inspect.report import Report
from pruner.storage.lease import Note
from pruner.storage.s3.looker import Areas
from pruner.storage.s3.storage import S3Storage
from pruner.sweep import current
from pruner.sweep.place import Place
from pruner.tree import layout
from tests.gc.fakeclock import SteppedClock
from tests.gc.images import digest_of
from tests.gc.ledger import Ledger
from tests.gc.memorybucket import MemoryBucket
from tests.gc.memorystorage import File
from tests.gc.modelpruner import ModelPruner, forget
from tests.gc.modelregistry import BASE, Cache
from tests.gc.objectregistry import ObjectRegistry
from tests.gc.simulation import TICK, World
from tests.gc.storagedoubles import Killed
from tests.gc.test_statemachine import (
    Operation,
    Pruning,
    ledger_of,
    nobody,
    nobody_does_anything,
    operations,
    settings_of,
)

AREAS = Areas(layout.BLOBS, layout.REPOSITORIES, layout.STATE, current.CURRENT, current.TRASH)
_TAKEN = f"{BASE}/pruner/taken/"


@dataclass
class MemoryLeases:
    """The leases of a cluster."""

    notes: dict[str, Note]
    versions: Iterable[int]

    def of(self, name: str) -> MemoryLease:
        return MemoryLease(self, name)


@dataclass
class MemoryLease:
    leases: MemoryLeases
    name: str
    bound: float = 60.0
    aftermath: float = 30.0

    def read(self) -> Note | None:
        return self.leases.notes.get(self.name)

    def write(self, holder: str, version: str | None) -> str | None:
        found = self.read()
        if version != (found.version if found else None):
            return None
        note = Note(holder, str(next(iter(self.leases.versions))))
        self.leases.notes[self.name] = note
        return note.version


class WholeSeconds(Ledger):
    """Of two tags pushed within one second nobody can tell which is the newer."""

    def _is_retained(self, key: tuple[str, str]) -> bool:
        if key[0] != self.last_only:
            return True
        began = float(int(self.tag_writes[key][0])) if self.tag_writes[key][0] > 0 else float("-inf")
        return not any(end >= began for other, (_, end) in self._writes_to(key[0]) if other != key)


class BucketWorld(World):
    """The world on a bucket: the pruner has its own way to it, and a new one whenever it is started."""

    bucket: MemoryBucket
    at_work: S3Storage | None = None

    def __post_init__(self) -> None:
        assert isinstance(self.registry, ObjectRegistry)
        self.bucket = self.registry.files.bucket
        self.leases = MemoryLeases({}, count(1))
        self.bucket.destroyed = self._check_last
        self.clock.step = self.step
        self.pruner = ModelPruner(self.new_storage(), self.clock, self.registry, self.settings, self.cut)

    def new_storage(self) -> S3Storage:
        leases = None if self.bucket.obeys else self.leases.of
        return S3Storage(self.bucket, "s3://memory", "", AREAS, self.clock, leases, workers=1)

    def step(self, remaining: float) -> float:
        """Time passes; the pruner at work renews its leases beside what it does."""
        if self.at_work is not None:
            before, self.bucket.before = self.bucket.before, nobody
            try:
                self.at_work.renew()
            finally:
                self.bucket.before = before
        return min(super().step(remaining), 14.0) if self.at_work is not None else super().step(remaining)

    def _check_last(self, name: str, content: bytes) -> None:
        if not self.marks:
            self.note_mark()
        if "/blobs/" in name and content not in (each.content for each in self.bucket.objects.values()):
            self.check_destroyed(f"{BASE}/blobs/{digest_of(content)}", File(content, 0.0))


def is_left_out(asked: tuple[str, str], before: tuple[str, str], *, obeys: bool) -> bool:
    """Whether a request is the end of one of the moments that docs/s3.md says remain."""
    operation, name = asked
    if before != ("head", name):
        return False
    if operation == "delete":
        return name.endswith("/link") and "/_manifests/tags/" not in name
    return operation == "put" and not obeys and name.endswith("/link")


class PruningBucket(Pruning):
    world: Any

    @initialize(
        obeys=st.booleans(),
        atomic=st.booleans(),
        cache=st.sampled_from(["none", "inmemory", "redis"]),
        untagged_after=st.sampled_from([0.0, 3600.0]),
        trash=st.sampled_from([0.0, 86400.0]),
        retention=st.booleans(),
        seed=st.integers(0, 1 << 32),
        first=st.lists(operations, min_size=2, max_size=6),
    )
    def begin(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        obeys: bool,
        atomic: bool,
        cache: Cache,
        untagged_after: float,
        trash: float,
        retention: bool,
        seed: int,
        first: list[Operation],
    ) -> None:
        clock = SteppedClock()
        bucket = MemoryBucket(clock, obeys)
        registry = ObjectRegistry(bucket, atomic=atomic, cache=cache)
        self.world = BucketWorld(
            registry.files,  # pyright: ignore[reportArgumentType]
            clock,
            registry,
            ledger_of(WholeSeconds, untagged_after, retention=retention),
            settings_of(untagged_after, trash, retention=retention),
            random.Random(seed),
        )
        for operation in first:
            self.world.start(self._script(operation)())
        self.world.finish()

    def _prune(self, during: list[Operation], busy: float, trouble: Callable[[int], None]) -> Report | None:
        world = self.world
        calls = 0
        last = ("", "")

        def before(operation: str, name: str) -> None:
            nonlocal calls, last
            calls += 1
            asked, last = last, (operation, name)
            world.clock.advance(TICK)
            if not is_left_out(last, asked, obeys=world.bucket.obeys):
                world.turns(busy)
                world.hurry()
            trouble(calls)

        def progress(phase: str, _count: int) -> None:
            if phase == "mark":
                world.note_mark()
            elif phase == "second look":
                world.second_look_begins()
            elif phase == "quarantine":
                world.quarantine_begins()

        world.waiting = [self._script(operation) for operation in during]
        world.run_begins()
        world.bucket.before = before
        world.pruner.storage = world.at_work = world.new_storage()
        report: Report | None = None
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("pruner.sweep.flush.forget_redis", forget(world.registry))
                report = world.pruner.run(progress=progress)
        except (Killed, PrunerError):
            event("a run met trouble")
        finally:
            world.bucket.before = nobody
            world.at_work = None
            world.waiting = []
        world.run_ended(complete=report is not None)
        return report

    def _use_trash(self, command: Callable[[Place], object]) -> None:
        world = self.world

        def progress(phase: str, _count: int) -> None:
            if phase == "mark":
                world.note_mark()

        asleep, world.asleep = world.asleep, nobody_does_anything
        try:
            with suppress(Busy):
                command(world.pruner.place(world.new_storage(), progress))
        finally:
            world.asleep = asleep


def removed(report: Report | None) -> Mapping[str, int]:
    assert report is not None
    return {kind: numbers["count"] for kind, numbers in report.summary()["by_kind"].items()}


TestPruningBucket = PruningBucket.TestCase
if os.environ.get("HYPOTHESIS_PROFILE", "short") == "short":
    TestPruningBucket.settings = settings(settings.get_profile("short"), max_examples=60)
