"""The node's first process: `python -m sandbox.node NAME`, in PID, mount and network namespaces of its own.

It starts the components, starts again what ends, and reaps what they orphan. When it is killed the kernel
ends everything in its PID namespace, and with the last process go the mounts, links and iptables rules.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from sandbox.commands import run
from sandbox.components import API_PORT, KERNEL_SETTINGS, Component, components
from sandbox.network import kept_addresses
from sandbox.packages import SYSTEM_PATH
from sandbox.place import NODE_FOLDERS, REGISTRY_STORAGE, VOLUMES, Place

BEFORE_RESTART = 1.0  # seconds


def main() -> None:
    """Run the node named by the first argument until a signal ends it."""
    place = Place(sys.argv[1])
    os.environ["PATH"] = SYSTEM_PATH
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, _end)
    _mounts(place)
    addresses = kept_addresses(place)
    _wait_for_link()
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    Path("/proc/sys/net/bridge/bridge-nf-call-iptables").write_text("1")
    every = components(place, addresses)
    running: dict[int, Component] = {}
    for component in every:
        if component.after_api and not any(started.after_api for started in running.values()):
            _wait_for_api()
        running[_start(place, component)] = component
    while True:
        ended, status = os.wait()
        component = running.pop(ended, None)
        if component is not None:
            print(f"{component.name} ended with code {os.waitstatus_to_exitcode(status)}", file=sys.stderr)
            time.sleep(BEFORE_RESTART)
            running[_start(place, component)] = component


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _mounts(place: Place) -> None:
    """Make this mount namespace the node's own; nothing of it reaches the machine's."""
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for path in ("/run/netns", "/run/lock"):
        Path(path).mkdir()
    for path in NODE_FOLDERS:
        _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", path)
    _mount("--bind", str(place.storage), REGISTRY_STORAGE)
    _mount("--bind", str(place.volumes), VOLUMES)
    for key in KERNEL_SETTINGS:
        target = Path("/proc/sys") / key
        if target.exists():
            _mount("--bind", str(place.etc / "kernel" / key), str(target))


def _mount(*words: str) -> None:
    run(["mount", *words], what="preparing the node's mounts")


def _wait_for_link() -> None:
    while "eth0" not in {name for _, name in socket.if_nameindex()}:
        time.sleep(0.02)


def _wait_for_api() -> None:
    # Readiness is waited for by whoever brought the node up; here a listening port is enough.
    while True:
        try:
            socket.create_connection(("127.0.0.1", API_PORT), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)


def _start(place: Place, component: Component) -> int:
    with (place.log / f"{component.name}.log").open("ab") as log:
        process = subprocess.Popen(
            component.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    # os.wait() above is the only place that collects children.
    process.returncode = 0
    return process.pid


if __name__ == "__main__":
    main()
