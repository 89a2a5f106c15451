"""Debian packages: only what is missing is installed."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from sandbox.commands import run
from sandbox.errors import SandboxError
from sandbox.steps import Steps

# program or file -> package that brings it; a machine may have the program from elsewhere, which is as good
CLUSTER = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ipset": "ipset",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "mount": "mount",
}
IMAGES = {"mmdebstrap": "mmdebstrap"}
TESTS = {
    "curl": "curl",
    "skopeo": "skopeo",
    "podman": "podman",
    "buildah": "buildah",
    "docker-registry": "docker-registry",
    "redis-server": "redis-server",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "chromium": "chromium",
}

POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\n# docker-registry sandbox: installs without starting services\nexit 101\n"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# A machine that has just booted often updates itself; seconds.
_WAIT = ("-o", "DPkg::Lock::Timeout=300")


def missing(wanted: dict[str, str]) -> list[str]:
    """The packages whose program or file is not there."""
    path = os.pathsep.join((os.environ.get("PATH", ""), SYSTEM_PATH))
    return sorted(
        {
            package
            for probe, package in wanted.items()
            if not (Path(probe).exists() if probe.startswith("/") else shutil.which(probe, path=path))
        }
    )


def ensure_packages(wanted: dict[str, str], steps: Steps) -> None:
    """Install what is missing, said as a step when there is something to do."""
    needed = missing(wanted)
    if needed:
        with steps.step(f"install {' '.join(needed)}"):
            install(needed)


def install(packages: Iterable[str]) -> None:
    """Install with apt; raises SandboxError when there is no apt or it fails."""
    names = list(packages)
    if not names:
        return
    listed = " ".join(names)
    if not shutil.which("apt-get"):
        raise SandboxError(
            f"these are missing: {listed}, and there is no apt-get here: install them by other means"
        )
    if os.geteuid() != 0:
        raise SandboxError(
            f"these are missing: {listed}: run `sudo apt-get install {listed}`, then try again"
        )
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        with _one_at_a_time(), _services_held():
            run(["apt-get", *_WAIT, "update", "-qq"], what="refreshing the package lists", env=quiet)
            run(
                ["apt-get", *_WAIT, "install", "-y", "-qq", "--no-install-recommends", *names],
                what=f"installing {listed}",
                env=quiet,
            )
    except SandboxError as error:
        raise SandboxError(f"{error}; run `apt-get install {listed}` yourself and try again") from error


@contextmanager
def _one_at_a_time() -> Generator[None]:
    """Wait for another process of ours: apt itself waits for its package database, but not for its lists."""
    with Path("/run/docker-registry-sandbox-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _services_held() -> Generator[None]:
    """Keep what is installed from being started as a service of this machine: only its program is wanted.

    This is Debian's own way to say so (invoke-rc.d's policy layer); a policy of the machine's own stays.
    """
    if POLICY.exists() and POLICY.read_text() != POLICY_TEXT:
        yield
        return
    POLICY.write_text(POLICY_TEXT)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
