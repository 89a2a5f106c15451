"""The read-only window (gcMode readonly) on real registries: no push gets in, and it never stays.

First the window alone, with a process that is killed on its way through it; then whole runs of the pruner.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pruner.clock import SystemClock
from pruner.registry.readonly import enter, leave, recover
from pruner.registry.registries import Registries
from tests.gc.conftest import StartRegistry
from tests.gc.images import digest_of, image, layer
from tests.gc.prunerprocess import AT_ONCE, PrunerProcess
from tests.gc.realregistry import RealRegistry, Version
from tests.gc.registryclient import RefusalError, UnansweredError
from tests.gc.treebuilder import TreeBuilder
from tests.gc.waiting import until

GC = Path(__file__).resolve().parents[2] / "gc"
MOMENTS = 6

# Opens and closes the window; dies at the given call of ours, or says how many calls there were.
PRUNER = """
import os, signal, sys
from pruner.registry import process, readonly
from pruner.clock import SystemClock
from pruner.registry.registries import Registries
path, step, seen = sys.argv[1], int(sys.argv[2]), 0
def trace(frame, event, argument):
    global seen
    if frame.f_code.co_filename in (process.__file__, readonly.__file__):
        seen += 1
        if seen == step:
            os.kill(os.getpid(), signal.SIGKILL)
registry = Registries(SystemClock(), restart="allowed")
sys.settrace(trace)
readonly.enter(path, {}, registry)
readonly.leave(path, {}, registry)
sys.settrace(None)
print(seen)
"""


def open_and_close(registry: RealRegistry, step: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRUNER, str(registry.config), str(step)],
        env=os.environ | {"PYTHONPATH": str(GC)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )


def pushes(registry: RealRegistry, seed: str) -> None:
    with registry.client() as client:
        client.push_blob("a/b", layer(seed))


def test_a_read_only_registry_refuses_pushes_and_serves_pulls(start_registry: StartRegistry) -> None:
    registry = start_registry(supervised=True)
    running = Registries(SystemClock(), restart="allowed")
    before = registry.config.read_bytes()
    with registry.client() as client:
        digest = client.push_blob("a/b", layer("before"))
    assert enter(str(registry.config), {}, running) is None
    with registry.client() as client:
        with pytest.raises(RefusalError) as refusal:
            client.push_blob("a/b", layer("within"))
        assert refusal.value.status == 405
        assert client.get_blob("a/b", digest) == layer("before")
    leave(str(registry.config), {}, running)
    pushes(registry, "after")
    assert registry.config.read_bytes() == before


def test_a_login_hides_nothing_of_the_window(version: Version, tmp_path: Path) -> None:
    """Its answers are all 401, but its process began after the file was last changed, and reads it once."""
    with RealRegistry(version, tmp_path / "registry", supervised=True, login=True) as registry:
        running = Registries(SystemClock(), restart="allowed")
        assert enter(str(registry.config), {}, running) is None
        with registry.client() as client, pytest.raises(RefusalError) as refusal:
            client.push_blob("a/b", layer("within"))
        assert refusal.value.status == 405
        leave(str(registry.config), {}, running)
        assert registry.starts == 3
        pushes(registry, "after")


def test_a_window_that_a_dead_pruner_left_is_closed_behind_a_login(version: Version, tmp_path: Path) -> None:
    """The original is older than the process, which yet reads the read-only one: it is restarted."""
    with RealRegistry(version, tmp_path / "registry", supervised=True, login=True) as registry:
        os.utime(registry.config, (1000, 1000))
        running = Registries(SystemClock(), restart="allowed")
        enter(str(registry.config), {}, running)
        assert recover(str(registry.config), {}, running)
        assert registry.starts == 3
        pushes(registry, "after")


def test_killed_at_any_moment_it_is_writable_after_the_next_start(start_registry: StartRegistry) -> None:
    registry = start_registry(supervised=True)
    before = registry.config.read_bytes()
    undisturbed = open_and_close(registry, 0)
    assert undisturbed.returncode == 0
    calls, was_open = int(undisturbed.stdout), 0
    for moment in range(MOMENTS):
        killed = open_and_close(registry, 1 + calls * (2 * moment + 1) // (2 * MOMENTS))
        assert killed.returncode in (-9, 0)
        was_open += recover(str(registry.config), {}, Registries(SystemClock(), restart="allowed"))
        registry.wait_ready()
        pushes(registry, f"after {moment}")
        assert registry.config.read_bytes() == before
        assert [file.name for file in registry.folder.glob("config*")] == ["config.yml"]
    assert was_open > MOMENTS // 2


# -- runs

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
    until(lambda: supervised.config.read_bytes() != config, process=process)
    process.kill()
    process.communicate()
    pruner.report("run", *READ_ONLY)
    assert supervised.config.read_bytes() == config
    supervised.wait_ready()
    with supervised.client() as client:
        client.push("app", GONE, "back")
        client.check("app", "back", GONE)
        client.check("app", "latest", KEPT)
