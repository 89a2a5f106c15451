"""Whose tree it is: the decision, and a tree that several want."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from pruner.claim import tree
from pruner.claim.decision import Claim, Keep, Owner, Refuse, Take, decide
from pruner.claim.start import Started, start
from pruner.errors import ClaimRefused, ClusterError, ReadError, StorageMissing, WriteError
from pruner.storage.filesystem import FileSystem
from tests.gc.images import image, layer
from tests.gc.storagedoubles import FakeClock, Interposed, nothing
from tests.gc.treebuilder import snapshot

FILE = "registry-claim.json"
CALLED = "hostPath /srv/images"
US = Owner("images/registry", "cluster-1")
OTHERS = Owner("shop/registry", "cluster-1")
OURS = Claim("aaaa", US, 1_700_000_000)
THEIRS = Claim("bbbb", OTHERS, 1_700_000_000)
IMAGE = image([layer("claimed")], "claimed")


@dataclass(slots=True)
class Memory:
    """A record of one place."""

    claim: str = ""
    fails: bool = False
    written: list[str] = field(default_factory=list[str])

    def read(self, storage: str) -> str:
        assert storage == CALLED
        return self.claim

    def write(self, storage: str, claim: str) -> None:
        if self.fails:
            raise ClusterError("away")
        assert storage == CALLED
        self.claim = claim
        self.written.append(claim)


@pytest.fixture
def storage(tmp_path: Path) -> Interposed:
    (tmp_path / "data").mkdir()
    return Interposed(FileSystem(str(tmp_path / "data")))


def begin(storage: Interposed, record: Memory, owner: Owner = US, adopt: str = "") -> Started:
    return start(storage, CALLED, owner, record, adopt, FakeClock())


def claim_of(storage: Interposed) -> Claim:
    claim = tree.read(storage)
    assert claim is not None
    return claim


# The decision


@pytest.mark.parametrize(
    ("found", "recorded", "adopt", "verdict"),
    [
        (None, "", "", Take()),
        (None, "", "anything", Take()),
        (OURS, "", "", Keep(OURS)),
        (OURS, OURS.id, "", Keep(OURS)),
        (OURS, OURS.id, "old", Keep(OURS)),
        (replace(OURS, replaces="old"), "old", "", Keep(replace(OURS, replaces="old"))),
        (None, "gone", "gone", Take("gone")),
        (THEIRS, "", THEIRS.id, Take(THEIRS.id)),
        (THEIRS, OURS.id, THEIRS.id, Take(THEIRS.id)),
        (OURS, "last", OURS.id, Take(OURS.id)),
    ],
)
def test_who_may_start(found: Claim | None, recorded: str, adopt: str, verdict: Keep | Take) -> None:
    assert decide(found, recorded, US, storage=CALLED, empty=True, adopt=adopt) == verdict


@pytest.mark.parametrize(
    ("found", "recorded", "empty", "sentence"),
    [
        (THEIRS, "", False, "belongs to the registry shop/registry of this cluster, since 2023-11-14"),
        (THEIRS, OURS.id, False, "belongs to the registry shop/registry of this cluster"),
        (
            replace(OURS, owner=replace(US, cluster="cluster-2")),
            "",
            False,
            "images/registry of another cluster",
        ),
        (
            None,
            OURS.id,
            True,
            "is empty, but this registry had its images there (claim aaaa): mount",
        ),
        (None, OURS.id, False, "holds no registry's claim, but this registry had its images there"),
        (OURS, "last", False, "claim aaaa, but not the one it had last, claim last"),
    ],
)
def test_who_may_not_and_how_to_adopt(found: Claim | None, recorded: str, empty: bool, sentence: str) -> None:
    for adopt in ("", "another"):
        refusal = decide(found, recorded, US, storage=CALLED, empty=empty, adopt=adopt)
        assert isinstance(refusal, Refuse)
        assert refusal.sentence.startswith(f"{CALLED} ")
        assert sentence in refusal.sentence
        in_the_way = found.id if found else recorded
        assert f"--adopt {in_the_way} (stack key storage.adopt)" in refusal.sentence
        assert ("set to another, which is another claim" in refusal.sentence) == bool(adopt)


# The tree and the record


def test_the_first_claims_and_starts_again_and_another_does_not(storage: Interposed) -> None:
    record = Memory()
    begun = begin(storage, record)
    claim = claim_of(storage)
    assert (claim.owner, claim.replaces, begun.claim) == (US, "", claim)
    assert record.written == [claim.id]
    assert begin(storage, record).claim == claim
    assert begin(storage, Memory()).claim == claim, "destroyed and made again: no record, and its own images"
    assert record.written == [claim.id], "what is known is not written again"
    before = snapshot(Path(storage.root))
    with pytest.raises(ClaimRefused, match=f"belongs to the registry images/registry .*--adopt {claim.id}"):
        begin(storage, Memory(), OTHERS)
    assert snapshot(Path(storage.root)) == before
    assert [entry.name for entry in storage.list("")] == [FILE]


def test_a_tree_is_adopted_once_by_its_claim(storage: Interposed) -> None:
    begin(storage, Memory())
    old = claim_of(storage)
    record = Memory()
    begin(storage, record, OTHERS, old.id)
    new = claim_of(storage)
    assert (new.owner, new.replaces, record.claim) == (OTHERS, old.id, new.id)
    assert new.id != old.id
    assert begin(storage, record, OTHERS, old.id).claim == new, "the key may stay where it is"
    with pytest.raises(ClaimRefused, match="belongs to the registry shop/registry"):
        begin(storage, Memory(old.id), US, old.id)


def test_a_folder_that_lost_its_claim_keeps_the_registry_from_starting(storage: Interposed) -> None:
    record = Memory()
    begin(storage, record)
    lost = record.claim
    (Path(storage.root) / FILE).unlink()
    (Path(storage.root) / "lost+found").mkdir()
    with pytest.raises(ClaimRefused, match="is empty, but this registry had its images there"):
        begin(storage, record)
    assert not (Path(storage.root) / FILE).exists(), "a refusal writes nothing"
    begin(storage, record, US, lost)
    assert claim_of(storage).replaces == lost
    (Path(storage.root) / FILE).unlink()
    with pytest.raises(ClaimRefused, match="is set to"):
        begin(storage, record, US, lost)


def test_what_was_begun_and_not_recorded_is_recorded_by_the_next_start(storage: Interposed) -> None:
    record = Memory("before")
    record.fails = True
    with pytest.raises(ClusterError):
        begin(storage, record, US, "before")
    record.fails = False
    begun = begin(storage, record, US, "before")
    assert begun.claim is not None
    assert (begun.claim.replaces, record.claim) == ("before", begun.claim.id)


def test_of_many_that_come_at_once_one_has_it(storage: Interposed) -> None:
    count = 12
    barrier = Barrier(count)

    def come(number: int) -> str:
        barrier.wait()
        try:
            begin(storage, Memory(), Owner(f"n{number}/registry", "c"))
        except ClaimRefused:
            return ""
        return f"n{number}/registry"

    for _ in range(20):
        with ThreadPoolExecutor(count) as pool:
            winners = [name for name in pool.map(come, range(count)) if name]
        assert winners == [claim_of(storage).owner.name]
        assert [entry.name for entry in storage.list("")] == [FILE]
        (Path(storage.root) / FILE).unlink()


def test_replicas_of_one_registry_all_start(storage: Interposed) -> None:
    with ThreadPoolExecutor(8) as pool:
        begun = [pool.submit(begin, storage, Memory()) for _ in range(8)]
        claims = {each.result().claim for each in begun}
    assert claims == {claim_of(storage)}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_tree_that_nobody_claimed_starts_where_there_is_no_room_for_a_claim(
    storage: Interposed, code: int
) -> None:
    record = Memory()
    storage.before = failing("write", code)
    begun = begin(storage, record)
    assert begun.claim is None
    assert "carries no claim yet" in begun.note
    assert record.written == []
    storage.before = nothing
    assert begin(storage, record).claim == claim_of(storage)


def test_a_claimed_tree_starts_although_it_cannot_be_written(storage: Interposed) -> None:
    record = Memory()
    begin(storage, record)
    storage.before = failing("write", errno.EROFS)
    assert begin(storage, record).claim == claim_of(storage)
    with pytest.raises(WriteError, match="could not be claimed"):
        begin(storage, Memory(), OTHERS, record.claim)


def test_a_read_error_never_means_that_nothing_is_there(storage: Interposed) -> None:
    begin(storage, Memory())
    for operation in ("read", "list"):
        storage.before = failing(operation, errno.EIO)
        with pytest.raises(ReadError, match="cannot be read"):
            begin(storage, Memory())
    storage.before = failing("list", errno.ENOENT)
    with pytest.raises(StorageMissing, match=f"{CALLED} is not there: mount it"):
        begin(storage, Memory())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"version": 2, "id": "a", "owner": "b", "cluster": "", "since": "", "replaces": ""}',
        b'{"version":1, "id":7, "owner": "", "cluster": "", "since": "2026-01-01T00:00:00Z", "replaces": ""}',
        b'{"version": 1, "id": "a", "owner": "b", "cluster": "", "since": "yesterday", "replaces": ""}',
        b"\xff\xfe",
    ],
)
def test_a_claim_that_cannot_be_understood_is_nobodys_to_take(storage: Interposed, content: bytes) -> None:
    (Path(storage.root) / FILE).write_bytes(content)
    with pytest.raises(ClaimRefused, match=r"is not a claim that can be read here .* remove the file"):
        begin(storage, Memory())
    assert (Path(storage.root) / FILE).read_bytes() == content


def failing(operation: str, code: int) -> Any:
    def before(called: str, path: str) -> None:
        if called == operation and (operation != "read" or path == FILE):
            raise OSError(code, "as the test wants it", path)

    return before
