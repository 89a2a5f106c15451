"""A backup of a registry in use, and what is restored from it, on real registries."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

from pruner.sweep.state import LOCK
from tests.gc import images
from tests.gc.images import Image, image, layer
from tests.gc.prunerprocess import AT_ONCE, ROOT, PrunerProcess
from tests.gc.realregistry import RealRegistry, Version
from tests.gc.treebuilder import TreeBuilder, age
from tests.gc.waiting import until

SCRIPT = ROOT / "gc" / "backup.py"
BASE = image([layer("base", 1 << 16)], "base")
INDEX = images.index([BASE, image([layer("arm", 1 << 14)], "arm")])


def start_backup(registry: RealRegistry) -> subprocess.Popen[bytes]:
    """The script as it comes to the container: on standard input."""
    with SCRIPT.open("rb") as script:
        return subprocess.Popen(
            [sys.executable, "-I", "-", str(registry.data)],
            stdin=script,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


def backup(registry: RealRegistry) -> bytes:
    copy, said = start_backup(registry).communicate(timeout=120)
    assert b" links, " in said, said.decode()
    return copy


def restore(copy: bytes, version: Version, folder: Path) -> RealRegistry:
    """A registry on what the archive holds."""
    registry = RealRegistry(version, folder)
    registry.data.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(copy), mode="r|") as archive:
        archive.extractall(registry.data, filter="data")
    return registry


def names(copy: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(copy)) as archive:
        return archive.getnames()


def test_a_backup_has_what_was_pushed_and_keeps_its_times(version: Version, tmp_path: Path) -> None:
    with RealRegistry(version, tmp_path / "old") as old, old.client() as client:
        client.push("team/app", BASE, "1")
        client.push("team/app", INDEX, "multi")
        upload = client.start_upload("team/app")
        client.append(upload, b"half of a layer")
        copy = backup(old)
        link = TreeBuilder(old.data).layer_path("team/app", images.digest_of(BASE.blobs[0]))
        mtime = link.stat().st_mtime
    with restore(copy, version, tmp_path / "new") as new, new.client() as client:
        client.check("team/app", "1", BASE)
        client.check("team/app", "multi", INDEX)
        assert PrunerProcess(new.config).report("verify")["problems"] == []
        client.push("team/app", image([layer("later")], "later"), "2")
    assert not list(new.data.rglob("_uploads/*/startedat")), "what was under way belongs to who sent it"
    restored = new.data / link.relative_to(old.data)
    assert abs(restored.stat().st_mtime - mtime) < 0.001, "or the pruner's grace and retention begin anew"


def test_every_image_pushed_before_a_backup_began_is_whole_whatever_clients_do(
    version: Version, tmp_path: Path
) -> None:
    done = threading.Event()
    pushed: list[tuple[str, Image]] = []

    def work(registry: RealRegistry) -> None:
        with registry.client() as client:
            for number in range(10_000):
                if done.is_set():
                    return
                made = image([layer("base", 1 << 16), layer(f"own {number}", 1 << 12)], str(number))
                client.push(f"busy/{number % 3}", made, str(number))
                pushed.append((f"busy/{number % 3}", made))

    with RealRegistry(version, tmp_path / "old") as old:
        client_at_work = threading.Thread(target=work, args=(old,))
        client_at_work.start()
        try:
            until(lambda: len(pushed) > 10, 60, what=lambda: f"{len(pushed)} pushed")
            for turn in range(3):
                before = list(enumerate(pushed))
                copy = backup(old)
                with restore(copy, version, tmp_path / f"new{turn}") as new, new.client() as client:
                    for number, (repository, made) in before:
                        client.check(repository, str(number), made)
        finally:
            done.set()
            client_at_work.join()


def test_the_pruner_and_a_backup_keep_out_of_each_others_way(version: Version, tmp_path: Path) -> None:
    with RealRegistry(version, tmp_path / "old") as old, old.client() as client:
        gone = layer("gone", 1 << 14)
        client.push("app", BASE, "kept")
        client.push("app", image([gone], "gone"), "moving")
        client.push("app", BASE, "moving")
        age(old.data, 7200)
        pruner = PrunerProcess(old.config)
        run = pruner.start("run", "--output", "json", "--grace", "4", *AT_ONCE[2:])
        link = TreeBuilder(old.data).layer_path("app", images.digest_of(gone))
        until(lambda: not link.exists(), 20, what=lambda: "the run holds what is to go, and waits its grace")
        waiting = start_backup(old)
        pruner.finish(run)
        copy, said = waiting.communicate(timeout=60)
        assert b"waiting for the pruner" in said
        assert not [name for name in names(copy) if "/pruner/" in name]
        with restore(copy, version, tmp_path / "new") as new, new.client() as restored:
            restored.check("app", "kept", BASE)
            assert PrunerProcess(new.config).report("verify")["problems"] == []


def test_a_backup_holds_a_run_off(version: Version, tmp_path: Path) -> None:
    with RealRegistry(version, tmp_path / "old") as old, old.client() as client:
        client.push("app", image([layer("large", 1 << 22)], "large"), "1")
        # Its output is not read, so that it stands still with the locks in its hands.
        standing = start_backup(old)
        lock = old.data / LOCK
        until(lambda: lock.exists() and b"a backup" in lock.read_bytes(), 20, what=lambda: "it has the locks")
        busy = PrunerProcess(old.config).start("run", "--output", "json", *AT_ONCE)
        _, said = busy.communicate(timeout=60)
        assert busy.returncode == 8, said
        assert "a backup, pid" in said
        copy, _ = standing.communicate(timeout=60)
        assert standing.returncode == 0
        assert names(copy)


def test_what_holds_no_registry_is_no_backup(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", SCRIPT, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "holds no registry" in done.stderr
    assert json.dumps(str(tmp_path))[1:-1] in done.stderr
    assert list(tmp_path.iterdir()) == []
