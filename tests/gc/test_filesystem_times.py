"""What the file system's own numbers say, and where they are not to be trusted: mounts, networks, counts."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pruner.clock import RunTime
from pruner.storage import Entry, mounts
from pruner.storage.filesystem import GRAIN, FileSystem
from pruner.tree.library import Library
from tests.gc.images import image, layer
from tests.gc.inprocess import Pruner
from tests.gc.twoimages import KEPT, blobs_of, fill

NETWORK = ("nfs", "nfs4", "cifs", "smb3", "fuse.glusterfs", "ceph", "9p", "fuse.sshfs", "")


def is_of(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Every tree lies on a file system of that type."""

    def type_of(_root: str) -> str:
        return kind

    monkeypatch.setattr("pruner.storage.mounts.type_of", type_of)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every time counts as long past: nothing but the kind of the file system stands in the way."""
    monkeypatch.setattr("pruner.storage.filesystem.GRAIN", -3600.0)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A folder in a tree on which another file system is mounted."""
    folder = tmp_path / "tree/mounted"
    folder.mkdir(parents=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.usefixtures("settled")
def test_the_times_of_another_file_system_in_the_tree_are_not_compared(mounted: Path) -> None:
    """Its inodes may be those of the tree's own folders, and its clock another's."""
    (mounted / "below").mkdir()
    storage = FileSystem(str(mounted.parent))
    assert storage.stamp("") is not None
    assert storage.stamp("mounted") is None
    assert storage.stamp("mounted/below") is None
    assert FileSystem(str(mounted)).stamp("below") is not None, "as a tree of its own it is trusted"


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("kind", NETWORK)
def test_the_times_of_a_network_file_system_are_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / "folder").mkdir()
    assert FileSystem(str(tmp_path)).stamp("folder") is not None
    is_of(monkeypatch, kind)
    assert kind not in mounts.LOCAL | mounts.COUNTING
    assert FileSystem(str(tmp_path)).stamp("folder") is None


def test_the_type_is_that_of_the_very_mount(mounted: Path) -> None:
    assert mounts.type_of(str(mounted)) == "tmpfs"
    assert mounts.type_of("/proc") == "proc"
    assert mounts.type_of(str(mounted / "not there")) == ""


@pytest.fixture
def pruner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pruner:
    monkeypatch.setattr("pruner.tree.scan.ENTERED", 0)
    pruner = Pruner(tmp_path)
    fill(pruner)
    return pruner


def listed_again(pruner: Pruner) -> int:
    """How many folders and links a second look of a run lists and reads, when nothing changed."""
    observer = pruner.place().observer(RunTime(pruner.clock), Library(pruner.storage))
    observer.look()
    pruner.storage.calls.clear()
    look = observer.look(held=())
    assert blobs_of(KEPT) <= look.marks.blobs
    asked = [(operation, path) for operation, path in pruner.storage.calls if "/blobs/" not in path]
    return sum(operation in ("list", "read") for operation, _ in asked)


@pytest.mark.usefixtures("settled")
def test_a_later_look_on_a_network_file_system_looks_whole(
    pruner: Pruner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A time from a cache would show a tag as it was: pushed again meanwhile, and its blobs unneeded."""
    local = listed_again(pruner)
    is_of(monkeypatch, "nfs4")
    pruner.files = type(pruner.files)(str(pruner.data), pruner.clock)
    pruner.storage.inner = pruner.files
    network = listed_again(pruner)
    assert network > local + 5
    tag = "docker/registry/v2/repositories/app/_manifests/tags/kept/current/link"
    assert ("read", tag) in pruner.storage.calls, "and reads each tag"


def test_what_changed_within_the_grain_of_the_clock_tells_nothing(tmp_path: Path) -> None:
    storage = FileSystem(str(tmp_path))
    (tmp_path / "file").write_bytes(b"content")
    assert (storage.stamp(""), storage.stat("file").version, storage.read("file", 9).version) == (None, 0, 0)
    moment = os.stat(tmp_path).st_mtime - 3600
    os.utime(tmp_path, (moment, moment))
    os.utime(tmp_path / "file", (moment, moment))
    assert storage.stamp("") is None, "a time that was put back does not hide the change: ctime is not"
    assert storage.stat("file").version == 0
    assert GRAIN >= 2, "FAT keeps times to two seconds"


class Counted:
    """What the operating system says of a folder, but for the number of its links."""

    def __init__(self, found: os.stat_result, links: int) -> None:
        self._found = found
        self.st_nlink = links

    def __getattr__(self, name: str) -> object:
        return getattr(self._found, name)


@pytest.mark.parametrize("links", [1, 2])
def test_a_file_system_that_counts_no_folders_is_listed_with_kinds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: int
) -> None:
    """btrfs and overlay say 1 of every folder; so does ext4 where there are too many to count."""
    for name in ("a", "b"):
        (tmp_path / "mixed" / name).mkdir(parents=True)
        (tmp_path / "folders" / name).mkdir(parents=True)
    (tmp_path / "mixed/file").write_bytes(b"")
    (tmp_path / "files").mkdir()
    (tmp_path / "files/file").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    real = os.stat

    def uncounted(path: str, *, follow_symlinks: bool = True) -> Counted:
        return Counted(real(path, follow_symlinks=follow_symlinks), links)

    monkeypatch.setattr("os.stat", uncounted)
    for kind in ("ext4", "btrfs", "overlay"):
        storage = FileSystem(str(tmp_path))
        storage.__dict__["_type"] = kind
        assert _sorted(storage, "mixed") == (["a", "b"], [Entry("file", "file")])
        assert _sorted(storage, "folders") == (["a", "b"], [])
        assert _sorted(storage, "files") == ([], [Entry("file", "file")])
        assert _sorted(storage, "empty") == ([], [])


def _sorted(storage: FileSystem, path: str) -> tuple[list[str], list[Entry]]:
    names, others = storage.folders(path)
    return sorted(names), others


def test_the_count_of_links_spares_the_kinds_where_it_tells_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    storage = FileSystem(str(tmp_path))
    if storage._type not in mounts.COUNTING:  # pyright: ignore[reportPrivateUsage]
        pytest.skip("the folder of the tests lies on a file system that does not count")

    def refused(*_: object) -> None:
        raise AssertionError("every kind was asked for")

    monkeypatch.setattr("os.scandir", refused)
    assert _sorted(storage, "") == (["a", "b", "c"], [])
    monkeypatch.undo()
    (tmp_path / "file").write_bytes(b"")
    assert _sorted(storage, "") == (["a", "b", "c"], [Entry("file", "file")])


def test_a_plan_is_the_same_where_folders_are_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history of a tag is told by such a count, too."""
    pruner = Pruner(tmp_path)
    fill(pruner)
    newer = image([layer("newer")], "newer")
    pruner.tree.push("app", newer, "kept")
    pruner.old()
    before = pruner.plan().removals
    assert any(removal.kind == "index-link" for removal in before)
    real = os.lstat

    def uncounted(path: str) -> Counted:
        found = real(path)
        return Counted(found, 1 if stat.S_ISDIR(found.st_mode) else found.st_nlink)

    monkeypatch.setattr("os.lstat", uncounted)
    is_of(monkeypatch, "btrfs")
    assert pruner.plan().removals == before
