"""The results as a page of the documentation, with its plot."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import FLOOR, ROOT
from benchmarks.latency import GRACE, Felt, percentile
from benchmarks.plot import Bar, Panel, draw
from benchmarks.rounds import Result
from benchmarks.trees import Shape
from pruner import __version__
from pruner.storage import mounts
from tests.gc.realregistry import VERSIONS

PAGE = ROOT / "docs/benchmarks.md"
PLOT = ROOT / "docs/benchmarks.svg"
_OTHERS = "garbage-collect"
_HEAD = """\
# How fast it is

Measured by `make bench`, which writes this page and its plot. Every contender takes its turn in every
round, on the same tree, so that what the machine does beside meets them all; medians count. `of a processor`
are the seconds that a contender really worked, which other work on the machine hardly changes. `times as
fast` compares with the collector of 2.8.2.

![Seconds of a plan and of a run, the pruner beside the registry's own collector](benchmarks.svg)
"""
_PLANS = """\
## A plan

What could go, found without changing anything, as a whole process on a warm cache of the disk:
{manifests:,} manifests in {repositories:,} repositories, {blobs:,} blobs, {unused:,} of them in no use.
`cold` is the first plan of a tree; `warm` knows from an index, which an earlier run left, what the
manifests say. The bare floor is a script of 60 lines that lists what could go, looks at no age, no digest
and no damage, and prints three numbers ([benchmarks/floor.py](../benchmarks/floor.py)).
"""
_RUNS = """\
## A run

About {images} small images of which a third has no tag, collected at once and without a grace, each time on
a fresh copy. `left` counts the files and folders that are there afterwards: the registry's collector leaves
links, the history of tags and empty folders.
"""
_FELT = """\
## What clients feel

Two clients pull from, and push to, a registry on the tree of the plan, a request after the other with a
pause of 4 ms between. Milliseconds, before a run and beside it, on the same registry within the same minute;
`more` is by how much that is higher. A run here waits a grace of {grace}, so it looks, holds, looks, removes
and looks with hardly a rest: the worst that clients meet. `gcOpsPerSecond` is the limit.
"""
_AGAIN = """\
## Again

    {command:<40}# the tables above, {minutes} minutes, {disk} of disk for the trees
    make bench SIZE=10                      # a tree ten times as large
    make bench BENCH="--rounds 9 --seconds 30"

The trees lie in the cache folder of the sandbox and are removed at the end, also when it is interrupted
(`make clean` removes what a killed one left).
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """What was measured and where; `beside` says what else the machine did, `load` how busy it was
    before and after."""

    shape: Shape
    images: int
    rounds: int
    folder: Path
    minutes: float
    gibibytes: float
    beside: str
    load: tuple[float, float]


def write(
    setting: Setting,
    plans: Sequence[Result],
    runs: Sequence[Result],
    felt: Mapping[str, Sequence[Felt]],
) -> None:
    """Write the page and the plot."""
    shape = setting.shape
    numbers = {"manifests": shape.manifests, "repositories": shape.repositories}
    numbers |= {"blobs": shape.blobs, "unused": shape.unused}
    parts = [
        _HEAD,
        _PLANS.format(**numbers),
        *_table(plans, left=False),
        "",
    ]
    if runs:
        parts += [_RUNS.format(images=setting.images), *_table(runs, left=True), ""]
    if felt:
        parts += [_FELT.format(grace=GRACE), *_answers(felt), ""]
    parts += ["## Where", "", *_where(setting), "", _again(setting, felt)]
    PAGE.write_text("\n".join(parts))
    panels = [Panel("A plan of {manifests:,} manifests, {blobs:,} blobs".format(**numbers), _bars(plans))]
    if runs:
        panels.append(Panel(f"A run on {setting.images} images, a third untagged", _bars(runs)))
    PLOT.write_text(draw(panels, "s"))


def _again(setting: Setting, felt: Mapping[str, Sequence[Felt]]) -> str:
    command = "make bench" if felt else 'make bench BENCH="--seconds 0"'
    disk = f"{setting.gibibytes:.1f} GiB"
    return _AGAIN.format(command=command, minutes=round(setting.minutes), disk=disk)


def _bars(results: Iterable[Result]) -> list[Bar]:
    return [
        Bar(
            each.name, each.seconds, "floor" if each.name == FLOOR else "ours" if _is_ours(each) else "theirs"
        )
        for each in results
    ]


def _is_ours(result: Result) -> bool:
    return result.name.startswith("prune ")


def _table(results: Sequence[Result], *, left: bool) -> Iterable[str]:
    heads = ["", "seconds", "fastest, slowest", "times as fast", "of a processor", "times as fast"]
    heads += ["peak of memory", *(["left"] if left else [])]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    base = next(each for each in results if each.name.startswith(_OTHERS))
    for each in results:
        name = each.name if each.name == FLOOR else f"`{each.name}`"
        row = f"| {name} | {each.seconds:.2f} | {each.span[0]:.2f}, {each.span[1]:.2f} "
        row += f"| {base.seconds / each.seconds:.1f} "
        row += f"| {each.processor:.2f} | {base.processor / each.processor:.1f} | {each.mebibytes:.0f} MiB |"
        yield row + (f" {each.left:,} |" if left else "")


def _answers(felt: Mapping[str, Sequence[Felt]]) -> Iterable[str]:
    yield "| | | requests | p50 before | beside | more | p99 before | beside | more |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for version, states in felt.items():
        for each in states:
            both = {
                "pulls": (each.before.pulls, each.beside.pulls),
                "pushes": (each.before.pushes, each.beside.pushes),
            }
            for kind, (before, beside) in both.items():
                row = f"| {version}, {each.name} | {kind} | {len(before) + len(beside):,} "
                for percent in (50, 99):
                    was, now = percentile(before, percent), percentile(beside, percent)
                    row += f"| {1000 * was:.1f} | {1000 * now:.1f} | {100 * (now / was - 1):+.0f} % "
                yield row + "|"


def _where(setting: Setting) -> Iterable[str]:
    yield "| | |"
    yield "|---|---|"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    kind = mounts.type_of(str(setting.folder))
    yield f"| machine | {os.cpu_count()} x {_processor()}, {memory:.0f} GiB, {kind} |"
    kernel = platform.release().partition("-")[0]
    yield f"| kernel, Python | Linux {kernel}, {platform.python_version()} |"
    yield f"| pruner | {__version__}, commit {_commit()} |"
    yield f"| registries | {', '.join(VERSIONS)} |"
    yield f"| rounds | {setting.rounds} |"
    before, after = setting.load
    yield f"| beside it | {setting.beside}; load {before:.1f} before, {after:.1f} after |"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
