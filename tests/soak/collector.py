"""What runs back to back while the clients work: the pruner, or the registry's own garbage-collect."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from tests.gc.prunerprocess import PrunerProcess
from tests.gc.realregistry import RealRegistry

LONGEST = 300.0  # seconds that one cycle may take
SAMPLES = 12  # messages kept of cycles that failed


@dataclass(slots=True)
class Tally:
    """What the cycles did; `blobs` and `bytes` are what the reports say was removed."""

    cycles: int = 0
    killed: int = 0
    failed: int = 0
    blobs: int = 0
    bytes: int = 0
    exit_codes: Counter[int] = field(default_factory=Counter[int])
    samples: list[str] = field(default_factory=list[str])
    longest: float = 0.0  # seconds


class Collector(Protocol):
    """Something that can be run again and again on a registry in use."""

    def start(self) -> subprocess.Popen[str]:
        """Begin a cycle."""
        ...

    def removed(self, output: str) -> tuple[int, int]:
        """Blobs and bytes that the finished cycle says it removed."""
        ...


@dataclass(frozen=True, slots=True)
class Pruner:
    """The pruner with delays of seconds; each run draws how long its trash is kept."""

    process: PrunerProcess
    options: tuple[str, ...]
    longest_trash: int  # seconds
    choices: random.Random

    def start(self) -> subprocess.Popen[str]:
        trash = str(self.choices.randint(0, self.longest_trash))
        return self.process.start("run", "--output", "json", "--trash", trash, *self.options)

    def removed(self, output: str) -> tuple[int, int]:
        summary = cast(dict[str, Any], json.loads(output))["summary"]
        return int(summary["removable_blobs"]), int(summary["removable_bytes"])


@dataclass(frozen=True, slots=True)
class GarbageCollect:
    """`registry garbage-collect --delete-untagged`, which is not made for a registry in use."""

    registry: RealRegistry

    def start(self) -> subprocess.Popen[str]:
        return self.registry.start_collect("--delete-untagged")

    def removed(self, output: str) -> tuple[int, int]:
        return output.count("blob eligible for deletion: "), 0


class Cycles:
    """Runs a collector back to back in a thread; with `kill`, most runs are killed at a random moment."""

    def __init__(self, collector: Collector, choices: random.Random, *, kill: bool) -> None:
        self.collector = collector
        self.choices = choices
        self.kill = kill
        self.tally = Tally()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop)

    def __enter__(self) -> Cycles:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def once(self, *, killing: bool = False) -> None:
        """One cycle, to its end or to the moment it is killed."""
        began = time.monotonic()
        process = self.collector.start()
        patience = self.choices.uniform(0.1, 1.2 * max(self.tally.longest, 1.0)) if killing else LONGEST
        try:
            output, errors = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            if killing:
                self.tally.killed += 1
            else:
                self._failed(-9, f"not finished after {patience:g} s")
            return
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        self.tally.exit_codes[process.returncode] += 1
        if process.returncode:
            self._failed(process.returncode, errors.strip()[-600:])
            return
        blobs, size = self.collector.removed(output)
        self.tally.cycles += 1
        self.tally.blobs += blobs
        self.tally.bytes += size
        self.tally.longest = max(self.tally.longest, time.monotonic() - began)

    def _failed(self, code: int, message: str) -> None:
        self.tally.failed += 1
        if self.tally.failed <= SAMPLES:
            self.tally.samples.append(f"{time.time():.3f} exit code {code}: {message}")

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self.once(killing=self.kill and self.choices.random() < 0.7)
            self._stopping.wait(0.1)
