"""The storage on an object store, on two servers: a file system without rename and without folders."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pruner.delays import SETTLE
from pruner.errors import Busy, Refused
from pruner.inspect.report import Report
from pruner.storage import Content, Entry, Move, Odd
from pruner.storage.lease import LENGTH, RENEWAL
from pruner.storage.parallel import side_by_side
from pruner.storage.s3.client import REQUEST_BOUND
from pruner.storage.s3.keys import Upload
from pruner.sweep import current, state
from pruner.sweep import run as pruning
from pruner.tree import layout
from tests.gc.fakeclock import SteppedClock
from tests.gc.images import image, index, layer
from tests.gc.inprocess import kinds
from tests.gc.memorybucket import MemoryBucket
from tests.gc.s3place import AREAS, ROOT, SERVERS, S3Place, S3Storage, s3_place
from tests.gc.treebuilder import TreeBuilder

DIGEST = "sha256:" + "ab" * 32
TAG = f"{layout.REPOSITORIES}/app/_manifests/tags/v1"
LINK = f"{layout.REPOSITORIES}/app/_layers/{DIGEST.replace(':', '/')}/link"


@pytest.fixture(params=SERVERS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[S3Place]:
    with s3_place(request.param, tmp_path) as place:
        yield place


def test_folders_are_what_keys_have_in_common(place: S3Place) -> None:
    place.put(LINK, DIGEST.encode())
    place.put(f"{layout.REPOSITORIES}/app.b/_layers/x")
    storage = place.storage()
    for view in (storage, storage.view()):
        repositories = view.list(layout.REPOSITORIES)
        assert repositories == [Entry("app", "folder"), Entry("app.b", "folder")]
        assert view.folders(LINK.rpartition("/")[0]) == ([], [Entry("link", "file")])
        assert view.stat(LINK)[:1] == (71,)
        assert view.stat(f"{layout.REPOSITORIES}/app").kind == "folder"
        assert view.read(LINK, 7).content == b"sha256:"
        for missing in (f"{layout.REPOSITORIES}/ap", f"{LINK}s", layout.STATE):
            with pytest.raises(FileNotFoundError):
                view.stat(missing)
        with pytest.raises(FileNotFoundError):
            view.list(f"{layout.REPOSITORIES}/ap")
        with pytest.raises(FileNotFoundError):
            view.read(f"{LINK}s", 10)
    view = storage.view()
    found = list(view.read_many([LINK, f"{layout.REPOSITORIES}/app", f"{LINK}/x", f"{LINK}s"], 100))
    assert isinstance(found[0], Content) and found[0].content == DIGEST.encode()
    assert isinstance(found[1], Odd) and isinstance(found[2], Odd) and found[3] is None


def test_what_is_taken_away_keeps_its_time_and_so_does_what_comes_back(place: S3Place) -> None:
    place.put(LINK, DIGEST.encode())
    storage = place.storage()
    with storage.lock(state.LOCK, "test"):
        before = storage.view().stat(LINK)
        time.sleep(1.1)
        storage.make_folder(f"{current.CURRENT}/held")
        held = f"{current.CURRENT}/held/0"
        storage.rename(LINK, held)
        assert storage.stat(held).mtime == before.mtime
        with pytest.raises(FileNotFoundError):
            storage.stat(LINK)
        assert storage.put_back(held, LINK)
        with pytest.raises(FileNotFoundError):
            storage.stat(held)
        assert storage.view().stat(LINK).mtime == before.mtime
        time.sleep(2.1)
        assert storage.view().stat(LINK).mtime == before.mtime, "it is known for certain by now"
    assert place.storage().view().stat(LINK).mtime == before.mtime, "to others too"
    place.put(LINK, DIGEST.encode())
    assert place.storage().view().stat(LINK).mtime > before.mtime, "somebody wrote it again"


def test_what_was_written_since_is_left_alone(place: S3Place) -> None:
    place.put(LINK, DIGEST.encode())
    storage = place.storage()
    mtime = storage.view().stat(LINK).mtime
    with storage.lock(state.LOCK, "test"):
        storage.make_folder(f"{current.CURRENT}/held")
        storage.ahead([Move(LINK, f"{current.CURRENT}/held/0", mtime - 1)])
        with pytest.raises(FileNotFoundError):
            storage.rename(LINK, f"{current.CURRENT}/held/0")
    assert storage.read(LINK, 100).content == DIGEST.encode()


def test_what_is_newer_stays_when_something_comes_back(place: S3Place) -> None:
    place.put(LINK, DIGEST.encode())
    storage = place.storage()
    with storage.lock(state.LOCK, "test"):
        storage.make_folder(f"{current.CURRENT}/held")
        storage.rename(LINK, f"{current.CURRENT}/held/0")
        place.put(LINK, b"newer")
        assert not storage.put_back(f"{current.CURRENT}/held/0", LINK)
        assert storage.read(LINK, 100).content == b"newer"


def test_a_tag_that_a_push_lost_to_us_comes_back_with_what_was_pushed(place: S3Place) -> None:
    new = "sha256:" + "cd" * 32
    place.put(f"{TAG}/current/link", DIGEST.encode())
    storage = place.storage()
    with storage.lock(state.LOCK, "test"):
        storage.make_folder(f"{current.CURRENT}/held")
        storage.rename(f"{TAG}/current/link", f"{current.CURRENT}/held/0")
        time.sleep(1.1)
        place.put(f"{TAG}/index/{new.replace(':', '/')}/link", new.encode())
        assert storage.put_back(f"{current.CURRENT}/held/0", f"{TAG}/current/link")
        assert storage.read(f"{TAG}/current/link", 100).content == new.encode()


def test_a_folder_of_takings_moves_without_its_contents(place: S3Place) -> None:
    storage = place.storage()
    batch = f"{current.TRASH}/17-abc"
    with storage.lock(state.LOCK, "test"):
        storage.make_folder(f"{current.CURRENT}/blobs")
        storage.write(f"{current.CURRENT}/journal", b"one ")
        storage.append(f"{current.CURRENT}/journal", b"two ")
        storage.append(f"{current.CURRENT}/journal", b"three")
        storage.write(f"{current.CURRENT}/blobs/x", b"bytes")
        storage.rename(current.CURRENT, batch)
        with pytest.raises(FileNotFoundError):
            storage.list(current.CURRENT)
        assert storage.list(current.TRASH) == [Entry("17-abc", "folder")]
        assert storage.read(f"{batch}/journal", 100).content == b"one two three"
        assert storage.list(batch) == [Entry("blobs", "folder"), Entry("journal", "file")]
        assert not storage.remove_folder(batch)
        storage.remove(f"{batch}/journal")
        storage.remove_many([f"{batch}/blobs/x", f"{batch}/blobs/y"])
        assert storage.remove_folder(batch)
    assert place.bucket().first(f"{ROOT}/{layout.STATE}/taken") == []


def test_a_move_that_was_cut_short_is_ended_by_the_next(place: S3Place) -> None:
    storage = place.storage()
    with storage.lock(state.LOCK, "test"):
        storage.make_folder(current.CURRENT)
        storage.write(f"{current.CURRENT}/journal", b"x")
        pointer = f"{ROOT}/{current.CURRENT}"
        identity, _ = place.bucket().get(pointer, 100)
        place.bucket().put(pointer, identity + f"\n{current.TRASH}/17-abc".encode())
    fresh = place.storage()
    with pytest.raises(FileNotFoundError):
        fresh.read(f"{current.CURRENT}/journal", 10)
    with fresh.lock(state.LOCK, "test"):
        assert fresh.read(f"{current.TRASH}/17-abc/journal", 10).content == b"x"
        with pytest.raises(FileNotFoundError):
            fresh.list(current.CURRENT)


def test_a_large_object_is_copied_in_parts(place: S3Place) -> None:
    content = layer("large", 11 << 20)
    small = place.through(place.parameters.endpoint, copy_threshold=6 << 20, copy_chunk=5 << 20)
    bucket = small.bucket()
    bucket.put(f"{ROOT}/blob", content)
    bucket.copy(bucket.head(f"{ROOT}/blob"), f"{ROOT}/copy")
    found, key = bucket.get(f"{ROOT}/copy", 1 << 30)
    assert hashlib.sha256(found).digest() == hashlib.sha256(content).digest()
    assert key.etag.endswith("-3")


def test_more_than_a_thousand_keys_are_listed_and_deleted(place: S3Place) -> None:
    bucket = place.bucket()
    storage = place.storage()
    names = [f"{layout.REPOSITORIES}/r/{number:04}" for number in range(1003)]
    assert len(list(side_by_side(lambda name: bucket.put(f"{ROOT}/{name}", b""), names, 8))) == 1003
    assert len(storage.view().list(f"{layout.REPOSITORIES}/r")) == 1003
    storage.remove_many(names)
    assert place.keys() == set()


def test_an_abandoned_upload_in_parts_is_ended(place: S3Place) -> None:
    client = place.bucket()._client  # pyright: ignore[reportPrivateUsage]
    upload = f"{layout.REPOSITORIES}/app/_uploads/1b671a64-40d5-491e-99b0-da01ff1f3341"
    data = layout.blob_data(DIGEST)
    for path in (f"{upload}/data", data):
        client.create_multipart_upload(Bucket=place.parameters.bucket, Key=f"{ROOT}/{path}")
    place.put(LINK, DIGEST.encode())
    place.put(f"{upload}/startedat", b"2020-01-01T00:00:00Z")
    time.sleep(1.1)
    plan = place.plan()
    report = place.run()
    assert report.removals == plan.removals
    assert kinds(report)["upload"] == 1
    assert kinds(report)["temporary"] == 1
    assert list(place.bucket().uploads(f"{ROOT}/")) == []
    assert not place.keys(f"{layout.REPOSITORIES}/app/_uploads")


def test_links_cost_no_request_where_the_listing_tells_what_they_hold(place: S3Place, tmp_path: Path) -> None:
    tree = TreeBuilder(tmp_path / "tree")
    for number in range(30):
        base = image([layer("shared"), layer(f"of {number}")], f"config {number}")
        tree.push(f"team{number % 3}/app", base, f"v{number}")
        if number % 5 == 0:
            other = image([layer(f"untagged {number}")], f"other {number}")
            tree.push(f"team{number % 3}/app", other, f"v{number}")  # the tag moves on
    tree.push("team0/app", index([image([layer("a")], "a"), image([layer("b")], "b")]), "multi")
    place.upload(tmp_path / "tree")
    time.sleep(1.1)
    keys = place.keys()
    manifests = len({key for key in keys if "/revisions/" in key})
    asked: list[str] = []
    storage = place.storage()
    bucket = storage._bucket  # pyright: ignore[reportPrivateUsage]

    def sent(**event: Any) -> None:
        asked.append(event["request"].method)

    bucket._client.meta.events.register("before-send.s3", sent)  # pyright: ignore[reportPrivateUsage]
    cold = pruning.plan(place.place(storage))
    assert len(asked) <= len(keys) / 1000 + 2 + manifests + 10, asked
    assert kinds(Report.of(cold)) == {"index-link": 6, "revision": 6, "layer-link": 12, "blob": 18}
    place.run()
    asked.clear()
    pruning.plan(place.place(storage))
    assert len(asked) <= 15, "every manifest is known by now"


def test_an_encrypted_bucket_is_read_link_by_link() -> None:
    """There an ETag says nothing of the content; what was read once is not read again in the run."""
    bucket = MemoryBucket(SteppedClock())
    storage = S3Storage(bucket, "s3://memory", "", AREAS, SteppedClock(), workers=1)
    bucket.put(LINK, DIGEST.encode())
    view = storage.view()
    listing = view._listing  # pyright: ignore
    listing._keys[0] = listing._keys[0]._replace(etag="0" * 32)  # pyright: ignore
    bucket.requests.clear()
    assert view.read(LINK, 100).content == DIGEST.encode()
    assert bucket.requests == [("get", LINK)]


# -- one at a time


def test_of_two_pruners_the_second_hears_who_the_first_is(place: S3Place) -> None:
    storage, clock = place.storage(), SteppedClock()
    second = S3Storage(place.bucket(), "s3://", ROOT, AREAS, clock)
    with storage.lock(state.RUN_LOCK, "host-1, pid 7"):

        def renew(remaining: float) -> float:
            for lease in storage._guard._held:  # pyright: ignore[reportPrivateUsage]
                lease._renew()  # pyright: ignore[reportPrivateUsage]
            return remaining

        clock.step = renew
        with pytest.raises(Busy, match="host-1, pid 7"), second.lock(state.RUN_LOCK, "second"):
            pass
    with second.lock(state.RUN_LOCK, "second"):
        pass
    assert clock.monotonic() < RENEWAL + SETTLE


def test_a_dead_pruners_lease_is_taken_over_after_its_time_and_that_of_its_requests(place: S3Place) -> None:
    place.bucket().put(f"{ROOT}/{state.RUN_LOCK}", b'{"holder": "dead"}')
    clock = SteppedClock()
    with S3Storage(place.bucket(), "s3://", ROOT, AREAS, clock).lock(state.RUN_LOCK, "next"):
        assert clock.monotonic() >= LENGTH + REQUEST_BOUND


def test_a_server_without_conditional_writes_needs_the_leases_of_a_cluster() -> None:
    clock = SteppedClock()
    storage = S3Storage(MemoryBucket(clock, obeys=False), "s3://memory", "", AREAS, clock, workers=1)
    with pytest.raises(Refused, match="ignores the condition of a write"), storage.lock(state.LOCK, "me"):
        pass


def test_a_paused_pruner_sends_nothing_more(place: S3Place) -> None:
    storage = place.storage()
    place.put(LINK, DIGEST.encode())
    with storage.lock(state.LOCK, "paused"):
        for lease in storage._guard._held:  # pyright: ignore[reportPrivateUsage]
            lease._renewed -= LENGTH + 1  # pyright: ignore[reportPrivateUsage]
        bucket = storage._bucket  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(Busy, match="silent for longer than its lease lasts"):
            bucket.delete(f"{ROOT}/{LINK}")
        with pytest.raises(Busy, match="silent"):
            bucket.abort(Upload("x", "y", 0))
    assert place.keys() == {LINK}
