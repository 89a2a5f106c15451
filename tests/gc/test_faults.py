"""Hazard 23, and other refusals of the storage: to be read in the mark, to be written in the sweep."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from pruner.clock import SystemClock
from pruner.errors import PrunerError, ReadError, WriteError
from pruner.storage.filesystem import FileSystem
from pruner.sweep import state
from pruner.sweep.purge import purge
from tests.gc.images import digest_of, layer
from tests.gc.inprocess import STATE, Pruner, kinds
from tests.gc.storagedoubles import failing, nothing, read_only
from tests.gc.treebuilder import TREE, snapshot
from tests.gc.twoimages import KEPT, blobs_of, fill, is_pruned


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    return Pruner(tmp_path)


ERRORS = [errno.EIO, errno.EACCES, errno.ESTALE]
PLACES = {
    "blobs": ("list", f"{TREE}/blobs/sha256"),
    "repositories": ("list", f"{TREE}/repositories/app"),
    "uploads": ("list", "_uploads"),
    "tag": ("read", "current/link"),
    "revision": ("read", "/revisions/"),
    "layer": ("read", "/_layers/"),
    "manifest": ("read", f"{TREE}/blobs/"),
    "candidate": ("stat", digest_of(layer("gone"))[7:]),
    "root": ("stat", TREE),
}


@pytest.mark.parametrize("code", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("place", PLACES)
def test_hazard_23_a_read_error_in_the_mark_removes_nothing(pruner: Pruner, place: str, code: int) -> None:
    fill(pruner)
    before = pruner.snapshot()
    operation, path = PLACES[place]
    pruner.storage.before = failing(code, path, operation)
    with pytest.raises(ReadError) as caught:
        pruner.run()
    assert caught.value.exit_code == 7
    assert os.strerror(code) in str(caught.value)
    assert pruner.snapshot() == before
    pruner.storage.before = nothing
    pruner.run()
    assert is_pruned(pruner)


@pytest.mark.parametrize("look", [2, 3])
@pytest.mark.parametrize("place", ["blobs", "tag", "layer", "manifest"])
def test_a_read_error_in_a_later_look_undoes_or_finishes_the_run(
    pruner: Pruner, place: str, look: int
) -> None:
    fill(pruner)
    before = pruner.snapshot()
    operation, path = PLACES[place]
    begun = [0]
    fail = failing(errno.EIO, path, operation)

    def before_call(called: str, at: str) -> None:
        begun[0] += called == "list" and at == f"{TREE}/blobs"
        if begun[0] >= look:
            fail(called, at)

    pruner.storage.before = before_call
    if place == "manifest":  # read once in the life of a run
        pruner.run()
    else:
        with pytest.raises(ReadError):
            pruner.run()
        if look == 2:
            assert pruner.snapshot() == before, "undone"
    pruner.storage.before = nothing
    pruner.run()
    assert is_pruned(pruner)
    assert pruner.verify().problems == ()


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS, errno.ENOSPC], ids=errno.errorcode.get)
@pytest.mark.parametrize("operation", ["rename", "remove", "append", "write", "make_folder", "remove_folder"])
def test_a_write_error_in_the_sweep_loses_nothing(pruner: Pruner, operation: str, code: int) -> None:
    fill(pruner)
    pruner.storage.before = failing(code, "", operation)
    try:
        pruner.run()
    except PrunerError as error:
        assert isinstance(error, WriteError)
        assert os.strerror(code) in str(error)
    else:
        pytest.fail("the error was swallowed")
    assert blobs_of(KEPT) <= pruner.blobs()
    pruner.storage.before = nothing
    pruner.run()
    assert is_pruned(pruner)
    assert pruner.verify().problems == ()
    assert pruner.run().removals == ()


def test_a_read_only_file_system_is_left_as_it_is(pruner: Pruner) -> None:
    fill(pruner)
    before = snapshot(pruner.data)
    pruner.storage.before = read_only
    with pytest.raises(WriteError, match="Read-only file system"):
        pruner.run()
    assert snapshot(pruner.data) == before
    assert kinds(pruner.plan())["blob"] == 3, "a plan needs to read only"


def test_item_14_a_quarantine_that_fails_says_that_links_stay_away(pruner: Pruner) -> None:
    """The run was decided, so it is not undone."""
    fill(pruner)
    gone = digest_of(layer("gone"))
    pruner.storage.before = failing(errno.EIO, f"{gone[7:]}/data", "rename")
    with pytest.raises(WriteError) as caught:
        pruner.run()
    message = str(caught.value)
    assert "undone" not in message
    assert "every blob is back in its place" in message and "links that nothing needed stay away" in message
    assert pruner.has_blob(gone)
    assert list((pruner.data / STATE / "current/held").iterdir())
    pruner.storage.before = nothing
    report = pruner.run()
    assert any("finished" in note for note in report.notes)
    assert is_pruned(pruner)


def test_item_14_a_hold_that_fails_says_that_all_is_back(pruner: Pruner) -> None:
    fill(pruner)
    before = pruner.snapshot()
    pruner.storage.before = failing(errno.EIO, "_layers", "rename")
    with pytest.raises(WriteError, match="everything that the run had taken away is back in its place"):
        pruner.run()
    assert pruner.snapshot() == before


def test_item_14_a_purge_that_fails_speaks_of_the_trash(pruner: Pruner) -> None:
    fill(pruner)
    pruner.run(trash=86400)
    pruner.storage.before = failing(errno.EIO, "/trash/", "remove")
    with pytest.raises(WriteError, match="the rest of the trash is as it was") as caught:
        purge(pruner.place())
    assert "run had begun" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is two users")
def test_item_14_what_root_made_stops_no_other_user(pruner: Pruner) -> None:
    fill(pruner)
    for path in (pruner.folder, *pruner.folder.rglob("*")):
        os.chown(path, 1000, 1000)
    pruner.run(trash=86400)
    made = [path for path in pruner.data.rglob("*") if path.lstat().st_uid != 1000]
    assert made == []
    with tempfile.TemporaryDirectory() as open_folder:  # pytest's own folders let nobody else in
        os.chmod(open_folder, 0o755)
        moved = f"{open_folder}/data"
        shutil.copytree(pruner.data, moved)
        for path in (Path(moved), *Path(moved).rglob("*")):
            os.chown(path, 1000, 1000)
        child = os.fork()
        if not child:
            os.setgid(1000)
            os.setuid(1000)
            with state.locked(FileSystem(moved), SystemClock()):
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        os.chown(f"{moved}/{state.LOCK}", 0, 0)
        child = os.fork()
        if not child:
            os.setgid(1000)
            os.setuid(1000)
            try:
                with state.locked(FileSystem(moved), SystemClock()):
                    pass
            except WriteError as error:
                os._exit(3 if "another user made it" in str(error) else 1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
