"""One version of the registry with one kind of cache: clients against a collector, and then the reckoning."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sandbox.s3 import s3_server
from tests.gc.prunerprocess import PrunerFailedError, PrunerProcess
from tests.gc.realregistry import Cache, RealRegistry, Redis, Version
from tests.gc.registryclient import CorruptError, RefusalError, RegistryClient, UnansweredError
from tests.soak.client import Job, Outcome, work
from tests.soak.collector import Cycles, GarbageCollect, Pruner, Tally
from tests.soak.ledger import Entry, Place

Who = Literal["pruner", "registry", "none"]
DAMAGED = 13  # exit code of `verify` when it found problems


@dataclass(frozen=True, slots=True)
class Settings:
    """What every combination of a soak has in common; times are in seconds."""

    seconds: float
    clients: int = 4
    collector: Who = "pruner"
    kill: bool = False
    mode: str = "online"
    grace: float = 3
    untagged_after: float = 3
    trash: int = 5
    uploads_after: float = 30
    seed: int = 0
    on_s3: bool = False


@dataclass(slots=True)
class Result:
    """The figures of one combination; it failed if anything is lost or the tree does not verify."""

    version: Version
    cache: Cache
    seconds: float
    tally: Tally
    counts: Counter[str]
    kept: int  # acknowledged tags that had to pull in the end
    lost: list[str]
    unsettled: int  # tags of which nothing is claimed: their last push was never answered
    problems: list[str]  # what `verify` found in the tree
    slowest_push: float
    longest_unreadable: float
    restarts: int
    samples: list[str] = field(default_factory=list[str])

    @property
    def good(self) -> bool:
        return not self.lost and not self.problems and not self.tally.failed

    def as_json(self) -> dict[str, Any]:
        figures = {name: getattr(self, name) for name in self.__slots__}
        tally = {name: getattr(self.tally, name) for name in self.tally.__slots__}
        return figures | {"tally": tally, "lost": len(self.lost), "losses": self.lost, "good": self.good}


def soak(settings: Settings, version: Version, cache: Cache, folder: Path) -> Result:
    """Run one combination in `folder` (which it fills)."""
    with ExitStack() as running:
        redis = running.enter_context(Redis(folder / "redis")).port if cache == "redis" else None
        s3 = running.enter_context(s3_server(folder / "s3")) if settings.on_s3 else None
        registry = RealRegistry(version, folder / "registry", cache, redis, supervised=True, s3=s3)
        running.enter_context(registry)
        choices = random.Random(f"{settings.seed} {version} {cache}")
        pruner = PrunerProcess(registry.config)
        cycles = _cycles(settings, registry, pruner, choices)
        began = time.time()
        outcomes = _clients_at_work(settings, registry, cycles)
        seconds = time.time() - began
        if cycles and settings.collector == "pruner":
            cycles.once()
        registry.wait_ready()
        entries = {place: entry for outcome in outcomes for place, entry in outcome.entries.items()}
        lost = _losses(registry, entries)
        problems = _problems(settings, pruner)
        return Result(
            version,
            cache,
            seconds,
            cycles.tally if cycles else Tally(),
            sum((outcome.counts for outcome in outcomes), Counter[str]()),
            len(entries),
            lost,
            sum(outcome.unsettled for outcome in outcomes),
            problems,
            max(outcome.slowest_push for outcome in outcomes),
            max(outcome.longest_unreadable for outcome in outcomes),
            registry.starts - 1,
            [sample for outcome in outcomes for sample in outcome.samples],
        )


def _cycles(
    settings: Settings, registry: RealRegistry, pruner: PrunerProcess, choices: random.Random
) -> Cycles | None:
    if settings.collector == "none":
        return None
    if settings.collector == "registry":
        return Cycles(GarbageCollect(registry), choices, kill=settings.kill)
    options = ("--grace", f"{settings.grace:g}", "--untagged-after", f"{settings.untagged_after:g}")
    options += ("--uploads-after", f"{settings.uploads_after:g}", "--max-fraction", "1")
    options += ("--mode", settings.mode, "--override", "no-tags")
    return Cycles(Pruner(pruner, options, settings.trash, choices), choices, kill=settings.kill)


def _clients_at_work(settings: Settings, registry: RealRegistry, cycles: Cycles | None) -> list[Outcome]:
    until = time.time() + settings.seconds
    by_tag = registry.version.startswith("3.")
    jobs = [
        Job(registry.address, number, settings.seed, until, settings.grace / 2, 4 * settings.grace, by_tag)
        for number in range(settings.clients)
    ]
    # Processes rather than threads: the clients must not wait for each other.
    spawn = multiprocessing.get_context("spawn")
    with ExitStack() as running:
        executor = running.enter_context(ProcessPoolExecutor(settings.clients, mp_context=spawn))
        if cycles:
            running.enter_context(cycles)
        return list(executor.map(work, jobs))


def _losses(registry: RealRegistry, entries: dict[Place, Entry]) -> list[str]:
    """Pull every acknowledged tag and compare it, byte for byte."""
    lost: list[str] = []
    with RegistryClient(registry.address) as client:
        for place, entry in entries.items():
            try:
                client.check(place.repository, place.tag, entry.image)
            except (RefusalError, UnansweredError, CorruptError) as error:
                lost.append(f"{place} ({entry.image.digest}): {error}")
    return lost


def _problems(settings: Settings, pruner: PrunerProcess) -> list[str]:
    """What the pruner finds wrong with the tree; it is not asked about one that garbage-collect left."""
    if settings.collector == "registry":
        return []
    try:
        report = pruner.report("verify", "--digests", expected=(0, DAMAGED))
    except PrunerFailedError as error:
        return [str(error)]
    return [
        f"{each['kind']} {each['repository']} {each['digest']} {each['detail']}"
        for each in report["problems"]
    ]
