"""The soak's figures for a person."""

from __future__ import annotations

from collections.abc import Sequence

from tests.soak.combination import Result

HEADINGS = (
    "registry", "cache", "seconds", "cycles", "killed", "failed runs", "pushes", "refused", "pulls",
    "unreadable", "removed blobs", "removed bytes", "restarts", "kept", "lost", "verified",
)  # fmt: skip


def row(result: Result) -> tuple[str, ...]:
    counts, tally = result.counts, result.tally
    values = (
        result.version,
        result.cache,
        f"{result.seconds:.0f}",
        tally.cycles,
        tally.killed,
        tally.failed,
        counts["pushes"]
        + counts["mounts"]
        + counts["retags"]
        + counts["retags of untagged"]
        + counts["referrers"],
        counts["failed pushes"],
        counts["pulls"],
        f"{counts['failed pulls']} ({result.longest_unreadable:.1f} s)",
        tally.blobs,
        tally.bytes,
        result.restarts,
        result.kept,
        len(result.lost),
        "NO" if result.problems else "yes",
    )
    return tuple(map(str, values))


def table(results: Sequence[Result]) -> str:
    rows = [HEADINGS, *(row(result) for result in results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.rjust, each, widths)) for each in rows)


def line(result: Result) -> str:
    """One combination in a few lines, with the first things that went wrong."""
    pairs = ", ".join(f"{name} {value}" for name, value in zip(HEADINGS[2:], row(result)[2:], strict=True))
    troubles = [f"  lost {each}" for each in result.lost[:5]]
    troubles += [f"  {each}" for each in result.tally.samples[:3]]
    troubles += [f"  {each}" for each in result.problems[:10]]
    return "\n".join([f"{result.version} {result.cache}: {pairs}", *troubles])
