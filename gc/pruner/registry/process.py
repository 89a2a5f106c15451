"""Processes that serve a registry, as the process table shows them.

Nothing here says which storage one serves: pruner.registry.opened looks into that.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from pruner.clock import Clock
from pruner.delays import PROCESS_POLL
from pruner.errors import RegistryError

NAMES = frozenset({"registry", "docker-registry"})
"""The registry's program, as its image and Debian call it."""

_GONE = frozenset("ZX")  # a zombie holds neither files nor sockets any more


@dataclass(frozen=True, slots=True)
class RegistryProcess:
    """A process that serves a registry.

    `started`, in clock ticks after boot, tells it from a later process with the same pid.
    """

    pid: int
    started: int
    argv: tuple[str, ...]

    def __str__(self) -> str:
        return f"process {self.pid} ({' '.join(self.argv)})"

    @property
    def named(self) -> bool:
        """Whether the program has a registry's name; any other may serve something else."""
        return os.path.basename(self.argv[0]) in NAMES


def serving(proc: str = "/proc") -> list[RegistryProcess]:
    """Every process in this PID namespace that runs `... serve`, but for ourselves.

    Raises RegistryError when a process cannot be looked at.
    """
    found: list[RegistryProcess] = []
    for pid in sorted(int(entry) for entry in os.listdir(proc) if entry.isdecimal()):
        process = _read(proc, pid) if pid != os.getpid() else None
        if process is not None:
            found.append(process)
    return found


def is_alive(process: RegistryProcess, proc: str = "/proc") -> bool:
    """Whether that very process runs, and not a later one with its pid."""
    try:
        state, started, _ = _stat(proc, process.pid)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return started == process.started and state not in _GONE


def parent_of(pid: int, proc: str = "/proc") -> int:
    """The parent's pid, 0 for one outside of this PID namespace; raises OSError."""
    return _stat(proc, pid)[2]


def end(process: RegistryProcess, timeout: float, clock: Clock, proc: str = "/proc") -> None:
    """End a registry with SIGTERM and wait; it is never killed, as only it may cut a push in flight.

    Raises RegistryError when it may not be signalled or does not end within `timeout` seconds, and Stopped.
    """
    try:
        os.kill(process.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise RegistryError(
            f"the registry, {process}, may not be signalled: both containers must run as one user"
        ) from error
    deadline = clock.monotonic() + timeout
    while is_alive(process, proc):
        if clock.monotonic() >= deadline:
            raise RegistryError(
                f"the registry, {process}, did not end within {timeout:.0f} s of SIGTERM: "
                "see its log, and restart the pod"
            )
        clock.sleep(PROCESS_POLL)


def _read(proc: str, pid: int) -> RegistryProcess | None:
    try:
        with open(f"{proc}/{pid}/cmdline", "rb") as file:
            argv = tuple(os.fsdecode(word) for word in file.read().split(b"\0")[:-1])
        if len(argv) < 2 or argv[1] != "serve":
            return None
        state, started, _ = _stat(proc, pid)
    except (FileNotFoundError, ProcessLookupError):
        return None  # it ended while we looked
    except OSError as error:
        raise RegistryError(f"process {pid} cannot be looked at in {proc}: {error.strerror}") from error
    return None if state in _GONE else RegistryProcess(pid, started, argv)


def _stat(proc: str, pid: int) -> tuple[str, int, int]:
    """State, start and parent."""
    with open(f"{proc}/{pid}/stat", "rb") as file:
        # The program's name, in parentheses, may itself hold spaces and parentheses.
        fields = file.read().rpartition(b")")[2].split()
    return fields[0].decode(), int(fields[19]), int(fields[1])
