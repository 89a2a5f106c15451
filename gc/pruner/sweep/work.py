"""The values that the phases of a run share and hand on."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from pruner.decide.look import Look, Observer
from pruner.decide.plan import Removal
from pruner.decide.taken import Trashed
from pruner.storage import Storage
from pruner.sweep.journal import Held
from pruner.sweep.state import Lock


class Caches(Protocol):
    """What remembers descriptors in front of the storage."""

    def flush(self, links: Sequence[Removal], blobs: Sequence[Removal]) -> str:
        """Make the registry see the removals; a sentence on what was done, or empty. Raises RegistryError."""
        ...

    def forget(self, links: Sequence[Removal], blobs: Sequence[Removal]) -> None:
        """Forget what is held and quarantined now, whatever was put back since; raises RegistryError."""
        ...


@dataclass(slots=True)
class Execution:
    """What a run did.

    `removed` are removals that were carried out, `put_back` counts links and `restored` blobs that something
    new needed, `purged` are blobs whose bytes are gone from the trash, `phases` seconds by name. `last` is
    the last look that was taken.
    """

    removed: list[Removal] = field(default_factory=list[Removal])
    put_back: int = 0
    restored: int = 0
    purged: list[Trashed] = field(default_factory=list[Trashed])
    phases: dict[str, float] = field(default_factory=dict[str, float])
    notes: list[str] = field(default_factory=list[str])
    last: Look | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What the phases of a run share, of which only `done` changes. `expired`: what leaves the trash."""

    first: Look
    observer: Observer
    caches: Caches
    lock: Lock
    expired: Mapping[str, Removal]
    id: str = field(default_factory=lambda: os.urandom(4).hex())
    done: Execution = field(default_factory=Execution)

    @property
    def storage(self) -> Storage:
        """What the run works on."""
        return self.observer.storage

    @contextmanager
    def phase(self, name: str) -> Generator[None]:
        """Say that a phase begins, and note how long it took."""
        self.observer.progress(name, 0)
        start = self.observer.time.clock.monotonic()
        try:
            yield
        finally:
            taken = self.observer.time.clock.monotonic() - start
            self.done.phases[name] = round(self.done.phases.get(name, 0.0) + taken, 3)


@dataclass(frozen=True, slots=True)
class Holding:
    """The links that are away, and the folders of revisions that this emptied with their mtimes after it."""

    links: tuple[Held, ...]
    emptied: Mapping[str, float]

    @property
    def removals(self) -> tuple[Removal, ...]:
        """What took the links away."""
        return tuple(held.removal for held in self.links)
