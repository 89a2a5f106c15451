"""A disk that is full, or mounted read-only: file systems of their own, which only root can mount."""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pruner.errors import ClockError, WriteError
from pruner.sweep import state, trash
from tests.gc.images import digest_of, image, layer
from tests.gc.inprocess import ONLINE, Pruner, kinds
from tests.gc.treebuilder import snapshot

SIZE = 24 << 20  # bytes of the disk
KEPT = image([layer("base"), layer("kept")], "kept")
GONE = [image([layer("base"), layer(f"gone {number}", 200_000)], f"gone {number}") for number in range(12)]


@contextmanager
def mounted(folder: Path, *command: str) -> Generator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", *command, str(folder)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True, capture_output=True)


@pytest.fixture
def pruner(tmp_path: Path) -> Iterator[Pruner]:
    """A tree on a small ext4 of its own."""
    disk = tmp_path / "disk.img"
    with open(disk, "wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(disk)], check=True)
    with mounted(tmp_path / "data", "-o", "loop", str(disk)):
        pruner = Pruner(tmp_path, ONLINE)
        pruner.tree.push("app", KEPT, "kept")
        for each in GONE:
            pruner.tree.push("app", each)
        pruner.old()
        yield pruner


def fill_up(pruner: Pruner) -> None:
    """As a large push would: not one block is left."""
    for size in (1 << 20, 4096, 1):
        try:
            with open(pruner.data / "docker/filler", "ab", buffering=0) as file:
                while file.write(b"x" * size):
                    pass
        except OSError as error:
            assert error.errno == errno.ENOSPC
    with pytest.raises(OSError, match="No space left"):
        while True:  # folders take blocks of their own
            tempfile.mkdtemp(dir=pruner.data / "docker")
    assert free_bytes(pruner) == 0


def free_bytes(pruner: Pruner) -> int:
    found = os.statvfs(pruner.data)
    return found.f_bavail * found.f_frsize


def is_pruned(pruner: Pruner) -> bool:
    gone = {digest_of(layer(f"gone {number}", 200_000)) for number in range(len(GONE))}
    return not gone & pruner.blobs() and pruner.verify().problems == ()


def reserved(pruner: Pruner) -> int:
    path = pruner.data / state.RESERVE
    return path.stat().st_blocks * 512 if path.exists() else 0


def reserve(pruner: Pruner) -> None:
    """What the pruner does when its container starts."""
    with state.locked(pruner.files, pruner.clock):
        assert state.reserve(pruner.files)


def test_a_full_disk_does_not_stop_a_run_that_empties_it(pruner: Pruner) -> None:
    reserve(pruner)
    assert reserved(pruner) >= state.RESERVE_SIZE, "blocks, and not a hole"
    fill_up(pruner)
    report = pruner.run()
    assert is_pruned(pruner)
    assert report.facts["purged_blobs"] >= 3 * len(GONE) - 1
    assert free_bytes(pruner) > 1_000_000
    assert reserved(pruner) >= state.RESERVE_SIZE, "kept again for the next time"
    assert pruner.run().removals == ()


def test_a_purge_of_the_trash_needs_no_space(pruner: Pruner) -> None:
    pruner.run(trash=86400)
    assert len(trash.listing(pruner.files)) >= 3 * len(GONE) - 1
    fill_up(pruner)
    pruner.clock.advance(2 * 86400)
    pruner.run()
    assert trash.listing(pruner.files) == []
    assert free_bytes(pruner) > 1_000_000
    assert is_pruned(pruner)


def test_a_disk_that_fills_while_a_run_waits_stops_neither_its_end_nor_its_undoing(pruner: Pruner) -> None:
    before = pruner.snapshot()

    def meanwhile(_seconds: float) -> None:
        fill_up(pruner)
        pruner.clock.jump(7200)

    pruner.clock.while_asleep = meanwhile
    with pytest.raises(ClockError):
        pruner.run()
    assert before.items() <= pruner.snapshot().items()
    pruner.clock.while_asleep = lambda _seconds: None
    fill_up(pruner)
    pruner.run()
    assert is_pruned(pruner)


def test_without_reserved_space_a_full_disk_is_said_and_nothing_is_lost(pruner: Pruner) -> None:
    fill_up(pruner)
    before = pruner.snapshot()
    with pytest.raises(WriteError, match="No space left on device") as caught:
        pruner.run()
    assert caught.value.exit_code == 12
    assert pruner.snapshot() == before
    (pruner.data / "docker/filler").unlink()
    pruner.run()
    assert is_pruned(pruner)


def test_a_file_system_mounted_read_only(pruner: Pruner) -> None:
    before = snapshot(pruner.data)
    subprocess.run(["mount", "-o", "remount,ro", str(pruner.data)], check=True)
    with pytest.raises(WriteError, match="Read-only file system") as caught:
        pruner.run()
    assert caught.value.exit_code == 12
    assert snapshot(pruner.data) == before
    assert kinds(pruner.plan())["revision"] == len(GONE), "a plan only reads"
