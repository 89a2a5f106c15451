"""The node's parent control group, in whichever hierarchies this machine has."""

from __future__ import annotations

import time
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.place import Place

ROOT = Path("/sys/fs/cgroup")


def make_cgroup(place: Place) -> None:
    """Create the node's control group in the one unified hierarchy, or in each of the older ones.

    Raises SandboxError where control groups are not this machine's to make, as in most containers.
    """
    try:
        if (ROOT / "cgroup.controllers").exists():
            _make_unified(ROOT / place.cgroup)
        else:
            _make_in_each(place.cgroup)
    except OSError as error:
        raise SandboxError(
            f"no control group can be made at {ROOT} ({error.strerror}): run this on a machine, or in a"
            " privileged container that shares the host's control groups"
        ) from error


def _make_unified(group: Path) -> None:
    wanted = " ".join(f"+{name}" for name in (ROOT / "cgroup.controllers").read_text().split())
    (ROOT / "cgroup.subtree_control").write_text(wanted)
    group.mkdir(exist_ok=True)
    (group / "cgroup.subtree_control").write_text(wanted)


def _make_in_each(name: str) -> None:
    hierarchies = _hierarchies()
    if not hierarchies:
        raise SandboxError(f"no control groups are mounted at {ROOT}: mount cgroup2 there")
    for hierarchy in hierarchies:
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        # A cpuset starts empty and takes no process until it has its parent's CPUs and memory nodes.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (group / setting).exists():
                (group / setting).write_text((hierarchy / setting).read_text())


def remove_cgroup(place: Place, patience: float = 10.0) -> None:
    """Remove the node's control groups, giving its last processes `patience` seconds to leave."""
    deadline = time.monotonic() + patience
    for hierarchy in [*_hierarchies(), ROOT]:
        group = hierarchy / place.cgroup
        while group.exists():
            try:
                for folder in sorted(group.rglob("*/"), key=lambda path: -len(path.parts)):
                    folder.rmdir()
                group.rmdir()
            except OSError as error:
                if time.monotonic() > deadline:
                    raise SandboxError(
                        f"the control group {group} cannot be removed: {error.strerror}"
                    ) from error
                time.sleep(0.1)


def _hierarchies() -> list[Path]:
    """The older hierarchies; those that are joint have a symbolic link for each further name."""
    if (ROOT / "cgroup.controllers").exists():
        return []
    return [
        path for path in sorted(ROOT.iterdir()) if not path.is_symlink() and (path / "cgroup.procs").exists()
    ]
