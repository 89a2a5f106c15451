"""One process, measured from its start to its end: seconds, those of a processor, and the most memory held.

Run as a script of its own, `python measured.py FILE COMMAND…`, since the kernel counts the memory of who
starts a process with that of the process: this one is small.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds, seconds of a processor, and the peak of the memory in MiB."""

    seconds: float
    processor: float
    mebibytes: float


def measure(command: Sequence[str], environ: Mapping[str, str] | None = None) -> Measured:
    """What a command takes; its output goes nowhere. Raises RuntimeError with what a failed one said."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
        done = subprocess.run(
            [sys.executable, "-I", "-S", __file__, file.name, *command],
            env=dict(os.environ if environ is None else environ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            words = done.stderr.decode(errors="replace")[-2000:]
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {words}")
        return Measured(**json.load(file))


def _main(file: str, command: list[str]) -> int:
    start = time.perf_counter()
    code = subprocess.call(command)
    taken = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {"seconds": taken, "processor": used.ru_utime + used.ru_stime, "mebibytes": used.ru_maxrss / 1024}
    with open(file, "w", encoding="utf-8") as written:
        json.dump(found, written)
    return code


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], sys.argv[2:]))
