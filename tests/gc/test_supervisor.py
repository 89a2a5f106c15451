"""Item 4: who starts a registry again when it ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pruner.registry.process import serving
from pruner.registry.supervisor import Restart, why_not
from tests.gc.processdoubles import FakeProc

POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
KUBEPODS = "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-2.scope"


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path / "proc")


def reason(proc: FakeProc, setting: Restart = "auto") -> str | None:
    process = next(each for each in serving(str(proc)) if each.named)
    return why_not(process, setting, str(proc))


@pytest.mark.parametrize(
    ("parents", "environ", "cgroup"),
    [
        # In the pod's own PID namespace the runtime is out of sight.
        ([], POD, "0::/../cri-containerd-2.scope"),
        ([], {}, KUBEPODS),
        ([], {}, "4:cpu:/\n1:name=systemd:/kubepods/burstable/pod1/2"),
        ([("/sbin/tini", "--", "registry")], POD, "0::/"),
        # In the machine's.
        ([("/usr/bin/containerd-shim-runc-v2", "-id", "2")], {}, KUBEPODS),
        ([("/usr/bin/conmon",)], POD, "0::/"),
        ([("/sbin/tini",), ("/usr/bin/containerd-shim-runc-v2",)], POD, KUBEPODS),
        # Without a cluster.
        ([("runsv", "registry"), ("runsvdir",)], {}, "0::/"),
        ([("/bin/s6-supervise", "registry")], {}, "0::/"),
    ],
)
def test_what_is_restarted(
    proc: FakeProc, parents: list[tuple[str, ...]], environ: dict[str, str], cgroup: str
) -> None:
    chain(proc, parents, environ, cgroup)
    assert reason(proc) is None
    assert reason(proc, "never") == "GC_RESTART is never"


@pytest.mark.parametrize(
    ("parents", "environ", "cgroup"),
    [
        ([], {}, "0::/"),
        ([("bash",)], {}, "0::/user.slice/user-0.slice/session-1.scope"),
        # Begun by hand in a container that does not end with it.
        ([("sh",)], POD, KUBEPODS),
        ([("sh",), ("/usr/bin/containerd-shim-runc-v2",)], POD, KUBEPODS),
        # Docker's restart policy is not to be seen.
        ([("/usr/bin/containerd-shim-runc-v2",)], {}, "0::/system.slice/docker-0123.scope"),
        ([("/usr/bin/supervisord",)], {}, "0::/"),
    ],
)
def test_what_may_end_for_good(
    proc: FakeProc, parents: list[tuple[str, ...]], environ: dict[str, str], cgroup: str
) -> None:
    chain(proc, parents, environ, cgroup)
    assert "GC_RESTART=allowed says so" in (reason(proc) or "")
    assert reason(proc, "allowed") is None


@pytest.mark.parametrize(
    ("shown", "restarted"),
    [("always", True), ("on-success", True), ("on-failure", False), ("no", False), ("", False)],
)
def test_systemd_is_asked_whether_it_restarts_the_unit(
    proc: FakeProc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: str, restarted: bool
) -> None:
    """A registry that is asked to end ends well, which on-failure does not answer with a restart."""
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nlast=$4\n[ "$last" = docker-registry.service ] && echo {shown}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    chain(proc, [("/lib/systemd/systemd",)], {}, "0::/system.slice/docker-registry.service")
    assert (reason(proc) is None) is restarted


def test_without_systemd_nothing_is_known_of_its_units(
    proc: FakeProc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    chain(proc, [], {}, "0::/system.slice/docker-registry.service")
    assert reason(proc)


def test_what_cannot_be_read_is_not_taken_for_a_supervisor(proc: FakeProc) -> None:
    chain(proc, [], POD, KUBEPODS)
    (proc.folder / "7" / "cgroup").unlink()
    assert "cannot be seen" in (reason(proc) or "")


def chain(proc: FakeProc, parents: list[tuple[str, ...]], environ: dict[str, str], cgroup: str) -> None:
    """The registry as process 7, below `parents`, nearest first; the last one's is out of sight."""
    pids = [*range(8, 8 + len(parents)), 0]
    proc.add(7, "registry", "serve", "/etc/c.yml", parent=pids[0], environ=environ, cgroup=cgroup)
    for pid, argv, parent in zip(pids, parents, pids[1:], strict=False):
        proc.add(pid, *argv, parent=parent)
