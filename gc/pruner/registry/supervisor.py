"""Who starts a registry again when it ends: what nobody restarts is never ended.

The kubelet starts a container anew whose main process ended, systemd a unit with Restart=always, and runit
and s6 whatever they supervise. Anything else (a shell, Docker, whose restart policy is not to be seen from
here) is not relied on, unless the setting `restart` says that it may be.
"""

from __future__ import annotations

import os
import re
from typing import Literal

from pruner.delays import PROCESS_TIMEOUT
from pruner.registry.process import RegistryProcess, parent_of

Restart = Literal["auto", "allowed", "never"]

_SUPERVISORS = frozenset({"runsv", "s6-supervise"})
_INITS = frozenset({"tini", "dumb-init", "catatonit", "docker-init", "entrypoint.sh"})
"""What stands between a container's runtime and its program, and ends with it."""

_RUNTIMES = ("containerd-shim", "conmon")
_UNIT = re.compile(r"/([^/]+\.service)$")
_RESTARTS = frozenset({"always", "on-success"})  # a registry that is asked to end ends well


def why_not(process: RegistryProcess, setting: Restart, proc: str = "/proc") -> str | None:
    """Why the process may not be ended, as the end of a sentence; None when it may."""
    if setting == "allowed":
        return None
    if setting == "never":
        return "GC_RESTART is never"
    try:
        if _has_supervisor(process.pid, proc):
            return None
    except OSError as error:
        return f"who restarts it cannot be seen ({error.strerror})"
    return (
        "nothing is seen that would start it again (neither the kubelet, nor systemd with Restart=always, "
        "nor runit or s6); if something does, GC_RESTART=allowed says so"
    )


def _has_supervisor(pid: int, proc: str) -> bool:
    parent = parent_of(pid, proc)
    if parent and _name(parent, proc) in _SUPERVISORS:
        return True
    cgroup = _cgroup(pid, proc)
    unit = _UNIT.search(cgroup)
    if unit and "kubepods" not in cgroup:
        return _unit_restarts(unit[1])
    return _is_in_a_pod(pid, cgroup, proc) and _is_main(pid, proc)


def _is_in_a_pod(pid: int, cgroup: str, proc: str) -> bool:
    """Every container of a pod has the API server's address among its variables."""
    if "kubepods" in cgroup:
        return True
    with open(f"{proc}/{pid}/environ", "rb") as file:
        return any(word.startswith(b"KUBERNETES_SERVICE_HOST=") for word in file.read().split(b"\0"))


def _is_main(pid: int, proc: str) -> bool:
    """Whether a container ends with this process, so that it is not one that somebody began within it."""
    while parent := parent_of(pid, proc):
        name = _name(parent, proc)
        if name.startswith(_RUNTIMES):
            return True
        if name not in _INITS:
            return False
        pid = parent
    return True  # its parent is outside of this PID namespace: the runtime


def _unit_restarts(unit: str) -> bool:
    import subprocess  # only here: slow to import, and few are asked this

    command = ["systemctl", "show", "--property=Restart", "--value", unit]
    try:
        shown = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=PROCESS_TIMEOUT
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    return shown.strip() in _RESTARTS


def _cgroup(pid: int, proc: str) -> str:
    """The path in the unified hierarchy, or in the first of version 1."""
    with open(f"{proc}/{pid}/cgroup", encoding="utf-8") as file:
        lines = [line.rstrip("\n").split(":", 2) for line in file]
    unified = [path for number, _, path in lines if number == "0"]
    return next((path for path in [*unified, *(path for _, _, path in lines)] if path != "/"), "/")


def _name(pid: int, proc: str) -> str:
    with open(f"{proc}/{pid}/cmdline", "rb") as file:
        words = [os.fsdecode(word) for word in file.read().split(b"\0")]
    # A script shows its interpreter first.
    names = [os.path.basename(word) for word in words[:2]]
    return next((name for name in names if name in _SUPERVISORS | _INITS), names[0])
