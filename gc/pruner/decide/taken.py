"""What runs took away, as values: the decision gets them handed in and reads no trash itself."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass

from pruner.decide.plan import Removal
from pruner.settings.durations import format_moment


@dataclass(frozen=True, slots=True)
class Trashed:
    """A quarantined blob: its bytes, and since when (seconds since the epoch) it is in the trash."""

    batch: str
    digest: str
    path: str
    bytes: int
    since: float


def is_due(since: float, now: float, keep: float) -> bool:
    """Whether what is in the trash `since` may be destroyed: the one rule, for plan, run, purge and expire.

    `now` is the storage's time at the beginning of a look that wants none of it.
    """
    return now - since >= keep


def expired(
    trashed: Iterable[Trashed], blobs: Container[str], wanted: Container[str], now: float, keep: float
) -> tuple[Removal, ...]:
    """What leaves the trash by a look that saw `blobs` in their places and found that `wanted` must stay.

    A blob that was uploaded again is there twice, so its copy goes. `keep` is in seconds.
    """
    removals: list[Removal] = []
    for blob in trashed:
        if blob.digest in blobs:
            reason = "uploaded again since it came into the trash"
        elif is_due(blob.since, now, keep) and blob.digest not in wanted:
            reason = f"in the trash since {format_moment(blob.since)}"
        else:
            continue
        removals.append(Removal("trash", "", blob.digest, blob.path, blob.bytes, reason))
    return tuple(removals)
