"""Values -> metrics, in Prometheus' text format. docs/metrics.md lists them, and a test holds it to this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from pruner.observe.board import Now
from pruner.observe.record import ENDS, Amount, Record, Snapshot
from pruner.observe.surroundings import Surroundings

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_PREFIX = "registry_gc_"

Sample = tuple[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Seen:
    """All that metrics are made from. `period` is the time between two runs, in seconds."""

    record: Record
    now: Now
    around: Surroundings
    period: float
    by_repository: bool = False
    hangs: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name without the prefix, and how its samples are found (labels' values, value)."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: Callable[[Seen], Iterable[Sample]]
    labels: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """As it is scraped."""
        return _PREFIX + self.name


def exposition(seen: Seen) -> bytes:
    """The metrics as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(seen))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            made = GaugeMetricFamily if family.kind == "gauge" else CounterMetricFamily
            metric = made(family.full_name, family.help, labels=family.labels)
            for labels, value in family.samples(self._seen):
                metric.add_metric(labels, value)
            if metric.samples:
                yield metric


def _one(value: float | None) -> Iterator[Sample]:
    if value is not None:
        yield (), float(value)


def _moment(value: float | None) -> Iterator[Sample]:
    return _one(value or None)


def _each(values: Mapping[str, float]) -> Iterator[Sample]:
    return (((name,), value) for name, value in sorted(values.items()))


def _amounts(values: Mapping[str, Amount], of: Callable[[Amount], int]) -> Iterator[Sample]:
    return (((kind,), of(amount)) for kind, amount in sorted(values.items()))


def _snapshot(of: Callable[[Snapshot], float]) -> Callable[[Seen], Iterable[Sample]]:
    return lambda seen: _one(None if seen.record.snapshot is None else of(seen.record.snapshot))


def _objects(seen: Seen) -> Iterator[Sample]:
    found = seen.record.snapshot
    if found is not None:
        yield ("blob",), found.blobs
        yield ("manifest",), found.manifests
        yield ("repository",), found.count
        yield ("tag",), found.tags


def _repositories(of: Callable[[Snapshot], Mapping[str, float]]) -> Callable[[Seen], Iterable[Sample]]:
    def samples(seen: Seen) -> Iterable[Sample]:
        found = seen.record.snapshot
        return _each(of(found)) if seen.by_repository and found is not None else ()

    return samples


def _disk(seen: Seen, of: Literal["size", "available"]) -> Iterator[Sample]:
    return _one(None if seen.around.disk is None else getattr(seen.around.disk, of))


def _certificates(seen: Seen) -> Iterator[Sample]:
    ends = {"authority": seen.around.authority, "server": seen.around.certificate}
    return _each({name: moment for name, moment in ends.items() if moment is not None})


FAMILIES: tuple[Family, ...] = (
    Family(
        "runs_total",
        "counter",
        "Runs by how they ended: done, refused (by a fuse), failed, or stopped.",
        lambda seen: _each({end: seen.record.totals.runs.get(end, 0) for end in ENDS}),
        ("result",),
    ),
    Family(
        "last_success_timestamp_seconds",
        "gauge",
        "When the last run ended that did all it should.",
        lambda seen: _moment(seen.record.totals.last_success),
    ),
    Family(
        "last_run_timestamp_seconds",
        "gauge",
        "When the last run ended, however it did.",
        lambda seen: _moment(seen.record.last.end if seen.record.last else None),
    ),
    Family(
        "last_run_duration_seconds",
        "gauge",
        "How long the last run took.",
        lambda seen: _one(seen.record.last.seconds if seen.record.last else None),
    ),
    Family(
        "last_run_failed",
        "gauge",
        "1 when the last run ended otherwise than done or stopped, by how it ended.",
        lambda seen: _each(
            {
                end: float(seen.record.last is not None and seen.record.last.ended == end)
                for end in ("refused", "failed")
            }
        ),
        ("result",),
    ),
    Family(
        "phase_duration_seconds_total",
        "counter",
        "Time that all runs spent in a phase.",
        lambda seen: _each(seen.record.totals.phases),
        ("phase",),
    ),
    Family(
        "running_phase_start_timestamp_seconds",
        "gauge",
        "Since when the run at work is in its phase; nothing while none is.",
        lambda seen: _each({seen.now.phase: seen.now.phase_since} if seen.now.activity == "running" else {}),
        ("phase",),
    ),
    Family(
        "next_run_timestamp_seconds",
        "gauge",
        "When the next run begins; nothing while one is at work.",
        lambda seen: _moment(seen.now.next_run),
    ),
    Family("period_seconds", "gauge", "The time between two runs.", lambda seen: _one(seen.period)),
    Family(
        "hung",
        "gauge",
        "1 when the loop or its run gives no sign of life: then the liveness probe fails too.",
        lambda seen: _one(float(seen.hangs)),
    ),
    Family(
        "removed_total",
        "counter",
        "Things that runs removed, by kind.",
        lambda seen: _amounts(seen.record.totals.removed, lambda amount: amount.count),
        ("kind",),
    ),
    Family(
        "removed_bytes_total",
        "counter",
        "Bytes that runs removed, by kind; those of blobs are free once they leave the trash.",
        lambda seen: _amounts(seen.record.totals.removed, lambda amount: amount.bytes),
        ("kind",),
    ),
    Family(
        "reclaimed_bytes_total",
        "counter",
        "Bytes that runs freed on the disk.",
        lambda seen: _one(seen.record.totals.reclaimed_bytes),
    ),
    Family(
        "look_timestamp_seconds",
        "gauge",
        "When the storage was last looked at: the figures of storage, trash and repositories are of then.",
        _snapshot(lambda found: found.at),
    ),
    Family(
        "trash_bytes",
        "gauge",
        "Bytes in the trash.",
        _snapshot(lambda found: found.trash.bytes),
    ),
    Family("trash_blobs", "gauge", "Blobs in the trash.", _snapshot(lambda found: found.trash.count)),
    Family(
        "reclaimable_bytes",
        "gauge",
        "Bytes that a run would remove now.",
        _snapshot(lambda found: found.reclaimable.bytes),
    ),
    Family(
        "storage_bytes",
        "gauge",
        "Bytes of all blobs, each counted once.",
        _snapshot(lambda found: found.bytes),
    ),
    Family(
        "storage_shared_saved_bytes",
        "gauge",
        "Bytes that are not stored since repositories share blobs.",
        _snapshot(lambda found: found.saved_bytes),
    ),
    Family("storage_objects", "gauge", "Blobs, manifests, repositories and tags.", _objects, ("kind",)),
    Family(
        "repositories_kept_whole",
        "gauge",
        "Repositories of which nothing is removed since something in them cannot be explained, by trouble.",
        lambda seen: _each(seen.record.snapshot.troubles if seen.record.snapshot else {}),
        ("reason",),
    ),
    Family(
        "repository_bytes",
        "gauge",
        "Bytes of all that a repository needs; shared ones count in each. Only by choice.",
        _repositories(
            lambda found: {each.name: each.exclusive_bytes + each.shared_bytes for each in found.repositories}
        ),
        ("repository",),
    ),
    Family(
        "repository_exclusive_bytes",
        "gauge",
        "Bytes that no other repository needs. Only by choice.",
        _repositories(lambda found: {each.name: each.exclusive_bytes for each in found.repositories}),
        ("repository",),
    ),
    Family(
        "repository_tags",
        "gauge",
        "Tags of a repository. Only by choice.",
        _repositories(lambda found: {each.name: each.tags for each in found.repositories}),
        ("repository",),
    ),
    Family(
        "disk_size_bytes",
        "gauge",
        "Size of the file system that holds the images.",
        lambda seen: _disk(seen, "size"),
    ),
    Family(
        "disk_available_bytes",
        "gauge",
        "What may still be written to that file system.",
        lambda seen: _disk(seen, "available"),
    ),
    Family(
        "certificate_expiry_timestamp_seconds",
        "gauge",
        "When the certificate ends that the registry serves, and the authority's that clients trust.",
        _certificates,
        ("certificate",),
    ),
    Family(
        "registry_up",
        "gauge",
        "1 when the registry beside the pruner answers as it should.",
        lambda seen: _one(float(seen.around.up)),
    ),
    Family(
        "registry_restarts_total",
        "counter",
        "Times that the registry's process was started anew in the life of this pruner.",
        lambda seen: _one(seen.around.restarts),
    ),
)
"""Every metric of the pruner's own, in the order of the documentation."""
