"""What a look costs at any size: measured at some, fitted by a line, and told for more.

    python -m benchmarks.scale --factors 1 4 16

Builds trees of the same shape (benchmarks/trees.py; a factor of 1 is 500 images), lets `prune plan` look at
each twice, without and with what an earlier look knew, and takes the processor's seconds and the memory that
it had at most. A line through them, seconds and bytes over blobs, gives the table that docs/scale.md has.
Processor time, not the clock's: what else the machine does counts for nothing, nor does the disk.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.trees import Shape, build

ROOT = Path(__file__).parents[1]
SMALLEST = Shape(repositories=10, orphans=1000)
TOLD = tuple(10**power for power in range(4, 9))
# Of this shape: links to layers and revisions, and two of each tag.
KEYS_A_REQUEST = 1000


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of the processor and bytes of memory at most."""

    seconds: float
    memory: float


@dataclass(frozen=True, slots=True)
class Line:
    """y = `base` + `slope` x."""

    base: float
    slope: float

    def at(self, x: float) -> float:
        """The value there."""
        return self.base + self.slope * x


def fitted(points: Sequence[tuple[float, float]]) -> Line:
    """The line with the least squares of the relative errors, so that small sizes count as much as large."""
    weights = [1 / (y * y) for _, y in points]
    total = sum(weights)
    mean_x = sum(w * x for w, (x, _) in zip(weights, points, strict=True)) / total
    mean_y = sum(w * y for w, (_, y) in zip(weights, points, strict=True)) / total
    spread = sum(w * (x - mean_x) ** 2 for w, (x, _) in zip(weights, points, strict=True))
    slope = sum(w * (x - mean_x) * (y - mean_y) for w, (x, y) in zip(weights, points, strict=True)) / spread
    return Line(mean_y - slope * mean_x, slope)


def look(config: Path) -> Cost:
    """One `prune plan --summary` in a process of its own."""
    command = [sys.executable, "-m", "pruner", "plan", "--summary", "--grace", "1h", "--config", str(config)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def learn(config: Path) -> None:
    """A run that leaves what the next look knows of manifests; to it all is too young to go."""
    command = [sys.executable, "-m", "pruner", "run", "--grace", "1000d", "--config", str(config)]
    subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


def measure(factor: int) -> tuple[int, Cost, Cost]:
    """The blobs of a tree of that factor, and what a look costs there without and with an earlier one."""
    shape = SMALLEST.times(factor)
    with tempfile.TemporaryDirectory() as folder:
        build(f"{folder}/data", shape)
        config = Path(folder, "config.yml")
        config.write_text(
            "version: 0.1\nhttp: {addr: 'localhost:0'}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        )
        cold = look(config)
        learn(config)
        return shape.blobs, cold, look(config)


def main() -> None:
    """Measure, fit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 4, 16])
    factors = parser.parse_args().factors
    found = [measure(factor) for factor in factors]
    print("| blobs | cold, s | cold, MiB | warm, s | warm, MiB |\n|---|---|---|---|---|")
    for blobs, cold, warm in found:
        print(_row(blobs, cold, warm))
    lines = [
        fitted([(blobs, getattr(costs[which], field)) for blobs, *costs in found])
        for which in (0, 1)
        for field in ("seconds", "memory")
    ]
    print("\n| blobs | cold, s | cold, MiB | warm, s | warm, MiB |\n|---|---|---|---|---|")
    for blobs in TOLD:
        values = [line.at(blobs) for line in lines]
        print(_row(blobs, Cost(values[0], values[1]), Cost(values[2], values[3])))
    for name, line in zip(("cold, s", "cold, bytes", "warm, s", "warm, bytes"), lines, strict=True):
        print(f"{name}: {line.base:.4g} + {line.slope:.4g} a blob")


def _row(blobs: int, cold: Cost, warm: Cost) -> str:
    cells = [f"{blobs:,}", *(text for cost in (cold, warm) for text in _cells(cost))]
    return f"| {' | '.join(cells)} |"


def _cells(cost: Cost) -> tuple[str, str]:
    return f"{cost.seconds:,.1f}", f"{cost.memory / (1 << 20):,.0f}"


if __name__ == "__main__":
    main()
