"""A run that fails or is killed at any of its storage calls: the next one does the rest, and nothing is lost.

What is left is compared with an independent reference, exactly.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache

import pytest

from pruner.errors import PrunerError
from pruner.settings.table import Settings
from tests.gc import reference, richtree
from tests.gc.fakeclock import SteppedClock
from tests.gc.memorystorage import MemoryStorage
from tests.gc.modelpruner import ModelPruner
from tests.gc.modelregistry import BASE, ModelRegistry
from tests.gc.storagedoubles import READS, Interposed, Killed

SETTINGS = Settings(grace=600, untagged_after=86400, uploads_after=86400, trash=86400, max_fraction=1)
AT_ONCE = replace(SETTINGS, trash=0)
STATE = f"{BASE}/pruner"
NEVER = 1 << 30


@dataclass(slots=True)
class Calls:
    """Counts the storage's calls; the one numbered `at` raises, and after a kill so do all later ones."""

    at: int = NEVER
    raised: Callable[[], BaseException] = Killed
    count: int = 0
    log: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def __call__(self, operation: str, path: str) -> None:
        self.count += 1
        self.log.append((operation, path))
        if self.count == self.at or (self.count > self.at and self.raised is Killed):
            raise self.raised()


class Scene:
    """A tree of which it is known what must stay, and a pruner for it."""

    def __init__(
        self, settings: Settings, storage: MemoryStorage, clock: SteppedClock, stays: set[str]
    ) -> None:
        self.storage = storage
        self.stays = stays
        registry = ModelRegistry(storage, atomic=True)
        self.pruner = ModelPruner(storage, clock, registry, settings)

    @staticmethod
    def make(settings: Settings = SETTINGS, *, small: bool = False) -> Scene:
        storage, stays = _tree(small)
        clock = SteppedClock()
        clock.advance(storage.clock.now() - clock.now())
        return Scene(settings, storage.copy(clock), clock, stays)

    def files(self) -> reference.Files:
        return self.storage.files(without=STATE)

    def run(self, calls: Calls) -> Calls:
        """A run that meets `calls`; the storage is sound again afterwards."""
        self.storage.between = calls
        try:
            self.pruner.run(Interposed(self.storage, calls))
        finally:
            self.storage.between = lambda _operation, _path: None
        return calls

    def is_undone_or_decided(self) -> bool:
        """A run that fails puts back what it holds by itself, unless the next one is to finish it."""
        journal = self.storage.files().get(f"{STATE}/current/journal")
        return journal is None or b"decided" in journal[0]

    def killed_run(self, at: int) -> None:
        with pytest.raises(Killed):
            self.run(Calls(at))
        assert self.stays <= self.files().keys()

    def last_run(self) -> None:
        self.run(Calls())
        assert reference.links_and_blobs(self.files()) == self.stays
        assert not self.storage.exists(f"{STATE}/current")


@cache
def _tree(small: bool) -> tuple[MemoryStorage, set[str]]:
    clock = SteppedClock()
    storage = MemoryStorage(clock)
    registry = ModelRegistry(storage, atomic=True)
    if small:
        richtree.small(registry)
        clock.advance(30 * richtree.DAY)
    else:
        richtree.rich(storage, clock, registry)
    stays = reference.survivors(storage.files(), clock.now(), SETTINGS.untagged_after, SETTINGS.grace)
    return storage, stays


def calls_of_a_run(settings: Settings = SETTINGS, *, small: bool = False) -> list[tuple[str, str]]:
    return Scene.make(settings, small=small).run(Calls()).log


def changes(log: list[tuple[str, str]]) -> list[int]:
    """Numbers of the calls that change something: a kill at a read is one at the next change."""
    return [number for number, (operation, _) in enumerate(log, 1) if operation not in READS]


def failure(code: int) -> Callable[[], OSError]:
    return lambda: OSError(code, os.strerror(code), "a test's failure")


def test_an_undisturbed_run_leaves_exactly_the_reference() -> None:
    scene = Scene.make()
    before = reference.links_and_blobs(scene.files())
    scene.last_run()
    assert len(before) - len(scene.stays) > 20
    assert len(scene.stays) > 20


@pytest.mark.parametrize("settings", [SETTINGS, AT_ONCE], ids=["trash kept", "trash purged at once"])
def test_killed_at_every_change(settings: Settings) -> None:
    for at in changes(calls_of_a_run(settings)):
        scene = Scene.make(settings)
        scene.killed_run(at)
        scene.last_run()


@pytest.mark.parametrize("settings", [SETTINGS, AT_ONCE], ids=["trash kept", "trash purged at once"])
def test_killed_again_at_every_change_of_the_recovery(settings: Settings) -> None:
    recoveries = 0
    for first in changes(calls_of_a_run(settings, small=True)):
        interrupted = Scene.make(settings, small=True)
        interrupted.killed_run(first)
        log = interrupted.run(Calls()).log
        until = log.index(("list", f"{BASE}/blobs"))
        for second in changes(log[:until]):
            scene = Scene.make(settings, small=True)
            scene.killed_run(first)
            scene.killed_run(second)
            scene.last_run()
            recoveries += 1
    assert recoveries > 100


def fail(scene: Scene, at: int, code: int) -> None:
    try:
        scene.run(Calls(at, failure(code)))
    except PrunerError:
        assert scene.stays <= scene.files().keys()
        assert scene.is_undone_or_decided()
    scene.last_run()


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
def test_failed_at_every_change(code: int) -> None:
    for at in changes(calls_of_a_run()):
        fail(Scene.make(), at, code)


def test_failed_at_every_call_that_reads_or_changes() -> None:
    for at in range(1, len(calls_of_a_run(small=True)) + 1):
        fail(Scene.make(small=True), at, errno.EIO)
