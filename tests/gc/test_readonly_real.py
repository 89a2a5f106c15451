"""The read-only window on real registries, with a pruner that is killed on the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pruner.clock import SystemClock
from pruner.registry.process import RunningRegistry
from pruner.registry.readonly import enter, leave, recover
from tests.gc.conftest import StartRegistry
from tests.gc.images import layer
from tests.gc.realregistry import RealRegistry
from tests.gc.registryclient import RefusalError

GC = Path(__file__).resolve().parents[2] / "gc"
MOMENTS = 6

# Opens and closes the window; dies at the given call of ours, or says how many calls there were.
PRUNER = """
import os, signal, sys
from pruner.registry import process, readonly
from pruner.clock import SystemClock
from pruner.registry.process import RunningRegistry
path, step, seen = sys.argv[1], int(sys.argv[2]), 0
def trace(frame, event, argument):
    global seen
    if frame.f_code.co_filename in (process.__file__, readonly.__file__):
        seen += 1
        if seen == step:
            os.kill(os.getpid(), signal.SIGKILL)
registry = RunningRegistry(SystemClock())
sys.settrace(trace)
readonly.enter(path, {}, registry)
readonly.leave(path, {}, registry)
sys.settrace(None)
print(seen)
"""


def pruner(registry: RealRegistry, step: int) -> subprocess.CompletedProcess[str]:
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
    running = RunningRegistry(SystemClock())
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


def test_killed_at_any_moment_it_is_writable_after_the_next_start(start_registry: StartRegistry) -> None:
    registry = start_registry(supervised=True)
    before = registry.config.read_bytes()
    undisturbed = pruner(registry, 0)
    assert undisturbed.returncode == 0
    calls, was_open = int(undisturbed.stdout), 0
    for moment in range(MOMENTS):
        killed = pruner(registry, 1 + calls * (2 * moment + 1) // (2 * MOMENTS))
        assert killed.returncode in (-9, 0)
        was_open += recover(str(registry.config), {}, RunningRegistry(SystemClock()))
        registry.wait_ready()
        pushes(registry, f"after {moment}")
        assert registry.config.read_bytes() == before
        assert [file.name for file in registry.folder.glob("config*")] == ["config.yml"]
    assert was_open > MOMENTS // 2
