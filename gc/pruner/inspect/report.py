"""What a plan or a run comes to, for people and for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pruner.decide.plan import Plan, Removal
from pruner.settings.durations import format_duration
from pruner.sweep.run import Outcome
from pruner.tree.model import Tree

_NOUNS = {
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


@dataclass(frozen=True, slots=True)
class Report:
    """The result of `plan` (`executed` False) or `run`.

    `removals` are planned or carried out; `phases` are seconds by name; `facts` are further numbers of a run.
    """

    root: str
    executed: bool
    tree: Tree
    removals: tuple[Removal, ...]
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
        removed = tuple(done.removed)
        return Report(root, True, tree, removed, plan, outcome.seconds, done.phases, facts, outcome.notes)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON data; bytes and seconds are numbers, paths absolute."""
        return {
            "removals": [
                {
                    "kind": removal.kind,
                    "repository": removal.repository,
                    "digest": removal.digest,
                    "path": f"{self.root}/{removal.path}",
                    "bytes": removal.bytes,
                    "reason": removal.reason,
                    **({"tag": removal.tag} if removal.tag else {}),
                }
                for removal in self.removals
            ],
            "summary": self.summary(),
        }

    def summary(self) -> dict[str, Any]:
        """The numbers, and the sentence that says them."""
        return {
            "sentence": self.sentence(),
            "repositories": len(self.tree.repositories),
            "manifests": sum(len(r.revisions) for r in self.tree.repositories.values()),
            "tags": sum(len(r.tags) for r in self.tree.repositories.values()),
            "blobs": len(self.tree.blobs),
            "removable_blobs": self._count("blob"),
            "removable_bytes": sum(r.bytes for r in self.removals if r.kind != "trash"),
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
        counts = Counter(removal.kind for removal in self.removals)
        if not counts:
            said = (
                f"nothing to remove in {_plural(len(self.tree.repositories), 'repository', 'repositories')}"
            )
        else:
            order = sorted(counts, key=lambda kind: (kind != "blob", kind != "trash", -counts[kind]))
            things = ", ".join(_plural(counts[kind], *_NOUNS[kind]) for kind in order)
            said = f"{verb} {things}, {format_bytes(sum(removal.bytes for removal in self.removals))}"
        if self.plan.skipped:
            names = ", ".join(sorted(self.plan.skipped)[:5]) + ("…" if len(self.plan.skipped) > 5 else "")
            said += f"; {_plural(len(self.plan.skipped), 'repository', 'repositories')} skipped: {names}"
        return said

    def text(self) -> str:
        """The report as lines for a terminal."""
        lines = [self.sentence()[0].upper() + self.sentence()[1:] + "."]
        for kind, numbers in self._by_kind().items():
            lines.append(f"  {_plural(numbers['count'], *_NOUNS[kind])}: {format_bytes(numbers['bytes'])}")
        repositories = sorted(self._by_repository().items(), key=lambda item: -item[1]["bytes"])
        if repositories:
            lines.append("By repository (bytes that several shared are in none):")
            lines.extend(
                f"  {name}: {_plural(each['count'], 'removal', 'removals')}, {format_bytes(each['bytes'])}"
                for name, each in repositories
            )
        if self.plan.kept:
            lines.append("Kept for safety:")
            lines.extend(f"  {count}, {reason}" for reason, count in sorted(self.plan.kept.items()))
        lines.extend(f"Skipped {name}: {reason}" for name, reason in sorted(self.plan.skipped.items()))
        lines.extend(f"Dangling tag: {tag}" for tag in self.plan.dangling)
        lines.extend(f"Note: {note}" for note in self.notes)
        if self.phases:
            times = ", ".join(f"{name} {format_duration(taken)}" for name, taken in self.phases.items())
            lines.append(f"Time: {format_duration(self.seconds)} ({times})")
        return "\n".join(lines)

    def _count(self, kind: str) -> int:
        return sum(removal.kind == kind for removal in self.removals)

    def _by_kind(self) -> dict[str, dict[str, int]]:
        return _totals((removal.kind, removal) for removal in self.removals)

    def _by_repository(self) -> dict[str, dict[str, int]]:
        return _totals((removal.repository, removal) for removal in self.removals if removal.repository)

    def _unexplained(self) -> list[str]:
        within = [path for each in self.tree.repositories.values() for path in each.unexplained]
        return [*self.tree.unexplained, *within]


def _totals(removals: Iterable[tuple[str, Removal]]) -> dict[str, dict[str, int]]:
    totals: dict[str, dict[str, int]] = {}
    for name, removal in removals:
        numbers = totals.setdefault(name, {"count": 0, "bytes": 0})
        numbers["count"] += 1
        numbers["bytes"] += removal.bytes
    return totals


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
