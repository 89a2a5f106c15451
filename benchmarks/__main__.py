"""The pruner against the registry's own collector, on the same tree, in one run.

    python -m benchmarks --images 2000 --rounds 3

Builds a tree of images (each in a repository shared by ten, with layers of its own and shared ones; every
third is untagged), copies it once a measurement, and lets each tool collect it at once, in turn. Prints the
seconds of every round, the medians, and the ratio of the medians. What each leaves behind is counted, since
the registry's tools leave links, tags' history and empty folders.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.gc.images import image, layer
from tests.gc.realregistry import VERSIONS, binary
from tests.gc.treebuilder import TREE, TreeBuilder, age

ROOT = Path(__file__).parents[1]
SMALL = 256  # bytes of a layer: what is measured is the walk, not the disk


@dataclass(frozen=True, slots=True)
class Tool:
    """A collector: how to run it on a configuration file."""

    name: str
    command: Callable[[Path], list[str]]


def tools() -> list[Tool]:
    """The pruner, and `registry garbage-collect --delete-untagged` of each version."""
    options = ["--grace", "0", "--untagged-after", "0", "--trash", "0", "--max-fraction", "1"]
    prune = [sys.executable, "-m", "pruner", "run", *options, "--config"]
    found = [Tool("pruner", lambda config: [*prune, str(config)])]
    for version in VERSIONS:
        collect = [binary(version), "garbage-collect", "--delete-untagged"]
        found.append(
            Tool(f"garbage-collect {version}", lambda config, collect=collect: [*collect, str(config)])
        )
    return found


def build(root: Path, images: int) -> None:
    """The tree that every measurement starts from."""
    tree = TreeBuilder(root)
    shared = [layer(f"shared {number}", SMALL) for number in range(20)]
    for number in range(images):
        layers = [shared[number % 20], layer(number, SMALL), layer(f"second {number}", SMALL)]
        tags = () if number % 3 == 0 else (f"v{number}",)
        tree.push(f"team/app{number // 10}", image(layers, f"image {number}"), *tags)
    age(root, 90000)


def measure(tool: Tool, source: Path) -> tuple[float, int]:
    """Seconds that the tool takes on a copy of the tree, and how many files and folders it leaves."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        shutil.copytree(source, data)
        config = Path(folder, "config.yml")
        config.write_text(
            "version: 0.1\nhttp: {addr: 'localhost:0'}\n"
            f"storage: {{filesystem: {{rootdirectory: {data}}}}}\n"
        )
        environ = {**os.environ, "PYTHONPATH": str(ROOT / "gc")}
        start = time.perf_counter()
        subprocess.run(tool.command(config), env=environ, check=True, capture_output=True)
        taken = time.perf_counter() - start
        left = sum(1 for part in ("blobs", "repositories") for _ in (data / TREE / part).rglob("*"))
        return taken, left


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--images", type=int, default=2000)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    contenders = tools()
    taken: dict[str, list[float]] = {tool.name: [] for tool in contenders}
    left: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "tree")
        build(source, options.images)
        for number in range(options.rounds):
            for tool in contenders:
                seconds, left[tool.name] = measure(tool, source)
                taken[tool.name].append(seconds)
                print(f"round {number + 1}  {tool.name:24} {seconds:8.2f} s", flush=True)
    base = statistics.median(taken[contenders[0].name])
    print(f"\n{options.images} images, median of {options.rounds} rounds")
    for tool in contenders:
        middle = statistics.median(taken[tool.name])
        ratio = f"{middle / base:6.2f} x the pruner"
        print(f"{tool.name:24} {middle:8.2f} s  {ratio}  {left[tool.name]} entries left")


if __name__ == "__main__":
    main()
