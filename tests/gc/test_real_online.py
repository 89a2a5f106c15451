"""Hazards 28 to 34: clients at work on a real registry at the pruner's most awkward moments.

Every run here waits a grace between its two marks. The moments are told by the tree itself: once a layer's
link is gone, the run has unlinked and is waiting.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.gc.conftest import StartRegistry
from tests.gc.images import Image, digest_of, image, index, layer
from tests.gc.prunerprocess import PrunerProcess
from tests.gc.realregistry import CACHES, Cache, RealRegistry
from tests.gc.registryclient import RefusalError, RegistryClient, UnansweredError
from tests.gc.treebuilder import TreeBuilder, age
from tests.gc.waiting import until

GRACE = 2.0  # seconds between the marks
OLD = 7200.0  # seconds by which a tree is aged, so that only the wait is left of the grace
OPTIONS = ("--grace", f"{GRACE:g}", "--untagged-after", "1h", "--trash", "0", "--max-fraction", "1")
KEPT = image([layer("shared"), layer("kept")], "kept")
GONE = image([layer("shared"), layer("gone"), layer("gone too", 100_000)], "gone", oci=True)
LAYER = digest_of(layer("gone"))
every_cache = pytest.mark.parametrize("cache", CACHES)


@contextmanager
def waiting_run(registry: RealRegistry) -> Generator[dict[str, Any]]:
    """A run that has unlinked and waits while the block works, and has ended after it. Yields its report."""
    pruner = PrunerProcess(registry.config)
    restarts = registry.starts
    process = pruner.start("run", "--output", "json", *OPTIONS)
    report: dict[str, Any] = {}
    try:
        link = TreeBuilder(registry.data).layer_path("app", LAYER)
        until(lambda: not link.exists() or process.poll() is not None, what="the layer's link is unlinked")
        if registry.cache == "inmemory":
            until(
                lambda: registry.starts > restarts or process.poll() is not None, what="the registry restarts"
            )
        registry.wait_ready()
        assert process.poll() is None, "the run was to wait its grace"
        yield report
    finally:
        report.update(pruner.finish(process))


def garbage_in(registry: RealRegistry, *, repository: str = "app") -> None:
    """A kept image and an old one that lost its tag, sharing a layer."""
    with registry.client() as client:
        client.push(repository, KEPT, "kept")
        client.push(repository, GONE, "moving")
        client.check(repository, "moving", GONE)
        client.put_manifest(repository, "moving", KEPT)
    age(registry.data, OLD)


def push_until_acknowledged(
    client: RegistryClient, repository: str, pushed: Image, tag: str, **how: Any
) -> int:
    """Push as a person does, from scratch after each refusal; returns the number of refusals."""
    for refusals in range(10):
        try:
            client.push(repository, pushed, tag, **how)
            return refusals
        except (RefusalError, UnansweredError):
            time.sleep(0.2)
    raise AssertionError("ten pushes were refused")


@pytest.mark.parametrize(
    ("cache", "on_s3"), [*((cache, False) for cache in CACHES), ("none", True), ("redis", True)]
)
def test_hazard_28_head_200_then_prune_then_the_manifest(
    start_registry: StartRegistry, cache: Cache, on_s3: bool
) -> None:
    registry = start_registry(cache, supervised=True, on_s3=on_s3)
    garbage_in(registry)
    with registry.client() as client:
        assert all(client.has_blob("app", digest_of(blob)) for blob in GONE.blobs)
    with waiting_run(registry), registry.client() as client:
        try:
            client.put_manifest("app", "late", GONE)
        except RefusalError as refusal:
            assert "MANIFEST_BLOB_UNKNOWN" in refusal.codes
            push_until_acknowledged(client, "app", GONE, "late")
    with registry.client() as client:
        client.check("app", "late", GONE)
        client.check("app", "kept", KEPT)


def test_hazard_29_an_upload_in_flight_outlives_a_run(registry: RealRegistry) -> None:
    garbage_in(registry)
    pushed = image([layer("slow", 50_000)], "slow")
    with registry.client() as client:
        upload = client.append(client.start_upload("app"), layer("slow", 50_000)[:20_000])
        with waiting_run(registry):
            upload = client.append(upload, layer("slow", 50_000)[20_000:])
        client.finish_upload(upload, digest_of(layer("slow", 50_000)))
        client.push("app", pushed, "slow")
        client.check("app", "slow", pushed)


def test_hazard_29_an_upload_finished_just_before_a_run_waits_for_its_manifest(
    registry: RealRegistry,
) -> None:
    garbage_in(registry)
    with registry.client() as client:
        for blob in GONE.blobs:
            client.push_blob("app", blob)
        PrunerProcess(registry.config).report("run", *OPTIONS)
        client.put_manifest("app", "late", GONE)
        client.check("app", "late", GONE)


@every_cache
def test_hazard_30_a_mount_from_a_repository_that_is_unlinked(
    start_registry: StartRegistry, cache: Cache
) -> None:
    registry = start_registry(cache, supervised=True)
    garbage_in(registry)
    with waiting_run(registry), registry.client() as client:
        push_until_acknowledged(client, "elsewhere", GONE, "mounted", mount_from="app")
    with registry.client() as client:
        client.check("elsewhere", "mounted", GONE)


@every_cache
def test_hazard_31_a_tag_put_back_between_mark_and_sweep(start_registry: StartRegistry, cache: Cache) -> None:
    registry = start_registry(cache, supervised=True)
    garbage_in(registry)
    with waiting_run(registry), registry.client() as client:
        push_until_acknowledged(client, "app", GONE, "back")
    with registry.client() as client:
        client.check("app", "back", GONE)


def test_hazard_31_a_tag_put_back_at_any_moment_of_a_run(start_registry: StartRegistry) -> None:
    registry = start_registry()
    pruner = PrunerProcess(registry.config)
    options = ("--grace", "0.2", *OPTIONS[2:])
    with registry.client() as client:
        for step in range(12):
            garbage_in(registry)
            process = pruner.start("run", "--output", "json", *options)
            time.sleep(0.08 * step)
            push_until_acknowledged(client, "app", GONE, f"back-{step}")
            pruner.finish(process)
            client.check("app", f"back-{step}", GONE)
            client.delete_manifest("app", GONE.digest)


def test_hazard_31_what_is_acknowledged_between_mark_and_unlink_need_not_wait_for_the_grace(
    registry: RealRegistry,
) -> None:
    images = {f"r{number}": image([layer(number)], f"image {number}") for number in range(300)}
    with registry.client() as client:
        client.push("app", KEPT, "kept")
        tree = TreeBuilder(registry.data)
        for repository, each in images.items():
            tree.push(repository, each)
        age(registry.data, OLD)
        pruner = PrunerProcess(registry.config)
        process = pruner.start("run", "--output", "json", "--grace", "5", *OPTIONS[2:])
        until((tree.top / "pruner").exists, what="the run has begun")
        acknowledged: list[str] = []
        for repository, each in images.items():
            try:
                client.put_manifest(repository, "late", each)
                acknowledged.append(repository)
            except RefusalError:
                break  # from here on the links are gone
        assert len(acknowledged) < len(images), "the pushes were to overlap with the unlinking"
        time.sleep(1.5)
        unreadable: list[str] = []
        for repository in acknowledged[-60:]:
            try:
                client.check(repository, "late", images[repository])
            except RefusalError as refusal:
                unreadable.append(str(refusal))
        still_waiting = process.poll() is None
        pruner.finish(process)
        assert still_waiting, "the grace was to last longer than these pulls"
        assert unreadable == []
        for repository in acknowledged:
            client.check(repository, "late", images[repository])


def test_hazard_32_deletes_through_the_api_during_the_walk(registry: RealRegistry) -> None:
    doomed = [
        image([layer("shared"), layer(f"doomed {number}", 500)], f"doomed {number}") for number in range(60)
    ]
    pruner = PrunerProcess(registry.config)
    with registry.client() as client:
        client.push("app", KEPT, "kept")
        for number, each in enumerate(doomed):
            client.push("app", each, f"t{number}")
        age(registry.data, OLD)
        process = pruner.start("run", "--output", "json", "--grace", "0.5", *OPTIONS[2:])
        for each in doomed:
            client.delete_manifest("app", each.digest)
        pruner.finish(process)
        pruner.prune_at_once()
        client.check("app", "kept", KEPT)
        assert client.tags("app") == ["kept"]
        assert not client.has_blob("app", digest_of(layer("doomed 7", 500)))


def test_hazard_32_a_tag_deleted_while_its_old_links_are_held_does_not_come_back(
    registry: RealRegistry,
) -> None:
    fresh = image([layer("fresh")], "fresh")
    garbage_in(registry)
    with registry.client() as client:
        client.push("app", fresh, "moving")
        with waiting_run(registry):
            client.delete_manifest("app", fresh.digest)
            assert client.tags("app") == ["kept"]
        assert client.tags("app") == ["kept"]


def test_hazard_33_an_index_pushed_right_after_its_children(registry: RealRegistry) -> None:
    garbage_in(registry)
    children = [GONE, image([layer("shared"), layer("fresh")], "fresh")]
    whole = index(children)
    with registry.client() as client:
        for child in children:
            client.push("multi", child)
        with waiting_run(registry):
            client.put_manifest("multi", "whole", whole)
        client.check("multi", "whole", whole)


def test_hazard_34_pulls_go_on_while_a_run_unlinks(registry: RealRegistry) -> None:
    garbage_in(registry)
    ended, failures = threading.Event(), list[str]()

    def pull() -> None:
        with registry.client() as mine:
            while not ended.is_set():
                try:
                    mine.check("app", "kept", KEPT)
                except (RefusalError, UnansweredError, AssertionError) as error:
                    failures.append(str(error))

    puller = threading.Thread(target=pull)
    puller.start()
    try:
        report = PrunerProcess(registry.config).report("run", "--grace", "0.5", *OPTIONS[2:])
    finally:
        ended.set()
        puller.join()
    assert report["removals"]
    assert failures == []


def test_hazard_34_a_download_that_has_begun_ends_well(registry: RealRegistry) -> None:
    size = 48 << 20  # more than the sockets between us can hold
    big = layer("big", size)
    with registry.client() as client:
        client.push("app", KEPT, "kept")
        client.push("app", image([big], "big"), "big")
        client.delete_manifest("app", image([big], "big").digest)
        url = f"{client.base}/v2/app/blobs/{digest_of(big)}"
        with client.session.get(url, stream=True, timeout=60) as response:
            chunks = response.iter_content(1 << 20)
            begun = next(chunks)
            PrunerProcess(registry.config).prune_at_once()
            assert not TreeBuilder(registry.data).blob_path(digest_of(big)).exists()
            assert begun + b"".join(chunks) == big
