"""What a plan or a run comes to, for people and for machines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from pruner.decide.plan import Plan
from pruner.decide.removal import as_json
from pruner.decide.removals import Removals, Total
from pruner.inspect.tables import one_line, table
from pruner.settings.durations import format_duration
from pruner.sweep.run import Outcome
from pruner.tree.whole import Tree

NOUNS = {
    "upload": ("abandoned upload", "abandoned uploads"),
    "temporary": ("leftover file", "leftover files"),
    "tag": ("tag", "tags"),
    "index-link": ("old tag link", "old tag links"),
    "revision": ("untagged manifest", "untagged manifests"),
    "layer-link": ("stale layer link", "stale layer links"),
    "signatures": ("signatures folder", "signatures folders"),
    "blob": ("blob", "blobs"),
    "folder": ("empty folder", "empty folders"),
    "repository": ("empty repository", "empty repositories"),
    "trash": ("blob from the trash", "blobs from the trash"),
}
"""What people call a kind of removal, one and several."""

_AT_ONCE = 500
"""Removals that are written together."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of `plan` (`executed` False) or `run`.

    `removals` are planned or carried out; `phases` are seconds by name; `facts` are further numbers of a run.
    """

    root: str
    executed: bool
    tree: Tree
    removals: Removals
    plan: Plan
    seconds: float
    phases: Mapping[str, float] = field(default_factory=dict[str, float])
    facts: Mapping[str, int] = field(default_factory=dict[str, int])
    notes: tuple[str, ...] = ()

    @staticmethod
    def of(outcome: Outcome) -> Report:
        """The report on what `plan` or `run` came to."""
        root, tree, plan, done = outcome.root, outcome.tree, outcome.plan, outcome.done
        if done is None:
            return Report(root, False, tree, plan.removals, plan, outcome.seconds, notes=outcome.notes)
        facts = {
            "put_back_links": done.put_back,
            "restored_blobs": done.restored,
            "purged_blobs": len(done.purged),
            "purged_bytes": sum(blob.bytes for blob in done.purged),
        }
        removed = Removals.of_all(done.removed)
        return Report(root, True, tree, removed, plan, outcome.seconds, done.phases, facts, outcome.notes)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON data; bytes and seconds are numbers, paths absolute."""
        removals = [as_json(removal, self.root) for removal in self.removals]
        return {"removals": removals, "summary": self.summary()}

    def json_pieces(self) -> Iterator[str]:
        """The text of `to_json`, some removals at a time: a large plan is never held twice."""
        yield '{"removals": ['
        between = ""
        texts = self.removals.json(self.root)
        while some := ", ".join(islice(texts, _AT_ONCE)):
            yield between
            yield some
            between = ", "
        yield f'], "summary": {json.dumps(self.summary())}}}'

    def summary(self) -> dict[str, Any]:
        """The numbers, and the sentence that says them."""
        return {
            "sentence": self.sentence(),
            "repositories": len(self.tree.repositories),
            "manifests": sum(len(r.revisions) for r in self.tree.repositories.values()),
            "tags": sum(len(r.tags) for r in self.tree.repositories.values()),
            "blobs": len(self.tree.blobs),
            "removable_blobs": self._by_kind().get("blob", {}).get("count", 0),
            "removable_bytes": sum(
                numbers["bytes"] for kind, numbers in self._by_kind().items() if kind != "trash"
            ),
            "executed": self.executed,
            "by_kind": self._by_kind(),
            "by_repository": self._by_repository(),
            "kept": dict(self.plan.kept),
            "skipped": dict(self.plan.skipped),
            "dangling_tags": list(self.plan.dangling),
            "unexplained": [f"{self.root}/{path}" for path in self._unexplained()],
            "notes": list(self.notes),
            "phases": dict(self.phases),
            "seconds": round(self.seconds, 3),
            **self.facts,
        }

    def sentence(self) -> str:
        """One sentence that a person understands."""
        verb = "removed" if self.executed else "would remove"
        by_kind = self._by_kind()
        counts = {kind: numbers["count"] for kind, numbers in by_kind.items()}
        if not counts:
            said = (
                f"nothing to remove in {_plural(len(self.tree.repositories), 'repository', 'repositories')}"
            )
        else:
            order = sorted(counts, key=lambda kind: (kind != "blob", kind != "trash", -counts[kind]))
            things = ", ".join(_plural(counts[kind], *NOUNS[kind]) for kind in order)
            said = f"{verb} {things}, {format_bytes(sum(each['bytes'] for each in by_kind.values()))}"
        if self.plan.skipped:
            names = one_line(", ".join(sorted(self.plan.skipped)[:5])) + (
                "…" if len(self.plan.skipped) > 5 else ""
            )
            said += f"; {_plural(len(self.plan.skipped), 'repository', 'repositories')} skipped: {names}"
        return said

    def text(self) -> str:
        """The report for a person: totals, then a table by repository, then what stays and why."""
        lines = self._totals()
        by_repository = sorted(self._by_repository().items(), key=lambda item: (-item[1]["bytes"], item[0]))
        if by_repository:
            rows = [(name, str(each["count"]), format_bytes(each["bytes"])) for name, each in by_repository]
            rest = len(self.removals) - sum(each["count"] for _, each in by_repository)
            if rest:
                freed = sum(each.bytes for each in self.removals if not each.repository)
                rows.append(("(shared, or of none)", str(rest), format_bytes(freed)))
            lines.extend(("", *table([("REPOSITORY", "REMOVALS", "BYTES"), *rows], right={1, 2}), ""))
        if self.plan.kept:
            lines.append("Kept for safety:")
            lines.extend(f"  {count}, {reason}" for reason, count in sorted(self.plan.kept.items()))
        lines.extend(
            one_line(f"Skipped {name}: {reason}") for name, reason in sorted(self.plan.skipped.items())
        )
        lines.extend(one_line(f"Dangling tag: {tag}") for tag in self.plan.dangling)
        return "\n".join([*lines, *self._end()])

    def summary_text(self) -> str:
        """Only the totals, for a person."""
        lines = self._totals()
        if self.plan.kept:
            lines.append(f"  kept for safety: {sum(self.plan.kept.values())}")
        return "\n".join([*lines, *self._end()])

    def _totals(self) -> list[str]:
        rows = [
            (f"  {_plural(numbers['count'], *NOUNS[kind])}", format_bytes(numbers["bytes"]))
            for kind, numbers in self._by_kind().items()
        ]
        return [self.sentence()[0].upper() + self.sentence()[1:] + ".", *table(rows, right={1})]

    def _end(self) -> list[str]:
        lines = [one_line(f"Note: {note}") for note in self.notes]
        if self.phases:
            times = ", ".join(f"{name} {format_duration(taken)}" for name, taken in self.phases.items())
            lines.append(f"Time: {format_duration(self.seconds)} ({times})")
        return lines

    def _by_kind(self) -> dict[str, dict[str, int]]:
        return _totals((kind, total) for kind, _, total in self.removals.totals())

    def _by_repository(self) -> dict[str, dict[str, int]]:
        return _totals((name, total) for _, name, total in self.removals.totals() if name)

    def _unexplained(self) -> list[str]:
        within = [path for each in self.tree.repositories.values() for path in each.unexplained]
        return [*self.tree.unexplained, *within]


def _totals(totals: Iterable[tuple[str, Total]]) -> dict[str, dict[str, int]]:
    summed: dict[str, dict[str, int]] = {}
    for name, total in totals:
        numbers = summed.setdefault(name, {"count": 0, "bytes": 0})
        numbers["count"] += total.number
        numbers["bytes"] += total.bytes
    return summed


def format_bytes(count: int) -> str:
    """Bytes in a unit that people read, such as `1.2 GiB`."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _plural(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
