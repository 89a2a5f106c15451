"""What the page, the status and the log say alike: moments, spans and states in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pruner.inspect.report import format_bytes
from pruner.observe.board import Now
from pruner.observe.record import Record
from pruner.observe.surroundings import Disk, Surroundings
from pruner.settings.durations import format_duration

Level = Literal["good", "warn", "bad"]

CERTIFICATE_NEAR = 30 * 86400.0
"""Seconds before its end from which on a certificate wants a person: `up` renews it half a year before."""

DISK_NEAR = 0.1
"""The part of the disk that is still free when it wants a person."""


@dataclass(frozen=True, slots=True)
class Concern:
    """Something a person should know of: a reason in one word, and a sentence that says what to do."""

    level: Level
    reason: str
    sentence: str


def ago(moment: float, now: float) -> str:
    """`3h 5m ago`, or `in 2d 3h`."""
    span = format_duration(abs(now - moment)) if abs(now - moment) >= 10 else "a moment"
    return f"{span} ago" if moment <= now else f"in {span}"


def concerns(
    record: Record, now: Now, around: Surroundings, moment: float, period: float, hangs: str
) -> list[Concern]:
    """Everything that is not as it should be, the worst first."""
    found: list[Concern] = []
    if not around.up:
        found.append(
            Concern("bad", "RegistryDown", f"the registry does not answer as it should: {around.trouble}")
        )
    if hangs:
        found.append(Concern("bad", "PrunerHangs", f"{hangs}: its container is about to be restarted"))
    last = record.last
    if last is not None and last.ended in ("refused", "failed"):
        reason = "RunRefused" if last.ended == "refused" else "RunFailed"
        found.append(
            Concern(
                "bad",
                reason,
                f"the last run {last.ended if last.ended == 'failed' else 'was refused'}: {last.message}",
            )
        )
    success = record.totals.last_success
    if success and now.activity != "running" and moment - success > 2 * period:
        found.append(Concern("bad", "NoSuccess", f"the last run that went well ended {ago(success, moment)}"))
    found.extend(_of_disk(record, around.disk, moment))
    for name, ends in (("server's", around.certificate), ("authority's", around.authority)):
        if ends is not None and ends - moment < CERTIFICATE_NEAR:
            level: Level = "bad" if ends <= moment else "warn"
            when = "has ended" if ends <= moment else f"ends {ago(ends, moment)}"
            found.append(
                Concern(level, "CertificateNearItsEnd", f"the {name} certificate {when}: run `pulumi up`")
            )
    kept = sum(record.snapshot.troubles.values()) if record.snapshot else 0
    if kept:
        things = "1 repository is" if kept == 1 else f"{kept} repositories are"
        found.append(Concern("warn", "KeptWhole", f"{things} kept whole: `prune verify` names the damage"))
    return sorted(found, key=lambda concern: concern.level != "bad")


def _of_disk(record: Record, disk: Disk | None, moment: float) -> list[Concern]:
    if disk is None or not disk.size:
        return []
    found: list[Concern] = []
    if disk.available < DISK_NEAR * disk.size:
        level: Level = "bad" if disk.available < DISK_NEAR / 4 * disk.size else "warn"
        full = full_at(record, disk, moment)
        when = f"; at the pace of the last runs it is full {ago(full, moment)}" if full is not None else ""
        sentence = f"{format_bytes(disk.available)} of {format_bytes(disk.size)} are free{when}"
        found.append(Concern(level, "DiskNearlyFull", sentence))
    in_trash = record.snapshot.trash.bytes if record.snapshot else 0
    if in_trash > disk.available:
        found.append(
            Concern(
                "warn",
                "TrashLargerThanFree",
                f"{format_bytes(in_trash)} lie in the trash, more than is free: "
                "`prune trash purge` frees them at once",
            )
        )
    return found


def full_at(record: Record, disk: Disk, moment: float) -> float | None:
    """When the disk will be full if the stored bytes grow as over the runs on record; None if they do not."""
    runs = [run for run in record.runs if run.stored_bytes]
    if len(runs) < 2 or runs[-1].end - runs[0].end < 3600:
        return None
    pace = (runs[-1].stored_bytes - runs[0].stored_bytes) / (runs[-1].end - runs[0].end)
    return moment + disk.available / pace if pace > 0 else None
