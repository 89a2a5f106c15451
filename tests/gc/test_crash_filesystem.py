"""Runs cut short on a real file system, by errors, by an exception nobody catches, and by SIGKILL."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pruner.errors import PrunerError
from pruner.tree.index import PATH as INDEX
from tests.gc import reference
from tests.gc.images import artifact, index
from tests.gc.inprocess import STATE, Pruner
from tests.gc.richtree import simple
from tests.gc.storagedoubles import WRITES, Interposed, Killed

ROOT = Path(__file__).parents[2]
POINTS = 12
"""How many of a run's system calls get a SIGKILL, evenly spread: each costs two processes."""


def make(folder: Path) -> Pruner:
    """A tree where one image stays, and something of each kind goes."""
    pruner = Pruner(folder)
    tree = pruner.tree
    kept, gone = simple("kept", "shared", "kept"), simple("gone", "shared", "gone")
    tree.push("app", gone, "latest")
    tree.push("app", index([kept]), "latest")
    tree.push("gone", simple("untagged"))
    tree.push("gone", artifact("sbom", subject=simple("untagged")))
    tree.layer("app", b"a layer that nothing needs")
    tree.upload("app", "00000000-0000-4000-8000-000000000001", b"half a layer")
    pruner.old()
    return pruner


def files(pruner: Pruner) -> dict[str, tuple[bytes, float]]:
    return {
        str(path.relative_to(pruner.data)): (path.read_bytes(), path.stat().st_mtime)
        for path in pruner.data.rglob("*")
        if path.is_file() and not str(path.relative_to(pruner.data)).startswith(STATE)
    }


def survivors(pruner: Pruner) -> set[str]:
    return reference.survivors(files(pruner), pruner.clock.now(), 0, 0)


def finish(pruner: Pruner, stays: set[str]) -> None:
    """Nothing was lost so far; the next run leaves exactly what must be left."""
    assert stays <= files(pruner).keys()
    pruner.run()
    assert reference.links_and_blobs(files(pruner)) == stays
    assert not (pruner.data / STATE / "current").exists()


def changes(folder: Path) -> int:
    pruner = make(folder)
    pruner.run()
    return sum(operation in WRITES for operation, _ in pruner.storage.calls)


def at_change(number: int, raised: Callable[[], BaseException]) -> Callable[[str, str], None]:
    count = 0

    def before(operation: str, _path: str) -> None:
        nonlocal count
        count += operation in WRITES
        error = raised()
        if (count == number and operation in WRITES) or (count > number and isinstance(error, Killed)):
            raise error

    return before


@pytest.mark.parametrize("trouble", ["kill", "EIO"])
def test_cut_short_at_every_change(tmp_path: Path, trouble: str) -> None:
    total = changes(tmp_path / "count")
    assert total > 30
    index_failed = 0
    for number in range(1, total + 1):
        folder = tmp_path / str(number)
        pruner = make(folder)
        stays = survivors(pruner)
        error = Killed if trouble == "kill" else lambda: OSError(errno.EIO, os.strerror(errno.EIO))
        pruner.storage = Interposed(pruner.files, at_change(number, error))
        try:
            report = pruner.run()
        except (Killed, PrunerError):
            pass
        else:
            # The one change that a run can do without, and says so.
            assert trouble == "EIO"
            assert any(INDEX in note for note in report.notes)
            index_failed += 1
        pruner.storage = Interposed(pruner.files)
        finish(pruner, stays)
        shutil.rmtree(folder)
    assert index_failed == (trouble == "EIO")


def run_in_a_process(folder: Path, at: int) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'gc'}"}
    command = [sys.executable, "-m", "tests.gc.killedrun", str(folder), str(at)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)


def test_sigkill(tmp_path: Path) -> None:
    make(tmp_path / "count")
    counted = run_in_a_process(tmp_path / "count", 0)
    assert counted.returncode == 0, counted.stderr
    total = int(counted.stdout)
    for at in range(1, total + 1, max(1, total // POINTS)):
        pruner = make(tmp_path / str(at))
        stays = survivors(pruner)
        killed = run_in_a_process(pruner.folder, at)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        finish(pruner, stays)
