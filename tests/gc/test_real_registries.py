"""Every registry that serves the tree is found and minded, by what it runs with; no other is touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pruner.registry.process import serving
from tests.gc.images import digest_of, image, layer
from tests.gc.prunerprocess import PrunerProcess
from tests.gc.realregistry import RealRegistry, Redis, Version

KEPT = image([layer("kept")], "kept")
GONE = image([layer("gone")], "gone")
LAYER = digest_of(layer("gone"))

Start = Callable[..., RealRegistry]


@pytest.fixture
def start(version: Version, tmp_path: Path) -> Iterator[Start]:
    """Starts a supervised registry named `name`, with any of RealRegistry's options."""
    with ExitStack() as running:

        def begin(name: str, **options: object) -> RealRegistry:
            options = {"supervised": True} | options
            return running.enter_context(RealRegistry(version, tmp_path / name, **options))  # type: ignore[arg-type]

        yield begin


def push_and_delete(registry: RealRegistry) -> None:
    """One image stays; the other was pushed, seen by the cache, and deleted."""
    with registry.client() as client:
        for each, tag in ((KEPT, "kept"), (GONE, "gone")):
            client.push("app", each, tag)
            client.check("app", tag, each)
        client.delete_manifest("app", GONE.digest)
        assert client.has_blob("app", LAYER)


def takes_again(registry: RealRegistry) -> None:
    registry.wait_ready()
    with registry.client() as client:
        assert not client.has_blob("app", LAYER)
        client.push("app", GONE, "again")
        client.check("app", "again", GONE)
        client.check("app", "kept", KEPT)


def test_item_2_the_variables_of_the_registry_count(start: Start) -> None:
    """Its cache is switched on by its environment, which is not the pruner's."""
    registry = start("registry", environment={"REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR": "inmemory"})
    push_and_delete(registry)
    report = PrunerProcess(registry.config).prune_at_once()
    takes_again(registry)
    assert registry.starts == 2
    assert any(
        "with its cache in memory, and not without a cache" in note for note in report["summary"]["notes"]
    )


def test_item_2_redis_that_the_registrys_variables_name_is_forgotten(
    version: Version, start: Start, tmp_path: Path
) -> None:
    with Redis(tmp_path / "redis") as redis:
        where = {"2.8.2": ("ADDR", "{}"), "3.1.2": ("OPTIONS_ADDRS", "['{}']")}[version]
        registry = start(
            "registry",
            environment={
                "REGISTRY_STORAGE_CACHE": "{blobdescriptor: redis}",
                f"REGISTRY_REDIS_{where[0]}": where[1].format(f"127.0.0.1:{redis.port}"),
            },
        )
        push_and_delete(registry)
        PrunerProcess(registry.config).prune_at_once()
        takes_again(registry)
        assert registry.starts == 1


def test_item_2_a_registry_that_its_variables_give_another_tree_is_told_from_the_given_one(
    start: Start, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    registry = start("registry", environment={"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(other)})
    push_and_delete(registry)
    (registry.data / "docker/registry/v2").mkdir(parents=True)
    error = PrunerProcess(registry.config).report("run", expected=(9,))["error"]["message"]
    assert f"gives {registry.data} here" in error
    assert f"serves {other}" in error


def test_item_2_a_file_changed_since_the_registry_began_is_not_believed(start: Start) -> None:
    registry = start("registry", cache="inmemory")
    push_and_delete(registry)
    registry.config.write_text(registry.config.read_text().replace("blobdescriptor: inmemory", "x: y"))
    later = time.time() + 10
    os.utime(registry.config, (later, later))
    PrunerProcess(registry.config).prune_at_once()
    takes_again(registry)


@pytest.mark.parametrize("first", ["none", "inmemory"])
def test_item_3_a_second_registry_on_the_tree_is_minded(start: Start, first: str) -> None:
    """It has a configuration of its own and a cache in memory."""
    one = start("one", cache=first)
    two = start("two", cache="inmemory", tree=one.data)
    push_and_delete(two)
    with one.client() as client:
        client.check("app", "kept", KEPT)
    report = PrunerProcess(one.config).prune_at_once()
    takes_again(two)
    one.wait_ready()
    with one.client() as client:
        client.check("app", "again", GONE)
    assert (one.starts, two.starts) == (2 if first == "inmemory" else 1, 2)
    assert report["summary"]["removable_blobs"] == 3


def test_item_3_a_second_registry_that_nobody_restarts_stops_the_run(start: Start) -> None:
    one = start("one")
    two = start("two", cache="inmemory", tree=one.data, supervised=False)
    push_and_delete(two)
    pruner = PrunerProcess(one.config, {"GC_RESTART": "auto"})
    error = pruner.report("run", expected=(9,))["error"]["message"]
    assert f"process {two.pid}" in error
    with two.client() as client:
        client.check("app", "kept", KEPT)
        assert client.has_blob("app", LAYER)
    assert (one.starts, two.starts) == (1, 1)


def test_item_3_a_read_only_window_closes_one_registry_alone(start: Start) -> None:
    one = start("one")
    two = start("two", tree=one.data)
    push_and_delete(one)
    error = PrunerProcess(one.config).report("run", "--mode", "readonly", expected=(9,))["error"]["message"]
    assert "a read-only window closes one registry" in error
    assert str(two.pid) in error
    assert not Path(f"{one.config}.writable").exists()


def test_item_4_a_registry_of_another_mount_namespace_is_left_alone(
    version: Version, start: Start, tmp_path: Path
) -> None:
    """Paths are the same, and so are the command lines; the folders are not."""
    one = start("one", cache="inmemory")
    push_and_delete(one)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    stranger = RealRegistry(version, tmp_path / "two", "inmemory")
    stranger.write_config()
    # What it sees at the paths of the first one are files of its own.
    stranger.config.write_text(stranger.config.read_text().replace(str(stranger.data), str(one.data)))
    script = (
        f"mount --bind {elsewhere} {one.data} && mount --bind {stranger.config} {one.config} && exec "
        f'"$0" "$@"'
    )
    stranger.within = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script)
    stranger.serves = one.config
    with stranger:
        pid = stranger.pid
        PrunerProcess(one.config).prune_at_once()
        takes_again(one)
        assert (stranger.pid, stranger.starts) == (pid, 1)
        os.kill(pid, 0)
    assert one.starts == 2


def test_item_4_a_registry_that_names_no_file_is_known_by_its_variable(start: Start) -> None:
    """Without a supervisor in sight and with another tree, it is not ours to end."""
    one = start("one", cache="inmemory")
    push_and_delete(one)
    two = start("two", cache="inmemory", by_variable=True)
    PrunerProcess(one.config).prune_at_once()
    takes_again(one)
    assert (one.starts, two.starts) == (2, 1)


@pytest.mark.parametrize("setting", ["auto", "never"])
def test_item_4_what_nobody_restarts_is_never_ended(start: Start, setting: str) -> None:
    registry = start("registry", cache="inmemory", supervised=False)
    push_and_delete(registry)
    pruner = PrunerProcess(registry.config, {"GC_RESTART": setting})
    error = pruner.report("run", expected=(9,))["error"]["message"]
    assert ("GC_RESTART=allowed says so" if setting == "auto" else "GC_RESTART is never") in error
    with registry.client() as client:
        assert client.has_blob("app", LAYER), "nothing was removed either"


def test_item_4_what_runit_supervises_may_be_ended(version: Version, tmp_path: Path) -> None:
    """The parent is called runsv and starts its child again, as runit's does."""
    registry = RealRegistry(version, tmp_path / "registry", "inmemory")
    registry.write_config()
    script = 'while :; do "$0" "$@"; sleep 0.2; done'
    registry.within = ("bash", "-c", f'exec -a runsv bash -c \'{script}\' "$0" "$@"')
    try:
        with registry:
            push_and_delete(registry)
            PrunerProcess(registry.config, {"GC_RESTART": "auto"}).prune_at_once()
            takes_again(registry)
    finally:
        for process in serving():
            if str(registry.config) in process.argv:
                os.kill(process.pid, signal.SIGKILL)


def test_a_registry_of_another_user_is_looked_into_by_root_alone(start: Start, tmp_path: Path) -> None:
    """What cannot be looked into may serve the tree, so that a run refuses until somebody vouches."""
    registry = start("registry", environment={})
    push_and_delete(registry)
    os.chmod(tmp_path, 0o755)
    script = (
        "import os, sys; from pruner.registry.process import serving\n"
        "from pruner.registry.opened import look_into\n"
        "os.setgid(65534); os.setuid(65534)\n"
        f"found = [each for each in serving() if each.pid == {registry.pid}]\n"
        "try:\n    look_into(found[0])\nexcept Exception as error:\n    print(error)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": "gc"}, capture_output=True, text=True, check=True
    )
    assert f"process {registry.pid}" in shown.stdout
    assert "cannot be looked into (Permission denied)" in shown.stdout
