"""Plans and runs, each contender in turn and that several times, so that a machine's moods meet them all."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import contenders, trees
from benchmarks.contenders import Contender, configuration
from benchmarks.measured import Measured, measure
from pruner.tree.index import PATH as INDEX
from tests.gc.treebuilder import TREE

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Result:
    """All that one contender took; `left` is how many entries of a tree it left, 0 if not counted."""

    name: str
    taken: tuple[Measured, ...]
    left: int = 0

    @property
    def seconds(self) -> float:
        """The median."""
        return statistics.median(each.seconds for each in self.taken)

    @property
    def processor(self) -> float:
        """The median of the seconds of a processor, which other work on the machine hardly changes."""
        return statistics.median(each.processor for each in self.taken)

    @property
    def span(self) -> tuple[float, float]:
        """The fastest and the slowest."""
        seconds = [each.seconds for each in self.taken]
        return min(seconds), max(seconds)

    @property
    def mebibytes(self) -> float:
        """The peak of the memory, of all rounds."""
        return max(each.mebibytes for each in self.taken)


def plans(folder: Path, rounds: int, say: Say) -> list[Result]:
    """What the planners take on the tree in `folder`/data."""
    data = folder / "data"
    config = configuration(folder, data)
    index = data / INDEX
    taken: dict[str, list[Measured]] = {}
    remember(config)  # which has the pruner compiled, too
    for number in range(rounds):
        for contender in contenders.planners(config, data):
            if contender.forgets:
                index.unlink(missing_ok=True)
            elif contender.is_pruner and not index.exists():
                remember(config)
            one = measure(contender.command, contenders.environ())
            _note(say, number, contender, one)
            taken.setdefault(contender.name, []).append(one)
    return [Result(name, tuple(each)) for name, each in taken.items()]


def remember(config: Path) -> None:
    """Have a run that removes nothing write down what it knows of the manifests."""
    command = contenders.prune(config, "run", "--repository", "no repository/is called so")
    subprocess.run(command, env=dict(contenders.environ()), check=True, capture_output=True)


def runs(folder: Path, images: int, rounds: int, say: Say) -> list[Result]:
    """What the collectors take, each on a copy of its own of a tree of which a third is untagged."""
    source = folder / "source"
    trees.build(str(source), trees.third_untagged(images))
    data = folder / "data"
    config = configuration(folder, data)
    taken: dict[str, list[Measured]] = {}
    left: dict[str, int] = {}
    for number in range(rounds):
        for contender in contenders.collectors(config):
            shutil.copytree(source, data, copy_function=shutil.copy2)
            os.sync()
            one = measure(contender.command, contenders.environ())
            _note(say, number, contender, one)
            taken.setdefault(contender.name, []).append(one)
            left[contender.name] = sum(_entries(data / TREE / part) for part in ("blobs", "repositories"))
            shutil.rmtree(data)
    shutil.rmtree(source)
    return [Result(name, tuple(each), left[name]) for name, each in taken.items()]


def _entries(folder: Path) -> int:
    return sum(len(folders) + len(files) for _, folders, files in os.walk(folder))


def _note(say: Say, number: int, contender: Contender, one: Measured) -> None:
    taken = f"{one.seconds:8.2f} s {one.processor:8.2f} s {one.mebibytes:7.0f} MiB"
    say(f"round {number + 1}  {contender.name:34} {taken}")
