"""The read-only window (gcMode readonly) on real registries: no push gets in, and it never stays."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from tests.gc.conftest import StartRegistry
from tests.gc.images import digest_of, image, layer
from tests.gc.prunerprocess import AT_ONCE, PrunerProcess
from tests.gc.realregistry import RealRegistry
from tests.gc.registryclient import RefusalError, UnansweredError
from tests.gc.treebuilder import TreeBuilder

KEPT = image([layer("shared"), layer("kept")], "kept")
GONE = image([layer("shared"), layer("gone")], "gone")
READ_ONLY = (*AT_ONCE, "--mode", "readonly")


@contextmanager
def watched(registry: RealRegistry) -> Generator[list[int]]:
    """The statuses of an upload that is begun again and again while the block runs; 0 for no answer."""
    statuses: list[int] = []
    ended = threading.Event()

    def knock() -> None:
        while not ended.is_set():
            try:
                with registry.client() as client:
                    client.start_upload("knock")
                status = 202
            except RefusalError as refusal:
                status = refusal.status
            except UnansweredError:
                status = 0
            if not statuses or statuses[-1] != status:
                statuses.append(status)
            time.sleep(0.005)

    watcher = threading.Thread(target=knock)
    watcher.start()
    try:
        yield statuses
    finally:
        ended.set()
        watcher.join()


@pytest.fixture
def supervised(start_registry: StartRegistry) -> RealRegistry:
    registry = start_registry(supervised=True)
    with registry.client() as client:
        client.push("app", GONE, "latest")
        client.push("app", KEPT, "latest")
        for number in range(40):
            client.push("app", image([layer("shared"), layer(f"more {number}", 200)], f"more {number}"))
    return registry


def test_no_push_gets_in_while_the_window_is_open_and_all_do_after_it(supervised: RealRegistry) -> None:
    config = supervised.config.read_bytes()
    with watched(supervised) as statuses:
        report = PrunerProcess(supervised.config).report("run", *READ_ONLY)
    assert 405 in statuses, statuses
    assert statuses[-1] == 202, statuses
    assert supervised.starts == 3, "one restart into the window and one out of it"
    assert supervised.config.read_bytes() == config
    with supervised.client() as client:
        client.check("app", "latest", KEPT)
        assert not TreeBuilder(supervised.data).blob_path(digest_of(layer("gone"))).exists()
        assert report["summary"]["removable_blobs"] > 40
        client.push("app", GONE, "back")
        client.check("app", "back", GONE)


def test_a_pruner_killed_in_the_window_opens_the_registry_again(supervised: RealRegistry) -> None:
    config = supervised.config.read_bytes()
    pruner = PrunerProcess(supervised.config)
    process = pruner.start("run", "--output", "json", *READ_ONLY)
    deadline = time.monotonic() + 30
    while supervised.config.read_bytes() == config:
        assert process.poll() is None and time.monotonic() < deadline, "the configuration was to be rewritten"
        time.sleep(0.002)
    process.kill()
    process.communicate()
    pruner.report("run", *READ_ONLY)
    assert supervised.config.read_bytes() == config
    supervised.wait_ready()
    with supervised.client() as client:
        client.push("app", GONE, "back")
        client.check("app", "back", GONE)
        client.check("app", "latest", KEPT)
