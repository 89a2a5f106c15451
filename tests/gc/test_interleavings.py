"""Meetings of a run with clients that are rare enough to be written down one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pruner.delays import SETTLE
from pruner.inspect.report import Report
from pruner.settings.policies import Policy
from pruner.settings.table import Settings
from pruner.tree.scan import Progress
from tests.gc.fakeclock import SteppedClock
from tests.gc.images import Image, artifact, digest_of, image, index, layer
from tests.gc.memorystorage import File, MemoryStorage
from tests.gc.modelpruner import QUIET, ModelPruner, forget
from tests.gc.modelregistry import (
    BASE,
    Cache,
    ModelRegistry,
    data,
    layer_link,
    revision_link,
    tag_folder,
)
from tests.gc.richtree import DAY, do, push, simple
from tests.gc.storagedoubles import Interposed, Killed

GRACE = 600.0
TICK = 0.001
SETTINGS = Settings(
    grace=GRACE,
    untagged_after=3600,
    uploads_after=3600,
    trash=0,
    max_fraction=1,
    override=frozenset({"no-tags"}),
)
REPOSITORY = "app"
CURRENT = f"{BASE}/pruner/current"


class Scene:
    """One repository, in which `stays` is tagged, and a pruner that can be interrupted at any call."""

    def __init__(self, settings: Settings = SETTINGS, *, atomic: bool = True, cache: Cache = "none") -> None:
        self.clock = SteppedClock()
        self.storage = MemoryStorage(self.clock)
        self.registry = ModelRegistry(self.storage, atomic=atomic, cache=cache)
        self.pruner = ModelPruner(self.storage, self.clock, self.registry, settings)
        self.asleep: list[Callable[[], object]] = []
        self.clock.step = self._sleep
        push(self.registry, REPOSITORY, simple("stays"), "stays")

    def _sleep(self, remaining: float) -> float:
        if self.asleep:
            self.clock.advance(TICK)
            self.asleep.pop(0)()
        return remaining

    def old(self) -> None:
        self.clock.advance(30 * DAY)

    def run(
        self,
        when: Callable[[str, str], bool] = lambda _o, _p: False,
        act: Callable[[], None] = print,
        progress: Progress = QUIET,
    ) -> Report:
        """A run in which `act` happens before the first call that `when` is about."""
        acted = False

        def before(operation: str, path: str) -> None:
            nonlocal acted
            self.clock.advance(TICK)
            if not acted and when(operation, path):
                acted = True
                act()

        self.storage.between = before
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pruner.sweep.flush.forget_redis", forget(self.registry))
            try:
                return self.pruner.run(Interposed(self.storage, before), progress)
            finally:
                self.storage.between = lambda _operation, _path: None

    def killed_run(self, when: Callable[[str, str], bool]) -> None:
        dead = False

        def before(operation: str, path: str) -> None:
            nonlocal dead
            dead = dead or when(operation, path)
            if dead:
                raise Killed

        self.storage.between = before
        with pytest.raises(Killed), pytest.MonkeyPatch.context() as patch:
            patch.setattr("pruner.sweep.flush.forget_redis", forget(self.registry))
            self.pruner.run(Interposed(self.storage, before))
        self.storage.between = lambda _operation, _path: None

    def readable(self, image: Image, repository: str = REPOSITORY) -> bool:
        paths = [revision_link(repository, image.digest), data(image.digest)]
        paths += [layer_link(repository, digest_of(blob)) for blob in image.blobs]
        paths += [data(digest_of(blob)) for blob in image.blobs]
        return all(self.storage.exists(path) for path in paths)


def test_the_marks_are_a_grace_apart() -> None:
    scene = Scene()
    push(scene.registry, REPOSITORY, simple("gone"))
    scene.old()
    marks: list[float] = []

    def progress(phase: str, _count: int) -> None:
        if phase == "mark" and scene.clock.now() not in marks:
            marks.append(scene.clock.now())

    scene.pruner.run(progress=progress)
    assert [moment - marks[0] for moment in marks] == [0, GRACE, GRACE + SETTLE]


def test_what_a_push_has_sent_so_far_is_left_alone() -> None:
    """Its layers and child manifests are referenced by nothing yet."""
    scene = Scene(replace(SETTINGS, untagged_after=0))
    child = simple("child")
    parent = index([child])
    other = simple("other")
    push(scene.registry, REPOSITORY, child)
    for blob in other.blobs:
        upload = do(scene.registry.start_upload(REPOSITORY))
        do(scene.registry.send(upload, blob))
        do(scene.registry.commit_upload(REPOSITORY, upload, digest_of(blob)))

    def go_on() -> None:
        do(scene.registry.put_manifest(REPOSITORY, parent, "parent"))
        do(scene.registry.put_manifest(REPOSITORY, other, "other"))

    scene.clock.advance(10)
    scene.asleep = [go_on]
    push(scene.registry, "gone", simple("gone"))  # gives the run something to hold
    for path, node in scene.storage.walk(f"{BASE}/repositories/gone"):
        node.mtime -= 30 * DAY
        assert path
    scene.run()
    assert scene.readable(child)
    assert scene.readable(other)


def test_what_the_second_look_sees_is_never_quarantined() -> None:
    scene = Scene()
    gone, again = simple("gone"), simple("again")
    push(scene.registry, REPOSITORY, gone)
    push(scene.registry, REPOSITORY, again)
    referrer = artifact("sbom", subject=again)
    push(scene.registry, REPOSITORY, referrer)
    scene.old()
    settling: list[bool] = []
    scene.asleep = [
        lambda: push(scene.registry, REPOSITORY, again, "again"),
        lambda: settling.extend([scene.readable(again), scene.readable(referrer)]),
    ]
    scene.run()
    assert settling == [True, True]
    assert not scene.storage.exists(data(gone.digest))


def test_a_link_written_after_the_second_look_brings_its_blob_back() -> None:
    """The registry found the blob where it was, the blob was quarantined, and then came the link."""
    scene = Scene(replace(SETTINGS, trash=DAY))
    gone = simple("gone")
    push(scene.registry, REPOSITORY, gone)
    scene.old()
    blob = digest_of(gone.blobs[0])
    upload = do(scene.registry.start_upload(REPOSITORY))
    do(scene.registry.send(upload, gone.blobs[0]))
    commit = scene.registry.commit_upload(REPOSITORY, upload, blob)
    scene.asleep = [lambda: [next(commit) for _ in range(3)], lambda: do(commit)]
    scene.run()
    assert scene.storage.exists(layer_link(REPOSITORY, blob))
    assert scene.storage.exists(data(blob))


def test_what_is_written_into_a_link_that_is_held_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 2.8 opened the link before it was renamed, and truncates and writes it afterwards."""
    scene = Scene(atomic=False)
    gone = simple("gone")
    push(scene.registry, REPOSITORY, gone)
    scene.old()
    link = revision_link(REPOSITORY, gone.digest)
    put = scene.registry.put_manifest(REPOSITORY, gone, None)

    opened: list[str] = []
    open_file = scene.storage.open

    def noted(path: str) -> File:
        opened.append(path)
        return open_file(path)

    def open_the_link() -> None:
        monkeypatch.setattr(scene.storage, "open", noted)
        while link not in opened:
            next(put)

    scene.asleep = [lambda: do(put)]
    scene.run(lambda operation, path: operation == "rename" and path == link, open_the_link)
    assert scene.readable(gone)


def test_a_link_written_just_before_it_is_taken_away_is_back_before_caches_are_flushed() -> None:
    """Flushing may restart a registry, and an acknowledged push is not to be missing for so long."""
    scene = Scene()
    gone = simple("gone")
    push(scene.registry, REPOSITORY, gone)
    scene.old()
    link = revision_link(REPOSITORY, gone.digest)
    seen: list[bool] = []

    def progress(phase: str, _count: int) -> None:
        if phase == "flush caches":
            seen.append(scene.storage.exists(link))

    scene.run(
        lambda operation, path: (operation, path) == ("rename", link),
        lambda: do(scene.registry.put_manifest(REPOSITORY, gone, None)),
        progress,
    )
    assert seen == [True]
    assert scene.readable(gone)


def test_a_referrer_comes_back_when_its_subject_is_pushed_again_during_the_wait() -> None:
    scene = Scene()
    subject = simple("subject")
    referrer = artifact("sbom", subject=subject)
    push(scene.registry, REPOSITORY, subject)
    push(scene.registry, REPOSITORY, referrer)
    scene.old()
    scene.asleep = [lambda: push(scene.registry, REPOSITORY, subject, "again")]
    scene.run()
    assert scene.readable(subject)
    assert scene.readable(referrer)


def test_a_tag_that_retention_drops_and_a_client_pushes_again_during_the_wait_stays() -> None:
    policies = (Policy(("*",), ("*",), 1, None, None),)
    scene = Scene(replace(SETTINGS, retention=policies))
    dropped = simple("dropped")
    push(scene.registry, REPOSITORY, dropped, "dropped")
    scene.clock.advance(60)
    push(scene.registry, REPOSITORY, simple("last"), "last")
    scene.old()
    scene.asleep = [lambda: push(scene.registry, REPOSITORY, dropped, "dropped")]
    scene.run()
    assert scene.storage.exists(f"{tag_folder(REPOSITORY, 'dropped')}/current/link")
    assert scene.readable(dropped)


@pytest.mark.parametrize("ends", ["well", "undone"])
def test_a_tag_deleted_while_its_history_is_held_does_not_come_back(ends: str) -> None:
    scene = Scene()
    push(scene.registry, REPOSITORY, simple("older"), "tag")
    push(scene.registry, REPOSITORY, simple("newer"), "tag")
    scene.old()

    def delete() -> None:
        do(scene.registry.delete_tag(REPOSITORY, "tag"))

    scene.asleep = [delete]
    if ends == "well":
        scene.run()
    else:
        scene.killed_run(lambda operation, _path: operation == "append")
        scene.run()
    assert not scene.storage.exists(tag_folder(REPOSITORY, "tag"))


def test_a_blob_uploaded_again_while_it_is_quarantined_wins() -> None:
    scene = Scene(replace(SETTINGS, trash=DAY))
    gone = simple("gone")
    push(scene.registry, REPOSITORY, gone)
    scene.old()
    quarantined = f"{CURRENT}/blobs/{gone.digest.replace(':', '-')}"
    scene.run(
        lambda operation, _path: operation == "list" and scene.storage.exists(quarantined),
        lambda: push(scene.registry, REPOSITORY, gone, "again"),
    )
    assert scene.readable(gone)
    scene.old()
    scene.run()
    assert scene.readable(gone)


@pytest.mark.parametrize("trash", [0, DAY])
def test_a_request_that_outlives_a_killed_run_is_seen_before_the_purge(trash: float) -> None:
    """The registry found the blob, the pruner quarantined it and died, the next one purges at once: the link
    that the registry then writes must have been waited for."""
    scene = Scene(replace(SETTINGS, trash=trash))
    gone = simple("gone")
    push(scene.registry, REPOSITORY, gone)
    scene.old()
    blob = digest_of(gone.blobs[0])
    upload = do(scene.registry.start_upload(REPOSITORY))
    do(scene.registry.send(upload, gone.blobs[0]))
    commit = scene.registry.commit_upload(REPOSITORY, upload, blob)
    for _ in range(3):
        next(commit)  # it has found the upload and the blob
    quarantined = f"{CURRENT}/blobs/{blob.replace(':', '-')}"

    def after_quarantine(operation: str, _path: str) -> bool:
        return operation != "rename" and scene.storage.exists(quarantined)

    scene.killed_run(after_quarantine)
    listed = [f"{BASE}/repositories/{REPOSITORY}/_layers/sha256"]

    def looked(operation: str, path: str) -> bool:
        if operation == "list" and path in listed:
            listed.remove(path)
        return not listed and operation == "list" and path.endswith("/_uploads")

    scene.run(looked, lambda: do(commit))
    scene.run()
    assert scene.storage.exists(layer_link(REPOSITORY, blob))
    assert scene.storage.exists(data(blob))


@pytest.mark.parametrize("cache", ["inmemory", "redis"])
@pytest.mark.parametrize("trash", [0, DAY])
def test_a_manifest_pushed_and_deleted_during_the_wait_can_be_pushed_again(
    cache: Cache, trash: float
) -> None:
    """Version 2.8 asks its cache whether it has a manifest, and deleting it does not clear that."""
    scene = Scene(replace(SETTINGS, trash=trash), atomic=False, cache=cache)
    gone = simple("gone")
    push(scene.registry, REPOSITORY, gone)
    scene.old()

    def push_and_delete() -> None:
        push(scene.registry, REPOSITORY, gone)
        do(scene.registry.delete_manifest(REPOSITORY, gone.digest))

    scene.asleep = [push_and_delete]
    scene.run()
    push(scene.registry, REPOSITORY, gone, "again")
    scene.run()
    assert scene.readable(gone)


@pytest.mark.parametrize("ends", ["well", "killed"])
def test_what_a_cache_learned_just_before_the_hold_misleads_nobody(ends: str) -> None:
    """A request that read the link before it was held tells redis afterwards that the layer is there."""
    scene = Scene(cache="redis")
    shared = layer("shared", 64)
    digest = digest_of(shared)
    push(scene.registry, REPOSITORY, image([shared], "old"))
    push(scene.registry, "other", image([shared], "other"), "1")
    scene.old()
    scene.registry.cache.clear()
    head = scene.registry.head_blob(REPOSITORY, digest)

    def see_the_layer() -> None:
        while digest not in scene.registry.cache.blobs:
            next(head)

    fresh = image([shared], "fresh")

    def push_fresh() -> None:
        for blob in fresh.blobs[1:]:
            upload = do(scene.registry.start_upload(REPOSITORY))
            do(scene.registry.send(upload, blob))
            do(scene.registry.commit_upload(REPOSITORY, upload, digest_of(blob)))
        if not do(scene.registry.head_blob(REPOSITORY, digest)):
            upload = do(scene.registry.start_upload(REPOSITORY))
            do(scene.registry.send(upload, shared))
            do(scene.registry.commit_upload(REPOSITORY, upload, digest))
        do(scene.registry.put_manifest(REPOSITORY, fresh, "fresh"))

    see_the_layer()
    scene.asleep = [lambda: do(head)]
    if ends == "well":
        scene.run(lambda operation, _path: operation == "append", push_fresh)
    else:
        decided = False

        def after_decision(operation: str, _path: str) -> bool:
            nonlocal decided
            if decided and operation == "rename":
                push_fresh()
                return True
            decided = decided or operation == "append"
            return False

        scene.killed_run(after_decision)
    scene.run()
    assert scene.readable(fresh)


def test_what_a_push_that_dies_while_blobs_settle_leaves_in_redis_misleads_nobody() -> None:
    """It found the layer in its place, told redis so after the quarantine, and was gone before its link."""
    scene = Scene(cache="redis")
    shared = layer("shared", 64)
    digest = digest_of(shared)
    push(scene.registry, REPOSITORY, image([shared], "old"))
    scene.old()

    def leave_an_entry() -> None:
        assert not scene.storage.exists(data(digest)), "it is in quarantine"
        scene.registry.cache.blobs.add(digest)
        scene.registry.cache.members.add((REPOSITORY, digest))

    scene.asleep = [lambda: None, leave_an_entry]
    scene.run()
    fresh = image([shared], "fresh")
    for blob in fresh.blobs:
        if not do(scene.registry.head_blob(REPOSITORY, digest_of(blob))):
            upload = do(scene.registry.start_upload(REPOSITORY))
            do(scene.registry.send(upload, blob))
            do(scene.registry.commit_upload(REPOSITORY, upload, digest_of(blob)))
    do(scene.registry.put_manifest(REPOSITORY, fresh, "fresh"))
    assert scene.readable(fresh)
