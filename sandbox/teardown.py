"""Takes a sandbox down, whole or half-made, and leaves nothing of it on the machine."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sandbox.cgroups import remove_cgroup
from sandbox.errors import SandboxError
from sandbox.network import disconnect
from sandbox.place import MOUNT_POINTS, STATE_ROOT, Place
from sandbox.processes import kill_node

# Which mount points did not exist before the first sandbox; they go with the last.
_MADE = STATE_ROOT / ".made-mount-points.json"


def take_down(place: Place, *, keep_storage: bool = False) -> None:
    """End the node and remove its state, by default its storage included; nothing there is not an error."""
    clear_remains(place)
    if place.state.exists():
        _refuse_mounted(place.state)
        for path in sorted(place.state.iterdir()):
            if path == place.storage and keep_storage:
                continue
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if not keep_storage:
            place.state.rmdir()
    remove_mount_points()


def clear_remains(place: Place) -> None:
    """End whatever runs of the node and remove what lives outside its state."""
    kill_node(place)
    disconnect(place)
    remove_cgroup(place)


def make_mount_points(place: Place) -> None:
    """Create the sandbox's folder, and the folders over which its node mounts its own."""
    with _alone():
        place.state.mkdir(parents=True, exist_ok=True)
        made = set(_made())
        for path in MOUNT_POINTS:
            if not Path(path).is_dir():
                made.add(path)
                # Noted first: a noted folder that is missing is harmless, the other way round it would stay.
                _MADE.write_text(json.dumps(sorted(made)))
                Path(path).mkdir(parents=True)


def remove_mount_points() -> None:
    """Remove those folders that were created for a sandbox, once there is none and they are empty."""
    with _alone():
        if not STATE_ROOT.exists() or any(path.is_dir() for path in STATE_ROOT.iterdir()):
            return
        for path in _made():
            try:
                os.rmdir(path)
            except OSError:
                # Someone else has put something there since, so it is theirs.
                continue
        _MADE.unlink(missing_ok=True)
        if not any(STATE_ROOT.iterdir()):
            STATE_ROOT.rmdir()


@contextmanager
def _alone() -> Generator[None]:
    """Keep the last sandbox's end from meeting another's beginning."""
    with Path("/run/docker-registry-sandbox.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _made() -> list[str]:
    return json.loads(_MADE.read_text()) if _MADE.exists() else []


def _refuse_mounted(state: Path) -> None:
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    inside = [path for path in mounted if path == str(state) or path.startswith(f"{state}/")]
    if inside:
        raise SandboxError(f"{inside[0]} is still mounted: unmount it (`umount {inside[0]}`) and try again")
