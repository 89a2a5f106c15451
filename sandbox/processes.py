"""Finds and ends the processes of a node; nothing is written down, so nothing can be out of date."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.place import Place

MODULE = "sandbox.node"
KILL_PATIENCE = 20.0  # seconds


@dataclass(frozen=True, slots=True)
class Node:
    """The node's first process, by its PID on this machine."""

    pid: int

    def enter_mounts(self, *command: str) -> list[str]:
        """The command line that runs `command` with the node's mounts, where its sockets are."""
        return ["nsenter", "--mount", f"--target={self.pid}", "--", *command]


def find_node(place: Place) -> Node | None:
    """The running node of this sandbox, or None."""
    for pid, words in _processes():
        if words[1:4] == ["-m", MODULE, place.name] and os.path.basename(words[0]).startswith("python"):
            return Node(pid)
    return None


def start_node(place: Place) -> Node:
    """Start the node's first process in namespaces of its own, detached from this one."""
    python = [sys.executable, "-m", MODULE, place.name]
    unshare = ["unshare", "--pid", "--fork", "--kill-child=KILL", "--mount", "--mount-proc"]
    with (place.log / "node.log").open("ab") as log:
        parent = subprocess.Popen(
            [*unshare, "--propagation=private", "--net", "--", *python],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
            start_new_session=True,
        )
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        node = find_node(place)
        if node:
            return node
        if parent.poll() is not None:
            break
        time.sleep(0.02)
    last = (place.log / "node.log").read_text(errors="replace").strip().splitlines()[-1:]
    raise SandboxError(
        f"the node's namespaces cannot be made ({' '.join(last) or 'no output'}): run this where unsharing"
        " namespaces and mounting is allowed (a machine, or a privileged container)"
    )


def kill_node(place: Place) -> None:
    """End the node and everything in its PID namespace; returns when all of it is gone."""
    deadline = time.monotonic() + KILL_PATIENCE
    while time.monotonic() < deadline:
        left = [
            pid
            for pid, words in _processes()
            if words[-3:] == ["-m", MODULE, place.name] and os.path.basename(words[0]) != "nsenter"
        ]
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)
    raise SandboxError(
        f"the node of sandbox {place.name!r} does not end within {KILL_PATIENCE:.0f} s:"
        f" look for it with `ps -ef | grep {MODULE}`"
    )


def _processes() -> list[tuple[int, list[str]]]:
    found: list[tuple[int, list[str]]] = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        # A zombie has no command line: it is as good as gone.
        if line:
            found.append((int(folder.name), line.decode(errors="replace").rstrip("\0").split("\0")))
    return found
