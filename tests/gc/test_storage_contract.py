"""The contract that every storage keeps, real or double: what the pruner relies on, call by call.

Most of the evidence that nothing is lost comes from runs on the double in memory, which is worth what the
double is: so the same contract runs over both, and random calls must have the same results on both.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pruner.errors import Busy
from pruner.storage import Content, Entry, Odd, Storage, is_odd
from pruner.storage.filesystem import FileSystem
from tests.gc.memorystorage import MemoryStorage
from tests.gc.storage_contract import RIGS, Ability, InMemory, OnDisk, OnServer, Rig
from tests.gc.storagedoubles import FakeClock

MIB = 1024 * 1024


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Rig]:
    folder = tmp_path / "storage"
    folder.mkdir()
    rig = RIGS[request.param](folder, monkeypatch)
    yield rig
    if isinstance(rig, OnServer):
        rig.running.close()


@pytest.fixture
def storage(rig: Rig) -> Storage:
    return rig.storage


def needs(rig: Rig, ability: Ability) -> None:
    if ability not in rig.able:
        pytest.skip(f"it has no {ability}")


@contextmanager
def refused_as_odd() -> Generator[None]:
    """What is there is something else: never the same as nothing there."""
    with pytest.raises(OSError) as caught:
        yield
    assert not isinstance(caught.value, FileNotFoundError)
    assert is_odd(caught.value), caught.value


def names(storage: Storage, path: str) -> list[str]:
    return [entry.name for entry in storage.list(path)]


def content(storage: Storage, path: str) -> bytes:
    return storage.read(path, MIB).content


# -- reading


def test_a_folder_is_listed_sorted_with_kinds(rig: Rig, storage: Storage) -> None:
    for path in ("b/of b", "c", "a/of a/deep", "a b"):
        rig.lay(path, b"")
    listed = [Entry("a", "folder"), Entry("a b", "file"), Entry("b", "folder"), Entry("c", "file")]
    assert storage.list("") == listed
    assert storage.list("a") == [Entry("of a", "folder")]
    assert storage.list("a/of a") == [Entry("deep", "file")]


def test_folders_tells_what_list_does(rig: Rig, storage: Storage) -> None:
    for path in ("mixed/b/x", "mixed/a/x", "mixed/file", "only/b/x", "only/a/x", "leaf/file"):
        rig.lay(path, b"")
    for path in ("", "mixed", "only", "leaf"):
        found, others = storage.folders(path)
        together = [*(Entry(name, "folder") for name in found), *others]
        assert sorted(together) == storage.list(path), path
        assert others == sorted(others)


def test_what_is_not_there_is_not_found(rig: Rig, storage: Storage) -> None:
    rig.lay("a/there", b"")
    for path in ("absent", "a/absent", "absent/below"):
        asked: list[Callable[[str], object]] = [
            storage.list,
            storage.folders,
            storage.stat,
            lambda path: storage.read(path, MIB),
            lambda path: list(storage.chunks(path, 10)),
        ]
        for ask in asked:
            with pytest.raises(FileNotFoundError):
                ask(path)
    assert list(storage.read_many(["absent", "absent/below"], MIB)) == [None, None]
    assert list(storage.stat_many(["absent", "absent/below"])) == [None, None]


def test_what_is_something_else_is_odd_and_not_missing(rig: Rig, storage: Storage) -> None:
    needs(rig, "folders")
    rig.lay("folder/file", b"content")
    for ask in (storage.list, storage.folders):
        with refused_as_odd():
            ask("folder/file")
        with refused_as_odd():
            ask("folder/file/below")
    with pytest.raises(Odd):
        storage.read("folder", MIB)
    with refused_as_odd():
        storage.read("folder/file/below", MIB)
    with refused_as_odd():
        storage.stat("folder/file/below")
    read = list(storage.read_many(["folder", "folder/file/below", "folder/file"], MIB))
    assert [type(each) for each in read] == [Odd, Odd, Content]
    stats = list(storage.stat_many(["folder/file/below", "folder"]))
    assert stats[0] is None
    assert stats[1] is not None and stats[1].kind == "folder"


@pytest.mark.parametrize("size", [0, 1, 71, 4096, 70_000])
def test_a_file_is_read_whole_and_up_to_a_limit(rig: Rig, storage: Storage, size: int) -> None:
    written = random.Random(size).randbytes(size)
    rig.lay("a/file", written)
    stat = storage.stat("a/file")
    assert (stat.size, stat.kind, stat.links) == (size, "file", 1)
    for limit in (1, 71, 72, 4096, 70_000, MIB):
        read = storage.read("a/file", limit)
        assert read.content == written[:limit]
        assert (read.mtime, read.version) == (stat.mtime, stat.version)
    for at_once in (1000, MIB):
        pieces = list(storage.chunks("a/file", at_once))
        assert b"".join(pieces) == written
        assert all(0 < len(piece) <= at_once for piece in pieces)


def test_many_are_read_in_the_order_that_was_asked_for(rig: Rig, storage: Storage) -> None:
    paths = [f"many/{number % 7}/{number}" for number in range(300)]
    for number, path in enumerate(paths):
        if number % 3:
            rig.lay(path, f"content {number}".encode())
    shuffled = list(enumerate(paths))
    random.Random(7).shuffle(shuffled)
    asked = [path for _, path in shuffled]
    for read, stat, (number, path) in zip(
        storage.read_many(iter(asked), MIB), storage.stat_many(iter(asked)), shuffled, strict=True
    ):
        if number % 3:
            assert isinstance(read, Content)
            assert stat == storage.stat(path)
            assert (read.content, read.mtime) == (f"content {number}".encode(), storage.stat(path).mtime)
        else:
            assert read is None
            assert stat is None
    assert list(storage.read_many((), MIB)) == []
    assert list(storage.stat_many(())) == []


def test_many_are_read_one_by_one_as_they_are_taken(rig: Rig, storage: Storage) -> None:
    """Who takes the first is not made to wait for a hundred thousand, nor to hold them."""
    rig.lay("first", b"first")
    asked: list[str] = []

    def paths() -> Generator[str]:
        for number in range(100_000):
            asked.append(f"absent{number}" if number else "first")
            yield asked[-1]

    first = next(iter(storage.read_many(paths(), MIB)))
    assert isinstance(first, Content) and first.content == b"first"
    assert len(asked) <= 2000


def test_what_is_not_a_plain_file_is_reported_and_not_followed(rig: Rig, storage: Storage) -> None:
    needs(rig, "kinds")
    assert isinstance(rig, OnDisk)
    rig.lay("real/file", b"content")
    targets = {
        "to a file": "real/file",
        "to a folder": "real",
        "to itself": "to itself",
        "to nothing": "nothing",
    }
    for name in (*targets, "a fifo"):
        kind = "symlink" if name in targets else "other"
        if name in targets:
            (rig.root / name).symlink_to(targets[name])
        else:
            os.mkfifo(rig.root / name)
        assert Entry(name, kind) in storage.list("")
        found, others = storage.folders("")
        assert name not in found
        assert Entry(name, kind) in others
        assert storage.stat(name).kind == kind
        with pytest.raises(Odd):
            storage.read(name, MIB)  # and nobody waits at the FIFO for a writer
        assert isinstance(next(iter(storage.read_many([name], MIB))), Odd)
    # A folder behind a link is listed: a registry that is mounted so follows it.
    assert names(storage, "to a folder") == ["file"]
    assert storage.identity("to a folder") == storage.identity("real")
    for ask in (storage.list, storage.folders):
        with refused_as_odd():
            ask("to itself")
        with refused_as_odd():
            ask("a fifo")


def test_names_that_are_not_utf8_lead_back(rig: Rig, storage: Storage) -> None:
    needs(rig, "folders")
    name = os.fsdecode(b"caf\xe9")
    rig.lay(f"{name}/{name}", b"content")
    assert names(storage, "") == [name]
    assert content(storage, f"{storage.list('')[0].name}/{name}") == b"content"


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.ESTALE, errno.ETIMEDOUT])
def test_what_cannot_be_read_is_an_error_and_not_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """On every way to read: else a disk that fails looks like a tree where nothing is needed."""
    storage = FileSystem(str(tmp_path))
    (tmp_path / "file").write_bytes(b"content")

    def fails(*_args: object, **_options: object) -> None:
        raise OSError(code, os.strerror(code), "file")

    for call in ("open", "lstat", "stat", "scandir", "listdir"):
        monkeypatch.setattr(f"os.{call}", fails)
    asked: list[Callable[[], object]] = [
        lambda: storage.list(""),
        lambda: storage.folders(""),
        lambda: storage.read("file", MIB),
        lambda: list(storage.read_many(["file"], MIB)),
        lambda: storage.stat("file"),
        lambda: list(storage.stat_many(["file"])),
    ]
    for ask in asked:
        with pytest.raises(OSError) as caught:
            ask()
        assert caught.value.errno == code
        assert not isinstance(caught.value, FileNotFoundError)
        assert not is_odd(caught.value)
    monkeypatch.undo()


# -- what tells a change


def test_a_version_tells_any_two_contents_apart(rig: Rig, storage: Storage) -> None:
    """Of the same length, written in place or by a rename; 0 says that nothing tells."""
    seen: dict[int, bytes] = {}
    for number in range(6):
        written = f"content {number}".encode()
        if number % 2:
            storage.write("file", written)
        else:
            rig.lay("file", written)
        fresh = storage.read("file", MIB)
        assert seen.get(fresh.version, written) == written
        rig.settle()
        settled = storage.stat("file").version
        assert settled
        assert settled == storage.read("file", MIB).version == storage.stat("file").version
        assert next(iter(storage.read_many(["file"], MIB))) == storage.read("file", MIB)
        assert settled not in seen
        seen[settled] = written


def test_a_version_does_not_trust_a_time_that_was_put_back(rig: Rig, storage: Storage) -> None:
    needs(rig, "kinds")
    assert isinstance(rig, OnDisk)
    rig.lay("file", b"before")
    rig.settle()
    before = storage.stat("file")
    rig.lay("file", b"after!")
    os.utime(rig.root / "file", (before.mtime, before.mtime))
    rig.settle()
    after = storage.stat("file")
    assert (after.size, after.mtime) == (before.size, before.mtime)
    assert after.version != before.version


@pytest.mark.parametrize("change", ["add", "remove", "rename", "folder"])
def test_a_stamp_tells_that_names_changed(rig: Rig, storage: Storage, change: str) -> None:
    needs(rig, "folders")
    for name in ("old", "other"):
        rig.lay(f"folder/{name}", b"")
    rig.settle()
    stamp = storage.stamp("folder")
    assert stamp == storage.stamp("folder")
    match change:
        case "add":
            rig.lay("folder/new", b"")
        case "remove":
            storage.remove("folder/old")
        case "rename":
            storage.rename("folder/old", "folder/renamed")
        case _:
            storage.make_folder("folder/below")
    fresh = storage.stamp("folder")
    assert fresh is None or fresh != stamp
    rig.settle()
    assert storage.stamp("folder") != stamp
    with pytest.raises(FileNotFoundError):
        storage.stamp("absent")


def test_a_stamp_says_nothing_of_a_folder_that_changed_just_now(rig: Rig, storage: Storage) -> None:
    """It may change once more within the same tick of the clock."""
    needs(rig, "folders")
    rig.lay("folder/new", b"")
    assert storage.stamp("folder") is None


def test_a_folder_has_one_identity(rig: Rig, storage: Storage) -> None:
    rig.lay("a/file", b"")
    rig.lay("b/file", b"")
    assert storage.identity("a") == storage.identity("a")
    assert storage.identity("a") != storage.identity("b")


def test_a_view_is_not_older_than_when_it_was_asked_for(rig: Rig, storage: Storage) -> None:
    rig.lay("folder/kept", b"kept")
    rig.lay("folder/gone", b"gone")
    rig.lay("folder/changed", b"before")
    storage.view()
    storage.remove("folder/gone")
    rig.lay("folder/changed", b"after, and longer")
    rig.lay("folder/new", b"new")
    view = storage.view()
    assert view.root == storage.root
    assert [entry.name for entry in view.list("folder")] == ["changed", "kept", "new"]
    assert [entry.name for entry in view.folders("folder")[1]] == ["changed", "kept", "new"]
    assert view.read("folder/changed", MIB).content == b"after, and longer"
    assert view.stat("folder/changed").size == len(b"after, and longer")
    gone, new = view.read_many(["folder/gone", "folder/new"], MIB)
    assert gone is None
    assert isinstance(new, Content) and new.content == b"new"
    assert [stat is None for stat in view.stat_many(["folder/gone", "folder/new"])] == [True, False]


# -- changing


def test_a_file_is_removed_and_nothing_else(rig: Rig, storage: Storage) -> None:
    rig.lay("folder/file", b"")
    rig.lay("folder/other", b"other")
    storage.remove("folder/file")
    assert names(storage, "folder") == ["other"]
    with pytest.raises(FileNotFoundError):
        storage.remove("folder/file")
    if "folders" in rig.able:
        with pytest.raises(OSError):
            storage.remove("folder")
        storage.remove("folder/other")
        assert storage.list("folder") == [], "the folder stays"


def test_a_folder_is_removed_only_when_it_is_empty(rig: Rig, storage: Storage) -> None:
    needs(rig, "folders")
    rig.lay("folder/file", b"content")
    assert not storage.remove_folder("folder")
    assert content(storage, "folder/file") == b"content"
    storage.remove("folder/file")
    assert storage.remove_folder("folder")
    assert storage.list("") == []
    assert not storage.remove_folder("folder")
    rig.lay("file", b"content")
    with pytest.raises(OSError):
        storage.remove_folder("file")
    assert content(storage, "file") == b"content"


MANY = 1050
"""More than any storage changes at once."""


def test_many_files_are_removed_and_what_is_not_there_is_no_matter(rig: Rig, storage: Storage) -> None:
    for number in range(0, MANY, 5):
        rig.lay(f"folder/{number}", b"")
    rig.lay("folder/other", b"other")
    storage.remove_many(f"folder/{number}" for number in range(MANY))
    assert names(storage, "folder") == ["other"]
    storage.remove_many([])


def test_many_folders_are_removed_and_each_is_told_of(rig: Rig, storage: Storage) -> None:
    needs(rig, "folders")
    for number in range(MANY):
        storage.make_folder(f"some/{number}")
    for number in range(0, MANY, 7):
        rig.lay(f"some/{number}/file", b"content")
    gone = storage.remove_folders(f"some/{number}" for number in range(MANY + 1))
    assert gone == [number % 7 != 0 and number < MANY for number in range(MANY + 1)]
    left = list(range(0, MANY, 7))
    assert sorted(map(int, names(storage, "some"))) == left
    assert all(content(storage, f"some/{number}/file") == b"content" for number in left)
    assert storage.remove_folders([]) == []


def test_a_failure_among_many_is_raised(rig: Rig, storage: Storage) -> None:
    needs(rig, "folders")
    for number in range(MANY):
        storage.make_folder(f"some/{number}")
    rig.lay("some/file", b"content")
    paths = [f"some/{number}" for number in range(MANY)]
    with pytest.raises(OSError):
        storage.remove_many([*paths, "some/file"])
    with pytest.raises(OSError):
        storage.remove_folders(["some/file", *paths])
    assert content(storage, "some/file") == b"content"


def test_a_folder_is_made_with_those_above_it(rig: Rig, storage: Storage) -> None:
    storage.make_folder("a/b/c")
    storage.make_folder("a/b/c")
    storage.make_folder("a/b")
    storage.write("a/b/c/file", b"content")
    assert content(storage, "a/b/c/file") == b"content"
    if "folders" in rig.able:
        with pytest.raises(OSError):
            storage.make_folder("a/b/c/file")
        with pytest.raises(OSError):
            storage.make_folder("a/b/c/file/below")
        assert content(storage, "a/b/c/file") == b"content"


def test_a_rename_takes_a_file_away_with_its_time(rig: Rig, storage: Storage) -> None:
    rig.lay("place/file", b"taken")
    storage.make_folder("held")
    rig.settle()
    before = storage.stat("place/file")
    storage.rename("place/file", "held/0")
    after = storage.stat("held/0")
    assert content(storage, "held/0") == b"taken"
    assert after.size == before.size
    assert after.mtime == before.mtime or "times" not in rig.able
    with pytest.raises(FileNotFoundError):
        storage.stat("place/file")
    rig.lay("place/file", b"written since")
    assert content(storage, "held/0") == b"taken", "what comes after it is a file of its own"
    with pytest.raises(FileNotFoundError):
        storage.rename("place/absent", "held/1")
    assert names(storage, "held") == ["0"]


def test_a_rename_into_no_folder_leaves_the_file(rig: Rig, storage: Storage) -> None:
    needs(rig, "folders")
    rig.lay("place/file", b"content")
    with pytest.raises(FileNotFoundError):
        storage.rename("place/file", "absent/0")
    assert content(storage, "place/file") == b"content"


def test_a_folder_is_renamed_with_all_in_it(rig: Rig, storage: Storage) -> None:
    needs(rig, "folders")
    rig.lay("current/held/0", b"held")
    rig.lay("current/journal", b"journal")
    storage.make_folder("trash")
    storage.rename("current", "trash/1-run")
    assert names(storage, "") == ["trash"]
    assert content(storage, "trash/1-run/held/0") == b"held"
    assert content(storage, "trash/1-run/journal") == b"journal"


def test_who_has_a_file_open_writes_to_it_where_it_is_now(rig: Rig, storage: Storage) -> None:
    """A registry that opened a link before it was held: the write is in our hands, and its time tells."""
    needs(rig, "handles")
    rig.lay("place/link", b"old")
    storage.make_folder("held")
    rig.settle()
    seen = storage.stat("place/link").mtime
    written = b"written through the old handle"
    if isinstance(rig, InMemory):
        opened = rig.storage.open("place/link")
        storage.rename("place/link", "held/0")
        rig.storage.fill(opened, written)
    else:
        assert isinstance(rig, OnDisk)
        with (rig.root / "place/link").open("r+b") as handle:
            storage.rename("place/link", "held/0")
            handle.write(written)
    assert content(storage, "held/0") == written
    assert names(storage, "place") == []
    assert storage.stat("held/0").mtime != seen


def test_put_back_gives_way_to_what_is_newer(rig: Rig, storage: Storage) -> None:
    rig.lay("held/0", b"taken")
    storage.make_folder("place")
    rig.settle()
    before = storage.stat("held/0").mtime
    assert storage.put_back("held/0", "place/file")
    assert content(storage, "place/file") == b"taken"
    assert storage.stat("place/file").links == 1
    assert storage.stat("place/file").mtime == before or "times" not in rig.able
    with pytest.raises(FileNotFoundError):
        storage.stat("held/0")
    rig.lay("held/1", b"an older one")
    assert not storage.put_back("held/1", "place/file")
    assert content(storage, "place/file") == b"taken"
    assert content(storage, "held/1") == b"an older one"
    with pytest.raises(FileNotFoundError):
        storage.put_back("held/absent", "place/other")
    assert names(storage, "place") == ["file"]


def test_put_back_into_no_folder_leaves_the_file(rig: Rig, storage: Storage) -> None:
    needs(rig, "folders")
    rig.lay("held/0", b"taken")
    with pytest.raises(FileNotFoundError):
        storage.put_back("held/0", "absent/file")
    assert content(storage, "held/0") == b"taken"


def test_touch_gives_the_present_time(rig: Rig, storage: Storage) -> None:
    rig.lay("file", b"content")
    rig.settle()
    rig.lay("written now", b"")
    storage.touch("file")
    assert storage.stat("file").mtime >= storage.stat("written now").mtime
    assert content(storage, "file") == b"content"
    with pytest.raises(FileNotFoundError):
        storage.touch("absent")


def test_a_file_of_our_own_is_written_whole(rig: Rig, storage: Storage) -> None:
    storage.make_folder("own")
    for written in (b"first", b"", b"a longer one than the first"):
        storage.write("own/file", written)
        assert content(storage, "own/file") == written
        assert names(storage, "own") == ["file"], "nothing of the writing is left"
    if "folders" in rig.able:
        with pytest.raises(FileNotFoundError):
            storage.write("absent/file", b"")


def test_a_file_of_our_own_is_appended_to(storage: Storage) -> None:
    storage.make_folder("own")
    storage.append("own/file", b"first\n")
    storage.append("own/file", b"second\n")
    assert content(storage, "own/file") == b"first\nsecond\n"
    assert names(storage, "own") == ["file"]


def test_a_link_keeps_its_time_there_and_back(rig: Rig, storage: Storage) -> None:
    rig.lay("place/link", b"taken")
    storage.make_folder("held")
    rig.settle()
    before = storage.stat("place/link").mtime
    storage.rename("place/link", "held/link")
    assert storage.stat("held/link").mtime == before
    rig.settle()
    assert storage.put_back("held/link", "place/link")
    assert storage.stat("place/link").mtime == before


def test_reserved_space_is_there_and_is_given_back(rig: Rig, storage: Storage) -> None:
    needs(rig, "disk")
    storage.make_folder("own")
    for size in (1000, 5000):
        storage.reserve("own/reserve", size)
        assert storage.stat("own/reserve").size == size
    storage.remove("own/reserve")
    assert storage.list("own") == []


def test_a_lock_has_one_holder(rig: Rig, storage: Storage) -> None:
    needs(rig, "kernel")
    storage.make_folder("own")
    with storage.lock("own/lock", "the first"):
        with pytest.raises(Busy, match="the first"), storage.lock("own/lock", "the second"):
            raise AssertionError("both hold it")
        with storage.lock("own/other", "the second"):
            pass  # another lock
        with pytest.raises(Busy), storage.lock("own/lock", "the third"):
            raise AssertionError("who was refused has given back what another holds")
    with pytest.raises(ValueError, match="while it is held"), storage.lock("own/lock", "the second"):
        raise ValueError("while it is held")
    rig.settle()
    rig.lay("own/written now", b"")
    with storage.lock("own/lock", "the third"):
        # Its time is the storage's: how far the clocks differ is measured by it.
        assert storage.stat("own/lock").mtime >= storage.stat("own/written now").mtime


# -- the double is what it stands for

PLACES = ("a", "b", "a/x", "a/y", "b/x", "a/x/z", "b/x/z")


def _outcome(ask: Callable[[], object]) -> object:
    try:
        found = ask()
    except FileNotFoundError:
        return "not there"
    except OSError as error:
        return "odd" if is_odd(error) else errno.errorcode[error.errno or 0]
    return found


def _is_folder(storage: Storage, path: str) -> bool:
    return _outcome(lambda: storage.stat(path).kind) == "folder"


def _step(dice: random.Random, double: Storage) -> tuple[str, Callable[[Rig], object]]:
    """A call that both get, chosen so that it keeps the contract: the target of a rename is free."""
    here, there = dice.choice(PLACES), dice.choice(PLACES)
    written = dice.randbytes(dice.randrange(40))
    is_free = _outcome(lambda: double.stat(there)) == "not there"
    calls: list[tuple[str, Callable[[Rig], object]]] = [
        (f"list {here}", lambda rig: rig.storage.list(here)),
        (f"folders {here}", lambda rig: _sorted(rig.storage.folders(here))),
        (f"read {here}", lambda rig: rig.storage.read(here, 30).content),
        (f"stat {here}", lambda rig: _told(rig.storage, here)),
        (f"chunks {here}", lambda rig: b"".join(rig.storage.chunks(here, 7))),
        (f"remove {here}", lambda rig: rig.storage.remove(here)),
        (f"remove_folder {here}", lambda rig: rig.storage.remove_folder(here)),
        (f"make_folder {here}", lambda rig: rig.storage.make_folder(here)),
        (f"write {here}", lambda rig: rig.storage.write(here, written)),
        (f"append {here}", lambda rig: rig.storage.append(here, written)),
        (f"touch {here}", lambda rig: rig.storage.touch(here)),
    ]
    if is_free and not there.startswith(f"{here}/"):
        calls.append((f"rename {here} {there}", lambda rig: rig.storage.rename(here, there)))
    if not _is_folder(double, here):  # only files are put back
        calls.append((f"put_back {here} {there}", lambda rig: rig.storage.put_back(here, there)))
    return dice.choice(calls)


def _sorted(found: tuple[list[str], list[Entry]]) -> tuple[list[str], list[Entry]]:
    return sorted(found[0]), found[1]


def _told(storage: Storage, path: str) -> object:
    stat = storage.stat(path)
    return (stat.kind, stat.size, stat.links) if stat.kind == "file" else stat.kind


@pytest.mark.parametrize("part", range(4))
def test_random_calls_have_the_same_results_on_the_disk_and_in_memory(tmp_path: Path, part: int) -> None:
    kinds: set[object] = set()
    for seed in range(part, 120, 4):
        folder = tmp_path / str(seed)
        folder.mkdir()
        dice = random.Random(seed)
        disk: Rig = OnDisk(FileSystem(str(folder)), folder, [0.0])
        memory: Rig = InMemory(MemoryStorage(FakeClock()))
        done: list[str] = []
        for _ in range(60):
            said, call = _step(dice, memory.storage)
            done.append(said)
            results = [_outcome(lambda rig=rig, call=call: call(rig)) for rig in (disk, memory)]
            assert results[0] == results[1], (seed, done[-1])
            kinds.add(said.split()[0] if results[0] not in ("not there", "odd") else results[0])
    assert kinds >= {"list", "read", "stat", "remove", "rename", "put_back", "write", "not there", "odd"}
