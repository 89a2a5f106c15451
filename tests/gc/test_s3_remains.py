"""What docs/s3.md says of a registry that writes between the last comparison and the deletion, row by row."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest

from pruner.inspect.report import Report
from pruner.settings.policies import Policy
from pruner.settings.table import Settings
from pruner.storage.s3.storage import S3Storage
from pruner.tree import layout
from tests.gc.fakeclock import SteppedClock
from tests.gc.images import Image, digest_of, image, index, layer
from tests.gc.memorybucket import MemoryBucket
from tests.gc.modelpruner import ModelPruner
from tests.gc.modelregistry import Refused, data, layer_link, revision_link, tag_folder
from tests.gc.objectregistry import ObjectRegistry
from tests.gc.richtree import do
from tests.gc.test_statemachine_s3 import AREAS, MemoryLeases

DAY = 86400.0
ONLINE = Settings(grace=600, untagged_after=3600, uploads_after=3600, trash=DAY, max_fraction=1)
LAST_TAG = Settings(
    grace=600,
    untagged_after=3600,
    uploads_after=3600,
    trash=DAY,
    max_fraction=1,
    retention=(Policy(("app",), ("v*",), 1, None, None),),
)


class Scene:
    """A registry on a bucket with one image that stays, and something that happens right before a request."""

    def __init__(self, settings: Settings = ONLINE, *, obeys: bool = True) -> None:
        self.clock = SteppedClock()
        self.bucket = MemoryBucket(self.clock, obeys)
        self.registry = ObjectRegistry(self.bucket, atomic=True)
        leases = MemoryLeases({}, iter(range(1, 1 << 30))).of if not obeys else None
        storage = S3Storage(self.bucket, "s3://memory", "", AREAS, self.clock, leases, workers=1)
        self.pruner = ModelPruner(storage, self.clock, self.registry, settings)
        self.happened = 0
        self.push(image([layer("stays")], "stays"), "stays")

    def push(self, pushed: Image, tag: str | None) -> None:
        for manifest in pushed.family():
            for blob in manifest.blobs:
                if not do(self.registry.head_blob("app", digest_of(blob))):
                    upload = do(self.registry.start_upload("app"))
                    do(self.registry.send(upload, blob))
                    do(self.registry.commit_upload("app", upload, digest_of(blob)))
            do(self.registry.put_manifest("app", manifest, tag if manifest is pushed else None))

    def run(self, operation: str, part: str, happens: Callable[[], object]) -> Report:
        """A run a month later, in which something happens right before its first such request."""
        self.clock.advance(30 * DAY)

        def before(asked: str, name: str) -> None:
            if asked == operation and part in name and not self.happened:
                self.happened = 1
                happens()

        self.bucket.before = before
        report = self.pruner.run()
        assert self.happened, "the moment came"
        return report

    def is_readable(self, pushed: Image, tag: str | None = None) -> bool:
        found = self.bucket.objects
        if tag is not None:
            current = found.get(f"{tag_folder('app', tag)}/current/link")
            if current is None or current.content != pushed.digest.encode():
                return False
        return all(
            revision_link("app", each.digest) in found
            and data(each.digest) in found
            and all(
                layer_link("app", digest_of(blob)) in found and data(digest_of(blob)) in found
                for blob in each.blobs
            )
            for each in pushed.family()
        )


def test_a_layers_link_that_is_lost_is_missed_by_the_push_that_needs_it() -> None:
    scene = Scene()
    old = image([layer("shared")], "old")
    scene.push(old, None)
    fresh = image([layer("shared")], "fresh")
    digest = digest_of(layer("shared"))
    failed: list[Exception] = []

    def mount_again() -> None:
        scene.registry.files.put(layer_link("app", digest), digest.encode())

    def push_manifest(remaining: float) -> float:
        if scene.happened == 1:
            scene.happened = 2
            with pytest.raises(Refused):
                do(scene.registry.put_manifest("app", fresh, "fresh"))
            failed.append(Refused())
            scene.push(fresh, "fresh")  # as clients do
        return remaining

    scene.clock.step = push_manifest
    scene.run("delete", layer_link("app", digest), mount_again)
    assert failed and scene.is_readable(fresh, "fresh")


@pytest.mark.parametrize("obeys", [True, False])
@pytest.mark.parametrize("other", [True, False])
def test_a_tag_that_is_lost_is_put_back_with_what_was_pushed_last(other: bool, obeys: bool) -> None:
    scene = Scene(LAST_TAG, obeys=obeys)
    old = image([layer("old")], "old")
    scene.push(old, "v1")
    scene.clock.advance(DAY)
    scene.push(image([layer("newer")], "newer"), "v2")
    pushed = image([layer("other")], "other") if other else old
    scene.run("delete", f"{tag_folder('app', 'v1')}/current/link", lambda: scene.push(pushed, "v1"))
    assert scene.is_readable(pushed, "v1")


def test_a_manifests_link_that_is_lost_to_a_push_by_tag_is_put_back() -> None:
    scene = Scene()
    old = image([layer("old")], "old")
    scene.push(old, None)
    scene.run("delete", revision_link("app", old.digest), lambda: scene.push(old, "again"))
    assert scene.is_readable(old, "again")


def test_a_manifests_link_that_is_lost_is_missed_by_the_index_that_lists_it() -> None:
    scene = Scene()
    child = image([layer("child")], "child")
    scene.push(child, None)
    listing = index([child])

    def push_index() -> None:
        scene.push(child, None)
        steps = scene.registry.put_manifest("app", listing, "multi")
        next(steps)  # the request has begun, and looks at the children once the link is gone

        def end(remaining: float) -> float:
            if scene.happened == 1:
                scene.happened = 2
                with pytest.raises(Refused):
                    _finish(steps)
                scene.push(listing, "multi")
            return remaining

        scene.clock.step = end

    scene.run("delete", revision_link("app", child.digest), push_index)
    assert scene.happened == 2 and scene.is_readable(listing, "multi")


def _finish(steps: Generator[None, None, None]) -> None:
    for _ in steps:
        pass


def test_a_manifests_link_that_nothing_leads_to_is_lost_and_its_bytes_are_in_the_trash() -> None:
    """The one row that docs/s3.md has in bold."""
    scene = Scene()
    old = image([layer("old")], "old")
    scene.push(old, None)
    scene.run("delete", revision_link("app", old.digest), lambda: scene.push(old, None))
    assert not scene.is_readable(old)
    contents = {each.content for name, each in scene.bucket.objects.items() if "/taken/" in name}
    assert {old.content, *old.blobs} <= contents, "and can be had back from there"


def test_the_same_push_a_moment_later_loses_nothing() -> None:
    scene = Scene()
    old = image([layer("old")], "old")
    scene.push(old, None)

    def push_after(remaining: float) -> float:
        if not scene.happened:
            scene.happened = 1
            scene.push(old, None)
        return remaining

    scene.clock.step = push_after
    scene.run("never", "", lambda: None)
    assert scene.is_readable(old)


def test_a_blob_that_is_uploaded_while_it_is_copied_is_there() -> None:
    scene = Scene()
    shared = layer("shared")
    scene.push(image([shared], "old"), None)
    fresh = image([shared], "fresh")
    scene.run("delete", data(digest_of(shared)), lambda: scene.push(fresh, "fresh"))
    assert scene.is_readable(fresh, "fresh")


@pytest.mark.parametrize("obeys", [True, False])
def test_without_conditional_writes_a_tag_may_name_what_it_named_before(obeys: bool) -> None:
    """The one moment more: between the look whether it is there and the write of what is put back."""
    scene = Scene(LAST_TAG, obeys=obeys)
    old, other = image([layer("old")], "old"), image([layer("other")], "other")
    scene.push(old, "v1")
    scene.clock.advance(DAY)
    scene.push(image([layer("newer")], "newer"), "v2")
    path = f"{tag_folder('app', 'v1')}/current/link"
    scene.clock.advance(30 * DAY)

    def before(operation: str, name: str) -> None:
        if name != path:
            return
        if operation == "delete" and scene.happened == 0:
            scene.happened = 1
            scene.push(old, "v1")  # so that it has to be put back
        elif operation == "put" and scene.happened == 1:
            scene.happened = 2
            scene.push(other, "v1")

    scene.bucket.before = before
    scene.pruner.run()
    assert scene.happened == 2
    assert scene.is_readable(other, "v1") == obeys
    assert scene.is_readable(old, "v1") != obeys


def test_nothing_is_asked_of_what_stays() -> None:
    """Neither of its links nor of its manifests, once these were read."""
    scene = Scene()
    for number in range(20):
        scene.push(image([layer(number)], str(number)), f"t{number}")
    scene.clock.advance(30 * DAY)
    scene.pruner.run()
    scene.bucket.requests.clear()
    scene.pruner.plan()
    read = [name for operation, name in scene.bucket.requests if operation in ("get", "head")]
    assert [name for name in read if not name.startswith(layout.STATE)] == []
