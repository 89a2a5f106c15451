"""One at a time, where no kernel keeps a lock: a lease that its holder renews and that a dead one loses.

The lease lies where both can write it on a condition: an object, or a Lease of Kubernetes. Clocks are not
compared: who finds it held watches it, and takes it over when it was not renewed for its whole length and
for as long again as any request of the old holder's may still be on its way. Where the holder was a process
of this machine that is seen to be gone, nobody sends anything more: only what was sent is waited for.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import NamedTuple, Protocol

from pruner.clock import Clock
from pruner.errors import Busy, PrunerError

LENGTH = 60.0
"""Seconds that a lease is good for after each renewal."""

RENEWAL = 15.0
"""Seconds between two renewals, so that three may fail."""

_LOOK = 5.0  # seconds between two looks at another's lease


class LeaseLost(Busy):
    """Another has it, since it was not renewed in time: nothing more may be changed."""


class Note(NamedTuple):
    """What a lease says: its holder, empty when it was given back, and a version, new with each writing."""

    holder: str
    version: str


class LeaseStore(Protocol):
    """Where a lease lies."""

    bound: float
    """Seconds after which any request of a holder has ended: on the store, and on what the lease guards."""

    aftermath: float
    """Seconds after which what an ended process had sent is done."""

    def read(self) -> Note | None:
        """What it says; None when there is none yet. Raises OSError or PrunerError."""
        ...

    def write(self, holder: str, version: str | None) -> str | None:
        """Write it if it is still of `version` (None: not there); the new version, None if it is not."""
        ...


class Lease:
    """The lease in `store` for `holder`, while `held` lasts.

    `gone` is since when each process was seen to be, shared by those who wait for the same.
    """

    def __init__(
        self, store: LeaseStore, holder: str, clock: Clock, gone: dict[str, float] | None = None
    ) -> None:
        self._store = store
        self._holder = f"{holder} [{this_process()}]"
        self._clock = clock
        self._gone = {} if gone is None else gone
        self._version: str | None = None
        self._renewed = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def held(self) -> Generator[Lease]:
        """Hold the lease, renewed in the background; raises Busy with the holder's name."""
        self._acquire()
        ended = threading.Event()
        renewer = threading.Thread(target=self._renew_until, args=(ended,), daemon=True, name="lease")
        renewer.start()
        try:
            yield self
        finally:
            ended.set()
            renewer.join()
            # Where it cannot be given back, the next one waits until it ran out.
            with suppress(OSError, PrunerError):
                self._store.write("", self._version)

    @property
    def is_good(self) -> bool:
        """Whether it was renewed no longer ago than it lasts."""
        return self._clock.monotonic() - self._renewed <= LENGTH

    def check(self) -> None:
        """To be asked before each batch of changes; raises LeaseLost, or why it could not be renewed."""
        with self._lock:
            if self._clock.monotonic() - self._renewed > RENEWAL:
                self._renew()

    def _acquire(self) -> None:
        note = self._free()
        began = self._clock.monotonic()
        version = self._store.write(self._holder, note.version if note is not None else None)
        if version is None:
            raise Busy("another pruner took the lease at the same moment: wait until it ends")
        self._version, self._renewed = version, began

    def _free(self) -> Note | None:
        """What a lease says that nobody holds, or that nobody renewed for long enough."""
        first = note = self._store.read()
        until = self._clock.monotonic() + LENGTH + self._store.bound
        while note is not None and note.holder and self._clock.monotonic() < until:
            name, _, process = note.holder.removesuffix("]").partition(" [")
            if note != first:
                raise Busy(f"another pruner is at work ({name}): wait until it ends")
            if is_gone(process):
                since = self._gone.setdefault(process, self._clock.monotonic())
                until = min(until, since + self._store.aftermath)
            self._clock.sleep(max(0.0, min(_LOOK, until - self._clock.monotonic())))
            note = self._store.read()
        return note

    def _renew_until(self, ended: threading.Event) -> None:
        while not ended.wait(RENEWAL):
            with self._lock:
                try:
                    self._renew()
                except (OSError, PrunerError):
                    continue  # `check` says so to whoever wants to change something

    def _renew(self) -> None:
        began = self._clock.monotonic()
        version = self._store.write(self._holder, self._version)
        if version is None:
            raise LeaseLost(
                "another pruner has taken the lease over, since this one was silent for too long: what it "
                "had begun is left to the other"
            )
        # The time before the request: the lease is at least as long as we think.
        self._version, self._renewed = version, began


# -- processes of this machine


def this_process() -> str:
    """What no other process is called: the machine's boot, the namespace of processes, number and start."""
    return f"{_machine()}:{os.getpid()}:{_started(os.getpid())}"


def is_gone(process: str) -> bool:
    """Whether it was a process of this machine, as this one sees them, and is there no more."""
    machine, _, named = process.rpartition(":")[0].rpartition(":")
    started = process.rpartition(":")[2]
    return bool(process) and machine == _machine() and named.isdecimal() and _started(int(named)) != started


def _machine() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()}:{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"unknown-{uuid.uuid4().hex}"  # nobody is seen from here


def _started(pid: int) -> str:
    """When a process began, in ticks since the boot; empty when it is not there, or has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]
