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
from pruner.settings.policies import Policy
from pruner.sweep import phases, state, trash
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


LINKS = 14_000
"""More than a journal in the reserved space names: about 12,000."""


def with_links(pruner: Pruner, count: int) -> Path:
    """An old repository with so many links to layers that no manifest needs, and one blob that goes."""
    pruner.tree.push("app", KEPT, "kept")
    folder = pruner.tree.layer_path("app", "sha256:" + "0" * 64).parent.parent
    for number in range(count):
        digest = f"{number:064x}"
        (folder / digest).mkdir()
        (folder / digest / "link").write_text(f"sha256:{digest}")
    pruner.tree.push("app", GONE[0])
    pruner.old()
    return folder


def test_item_11_a_full_disk_with_more_links_than_the_journal_has_room_for_is_mended(tmp_path: Path) -> None:
    """Each run holds those that fit, and the next one goes on: none ends with 12."""
    disk = tmp_path / "disk.img"
    with open(disk, "wb") as file:
        file.truncate(96 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-b", "1024", "-N", "40000", str(disk)], check=True)
    with mounted(tmp_path / "data", "-o", "loop", str(disk)):
        pruner = Pruner(tmp_path, ONLINE)
        folder = with_links(pruner, LINKS)
        reserve(pruner)
        fill_up(pruner)
        first = pruner.run()
        assert any("the next run goes on" in note for note in first.notes)
        held = sum(removal.kind == "layer-link" for removal in first.removals)
        assert 5_000 < held < LINKS
        assert {problem.kind for problem in pruner.verify().problems} == {"missing-blob"}, "of those links"
        fill_up(pruner)
        for _ in range(3):
            pruner.run()
            fill_up(pruner)
        assert {path.name for path in folder.iterdir()} == {digest_of(blob)[7:] for blob in KEPT.blobs}
        assert not pruner.has_blob(GONE[0].digest)
        assert pruner.verify().problems == ()


def test_a_tag_is_never_held_by_half_when_the_disk_is_full(
    pruner: Pruner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its history without the tag would dangle, and keep for good what a policy drops."""
    monkeypatch.setattr(phases, "STRETCH", 3)
    for each in GONE:
        pruner.tree.push("app", each, "pr-1")
    pruner.tree.push("app", KEPT, "pr-2")
    pruner.old()

    full = [True]

    def before(operation: str, path: str) -> None:
        if full and operation == "append":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    current_link = pruner.tree.tag_path("app", "pr-1")

    def asleep(_seconds: float) -> None:
        full.clear()
        assert current_link.exists(), "it was held, and went back with what was held of its history"

    pruner.storage.before = before
    pruner.clock.while_asleep = asleep
    report = pruner.run(retention=(Policy(("app",), ("pr-1",), 0, None, None),))
    assert not full
    assert any("disk is full" in note for note in report.notes)
    assert current_link.exists()
    assert not [removal for removal in report.removals if removal.tag == "pr-1"]
    pruner.clock.while_asleep = lambda _seconds: None
    pruner.run()
    assert not current_link.parent.parent.exists()
    assert pruner.verify().problems == ()
