"""Values for what shows the pruner, and a real `serve` beside a real registry that can be looked at."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from pruner.inspect.usage import SharedBlob, TagUsage
from pruner.observe.board import Now
from pruner.observe.record import (
    Amount,
    Going,
    InTrash,
    Kept,
    Record,
    Repository,
    Run,
    Snapshot,
    Totals,
)
from pruner.observe.surroundings import Disk, Surroundings
from tests.gc.images import image, layer
from tests.gc.prunerprocess import PrunerProcess
from tests.gc.realregistry import RealRegistry, Version, free_port

NOW = 1_795_543_000.0
DAY = 86400.0
GIB = 1 << 30
MIB = 1 << 20
HOSTILE = "odd/<script>alert(1)</script>"
"""Nobody can push this, but a folder on the disk can be called so."""


def a_record() -> Record:
    """The record of a registry that has been pruned once a week for half a year."""
    chance = random.Random(3)
    runs: list[Run] = []
    size = 210 * GIB
    for number in range(24):
        size += int(chance.uniform(-2, 5) * GIB)
        runs.append(_run(NOW - (24 - number) * 7 * DAY, size, chance, refused=number == 11))
    names = ["team/api", "team/web", "team/worker", "data/etl", "data/notebooks", "ci/cache", "infra/base"]
    repositories = [
        Repository(
            name,
            chance.randint(3, 400),
            chance.randint(5, 900),
            int(chance.uniform(4, 60) * GIB / (number + 1)),
            int(chance.uniform(4, 40) * GIB / (number + 1)),
            int(chance.uniform(0, 2) * GIB / (number + 1)),
        )
        for number, name in enumerate([*names, HOSTILE])
    ]
    digests = [f"sha256:{chance.randbytes(32).hex()}" for _ in range(6)]
    shared = [SharedBlob(digest, chance.randint(80, 900) * MIB, chance.randint(2, 9)) for digest in digests]
    found = Snapshot(
        at=NOW - 3600,
        blobs=41_233,
        bytes=size,
        manifests=8_123,
        tags=2_410,
        saved_bytes=96 * GIB,
        repositories=tuple(sorted(repositories, key=lambda each: -each.exclusive_bytes - each.shared_bytes)),
        shared=tuple(sorted(shared, key=lambda blob: -blob.saved)),
        largest=tuple(
            TagUsage(chance.choice(names), f"v{number}.0", (9 - number) * GIB, NOW - number * 11 * DAY)
            for number in range(6)
        ),
        oldest=tuple(
            TagUsage(chance.choice(names), f"v0.{number}", 300 * MIB, NOW - (900 - number * 20) * DAY)
            for number in range(6)
        ),
        going=(
            Going("blob", "nothing that stays refers to it", Amount(212, int(2.4 * GIB))),
            Going("upload", "abandoned", Amount(2, 310 * MIB)),
            Going("layer-link", "no manifest of the repository needs it", Amount(160)),
            Going("revision", "untagged", Amount(31)),
        ),
        spared={"younger than the grace": 14, "an upload that may go on": 2},
        kept_whole=(Kept("data/notebooks", "tag 2023: its manifest is not there", "manifest missing"),),
        troubles={"manifest missing": 1},
        dangling=("ci/cache:old",),
        trash=Amount(412, int(4.1 * GIB)),
        trashed=tuple(InTrash(digest, 90 * MIB, NOW - 7200, NOW - 7200 + DAY) for digest in digests),
    )
    totals = Totals()
    for run in runs:
        totals = totals.plus(run)
    return Record(tuple(runs), totals, found)


def _run(end: float, size: int, chance: random.Random, *, refused: bool) -> Run:
    if refused:
        message = "the plan removes 61% of the blobs, more than the 50% allowed: look at `prune plan`"
        return Run(end - 12, 12, "refused", 6, message, {"first look": 12})
    blobs = Amount(chance.randint(20, 900), chance.randint(1, 9) * GIB)
    removed = {"blob": blobs, "revision": Amount(chance.randint(5, 90)), "layer-link": Amount(60)}
    said = f"removed {blobs.count} blobs, {removed['revision'].count} untagged manifests"
    phases = {"first look": 12.1, "wait the grace": 3600.0, "second look": 9.9, "settle": 60.0}
    return Run(end - 3700, 3700, "done", 0, said, phases, removed, 3 * GIB, size, 41_233, 5 * GIB)


def surroundings(**changes: object) -> Surroundings:
    """All is well: half of the disk is free, and no certificate ends soon."""
    values: dict[str, object] = {
        "disk": Disk(400 * GIB, 168 * GIB),
        "trouble": "",
        "certificate": NOW + 410 * DAY,
        "authority": NOW + 3400 * DAY,
        "restarts": 1,
    }
    return Surroundings(**{**values, **changes})  # type: ignore[arg-type]


def waiting() -> Now:
    return Now("waiting", NOW - 7200, NOW + 6.9 * DAY)


# a real one


@dataclass(frozen=True, slots=True)
class Watched:
    """A registry that was pushed to and pruned once, and the pruner beside it, still serving."""

    registry: RealRegistry
    process: subprocess.Popen[str]
    metrics_port: int
    page_port: int

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.metrics_port}/metrics"

    @property
    def page_url(self) -> str:
        return f"http://127.0.0.1:{self.page_port}/"


@contextmanager
def watched(version: Version, folder: Path, **variables: str) -> Generator[Watched]:
    """Push, leave garbage, and let `serve` prune once; then it waits for a week."""
    registry = RealRegistry(version, folder / "registry", debug_port=free_port())
    with registry:
        with registry.client() as client:
            base = layer("base", 30_000)
            client.push("team/app", image([base, layer("one")], "one"), "1", "latest")
            client.push("team/app", image([base, layer("two", 9000)], "two"), "latest")
            client.push("team/web", image([layer("gone", 50_000)], "gone"), "1")
            client.push("team/web", image([base, layer("web", 70_000)], "web"), "1")
        metrics, page = free_port(), free_port()
        settings = {
            "GC_INITIAL_DELAY": "0",
            "GC_GRACE": "0",
            "GC_UNTAGGED_AFTER": "0",
            "GC_MAX_FRACTION": "1",
            "GC_METRICS_PORT": str(metrics),
            "GC_PAGE_PORT": str(page),
            "GC_REPOSITORY_METRICS": "true",
            **variables,
        }
        process = PrunerProcess(registry.config, settings).start("serve")
        try:
            found = Watched(registry, process, metrics, page)
            until(lambda: 'registry_gc_runs_total{result="done"} 1.0' in scrape(found), "the first run")
            yield found
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)


def scrape(found: Watched) -> str:
    """What a scrape brings, empty while the pruner is not there yet."""
    try:
        answer = requests.get(found.metrics_url, timeout=10)
    except requests.ConnectionError:
        assert found.process.poll() is None, "serve ended"
        return ""
    answer.raise_for_status()
    return answer.text


def until(condition: Callable[[], bool], what: str, patience: float = 90.0) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience:.0f} s in vain: {what}"
        time.sleep(0.2)
