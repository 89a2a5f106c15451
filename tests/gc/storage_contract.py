"""What the contract of a storage (test_storage_contract.py) asks of one that is put under it.

A storage joins by one line in RIGS: a name, and a function that makes a Rig in an empty folder. The rig says
what its kind of storage is `able` to do at all, and plays the registry and the time beside the pruner.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Literal, Protocol

import pytest

from pruner.storage import Storage
from pruner.storage.filesystem import FileSystem
from pruner.storage.paced import Paced
from pruner.storage.s3.bucket import Bucket
from pruner.storage.s3.looker import Areas
from pruner.storage.s3.storage import S3Storage
from tests.gc.memorybucket import MemoryBucket
from tests.gc.memorystorage import MemoryStorage
from tests.gc.s3place import ROOT, Server, s3_place
from tests.gc.storagedoubles import ClockedFileSystem, FakeClock, Interposed

Ability = Literal["folders", "handles", "kinds", "times", "disk", "kernel"]
"""`folders`: they are there of themselves, may be empty, and have times; `handles`: who has a file open goes
on writing to it wherever it was renamed to; `kinds`: there are symbolic links, and FIFOs; `times`: any file
keeps its own when it is renamed, and not links alone; `disk`: it may be full; `kernel`: who finds a lock held
hears so at once, since a dead holder's is free."""

_AREAS = Areas("folder", "tree", "state", "state/current", "state/trash")
LATER = 10.0
"""Seconds; longer than the grain of any storage's clock."""


class Rig(Protocol):
    """A storage under the contract."""

    @property
    def storage(self) -> Storage:
        """What is tested; empty at first."""
        ...

    @property
    def able(self) -> frozenset[Ability]:
        """What its kind of storage has."""
        ...

    def lay(self, path: str, content: bytes) -> None:
        """Write a file as a registry does: into the one that is there, with the folders above it."""
        ...

    def settle(self) -> None:
        """Let time pass, until the times of what was written tell it from what is written next."""
        ...


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A storage whose files lie below `root`; `moved` is how far the clock that it asks was put on."""

    storage: Storage
    root: Path
    moved: list[float]
    clock: FakeClock | None = None
    able: frozenset[Ability] = frozenset(("folders", "handles", "kinds", "times", "disk", "kernel"))

    def lay(self, path: str, content: bytes) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        if self.clock is not None:
            os.utime(file, (self.clock.now(), self.clock.now()))

    def settle(self) -> None:
        time.sleep(0.02)  # the kernel's own clock, which stamps the files, ticks a hundred times a second
        self.moved[0] += LATER
        if self.clock is not None:
            self.clock.advance(LATER)


@dataclass(frozen=True, slots=True)
class InMemory:
    """The double that most tests of runs work on."""

    storage: MemoryStorage
    able: frozenset[Ability] = frozenset(("folders", "handles", "times", "disk", "kernel"))

    def lay(self, path: str, content: bytes) -> None:
        if "/" in path:
            self.storage.make_folder(path.rpartition("/")[0])
        self.storage.fill(self.storage.open(path), content)

    def settle(self) -> None:
        self.storage.clock.advance(LATER)


@dataclass(frozen=True, slots=True)
class InBucket:
    """An object store, with the double of a bucket below it."""

    storage: S3Storage
    bucket: MemoryBucket
    able: frozenset[Ability] = frozenset()

    def lay(self, path: str, content: bytes) -> None:
        self.bucket.put(path, content)

    def settle(self) -> None:
        self.bucket.clock.advance(LATER)


@dataclass(frozen=True, slots=True)
class OnServer:
    """The same on a server; `running` is closed when the test is over."""

    storage: S3Storage
    bucket: Bucket
    running: ExitStack
    able: frozenset[Ability] = frozenset()

    def lay(self, path: str, content: bytes) -> None:
        self.bucket.put(f"{ROOT}/{path}", content)

    def settle(self) -> None:
        time.sleep(1.1)  # its times are whole seconds


def _moved(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How far the wall clock is put on that the file system compares times with."""
    moved, now = [0.0], time.time
    later = SimpleNamespace(time=lambda: now() + moved[0])
    monkeypatch.setattr("pruner.storage.filesystem.time", later)
    return moved


def _filesystem(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return OnDisk(FileSystem(str(folder)), folder, _moved(monkeypatch))


def _clocked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    clock = FakeClock()
    return OnDisk(ClockedFileSystem(str(folder), clock), folder, _moved(monkeypatch), clock)


def _interposed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return OnDisk(Interposed(FileSystem(str(folder))), folder, _moved(monkeypatch))


def _paced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return OnDisk(Paced(FileSystem(str(folder)), 1e6, FakeClock()), folder, _moved(monkeypatch))


def _memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    del folder, monkeypatch
    return InMemory(MemoryStorage(FakeClock()))


def _bucket(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    del folder, monkeypatch
    bucket = MemoryBucket(FakeClock())
    return InBucket(S3Storage(bucket, "s3://memory", "", _AREAS, bucket.clock, workers=1), bucket)


def _on(server: Server) -> Callable[[Path, pytest.MonkeyPatch], Rig]:
    def rig(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
        del monkeypatch
        with ExitStack() as starting:
            place = starting.enter_context(s3_place(server, folder))
            bucket = place.bucket()
            storage = S3Storage(bucket, place.parameters.url, ROOT, _AREAS, FakeClock())
            return OnServer(storage, bucket, starting.pop_all())

    return rig


RIGS: Mapping[str, Callable[[Path, pytest.MonkeyPatch], Rig]] = {
    "filesystem": _filesystem,
    "filesystem-clocked": _clocked,
    "filesystem-watched": _interposed,
    "filesystem-paced": _paced,
    "memory": _memory,
    "bucket": _bucket,
    "versitygw": _on("versitygw"),
    "moto": _on("moto"),
}
