"""Hazard 23, and other refusals of the storage: to be read in the mark, to be written in the sweep."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pruner.errors import PrunerError, ReadError, WriteError
from tests.gc.images import digest_of, layer
from tests.gc.inprocess import Pruner, kinds
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
