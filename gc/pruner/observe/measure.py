"""Look and report -> record: what a run found and did, measured once at its end."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from pruner.clock import Stopped
from pruner.decide.look import Look
from pruner.decide.plan import Plan, Removal
from pruner.decide.removals import Removals
from pruner.errors import PrunerError, Refused
from pruner.inspect.report import Report
from pruner.inspect.usage import usage
from pruner.observe.record import (
    LISTED,
    REPOSITORIES,
    Amount,
    Ended,
    Going,
    InTrash,
    Kept,
    Record,
    Repository,
    Run,
    Snapshot,
    clip,
)
from pruner.storage import Storage
from pruner.sweep import trash
from pruner.sweep.run import Outcome
from pruner.tree import whole
from pruner.tree.whole import Tree

# A reason names the moment for people; reasons that differ in nothing else are counted as one.
_MOMENT = re.compile(r"(, last pushed)?:? ?(unchanged )?(at|since) \d{4}-\d\d-\d\d.*$")

# What a sentence on a repository that is kept whole has in it -> the trouble, as a metric's label.
_TROUBLES = (
    ("symbolic link", "symbolic link"),
    ("is not there", "manifest missing"),
    ("holds no digest", "unreadable tag"),
    ("unknown algorithm", "unknown algorithm"),
    ("unknown kind", "unknown kind of manifest"),
    ("revision sha", "damaged manifest"),
)
OTHER_TROUBLE = "other"

_LINKS = frozenset({"tag", "revision", "layer-link", "repository"})
T = TypeVar("T")


def of_outcome(record: Record, storage: Storage, outcome: Outcome, began: float, trash_time: float) -> Record:
    """`record` with what a run or a plan came to; a plan is not a run, and only brings a new snapshot.

    `trash_time` is how long blobs stay in the trash, in seconds. Raises OSError.
    """
    report = Report.of(outcome)
    snapshot = None
    if outcome.last is not None:
        snapshot = _snapshot(storage, outcome.last, report, trash_time)
    if not report.executed:
        return replace(record, snapshot=snapshot or record.snapshot)
    removed = {kind: _amount(group) for kind, group in _grouped(report.removals)}
    at_once = sum(each.bytes for each in report.removals if each.kind not in ("blob", "trash"))
    run = Run(
        began,
        round(report.seconds, 3),
        "done",
        0,
        report.sentence(),
        dict(report.phases),
        removed,
        at_once + int(report.facts.get("purged_bytes", 0)),
        snapshot.bytes if snapshot else 0,
        snapshot.blobs if snapshot else 0,
        snapshot.trash.bytes if snapshot else 0,
    )
    whole_tree = outcome.last is None or not outcome.last.rules.repositories
    return record.plus(run, snapshot if whole_tree else record.snapshot)


def failure(error: BaseException, began: float, seconds: float) -> Run:
    """The run that ended in `error`."""
    ended: Ended = "failed"
    if isinstance(error, Refused):
        ended = "refused"
    elif isinstance(error, Stopped):
        ended = "stopped"
    code = error.exit_code if isinstance(error, PrunerError | Stopped) else 1
    return Run(began, round(seconds, 3), ended, code, str(error))


def trouble(reason: str) -> str:
    """A sentence on why a repository is kept whole, as one of a few words that a label may have."""
    return next((word for sign, word in _TROUBLES if sign in reason), OTHER_TROUBLE)


def _snapshot(storage: Storage, look: Look, report: Report, trash_time: float) -> Snapshot:
    gone = report.removals if report.executed else ()
    paths = {removal.path for removal in gone}
    left = Plan(
        Removals.of_all(each for each in report.plan.removals if each.path not in paths),
        report.plan.kept,
        report.plan.skipped,
        report.plan.dangling,
    )
    trashed = trash.listing(storage)
    in_trash = sum(blob.bytes for blob in trashed)
    used = usage(replace(look, tree=_without(look.tree, gone), plan=left), in_trash)
    largest = sorted(used.repositories, key=lambda each: (-each.bytes, each.name))
    skipped = sorted(left.skipped.items())
    return Snapshot(
        look.rules.now,
        used.blobs,
        used.bytes,
        sum(each.manifests for each in used.repositories),
        sum(each.tags for each in used.repositories),
        used.saved_bytes,
        tuple(
            Repository(
                each.name,
                each.tags,
                each.manifests,
                each.exclusive_bytes,
                each.shared_bytes,
                each.reclaimable_bytes,
            )
            for each in largest[:REPOSITORIES]
        ),
        max(0, len(largest) - REPOSITORIES),
        used.shared,
        used.largest,
        used.oldest,
        _going(left.removals),
        dict(left.kept),
        tuple(Kept(name, clip(reason), trouble(reason)) for name, reason in skipped[:LISTED]),
        dict(Counter(trouble(reason) for _, reason in skipped)),
        left.dangling[:LISTED],
        Amount(len(trashed), in_trash),
        tuple(
            InTrash(blob.digest, blob.bytes, blob.since, blob.since + trash_time)
            for blob in sorted(trashed, key=lambda blob: (-blob.since, -blob.bytes))[:LISTED]
        ),
        tuple(map(clip, report.notes[:LISTED])),
    )


def _going(removals: Iterable[Removal]) -> tuple[Going, ...]:
    amounts: dict[tuple[str, str], Amount] = {}
    for removal in removals:
        key = (removal.kind, clip(_MOMENT.sub("", removal.reason)))
        amounts[key] = amounts.get(key, Amount()) + Amount(1, removal.bytes)
    order = sorted(amounts.items(), key=lambda item: (-item[1].bytes, -item[1].count, item[0]))
    return tuple(Going(kind, reason, amount) for (kind, reason), amount in order[:LISTED])


def _grouped(removals: Iterable[Removal]) -> Iterable[tuple[str, list[Removal]]]:
    groups: dict[str, list[Removal]] = {}
    for removal in removals:
        groups.setdefault(removal.kind, []).append(removal)
    return groups.items()


def _amount(removals: Iterable[Any]) -> Amount:
    return sum((Amount(1, removal.bytes) for removal in removals), Amount())


def _without(tree: Tree, gone: Iterable[Removal]) -> Tree:
    """`tree` without what is `gone`: the last look of a run shows the links that it holds in their places."""
    by_repository: dict[str, list[Removal]] = {}
    for removal in gone:
        if removal.kind in _LINKS:
            by_repository.setdefault(removal.repository, []).append(removal)
    repositories = dict(tree.repositories)
    for name, removals in by_repository.items():
        if any(removal.kind == "repository" for removal in removals):
            repositories.pop(name, None)
        elif name in repositories:
            repositories[name] = _lightened(repositories[name], removals)
    return replace(tree, repositories=repositories)


def _lightened(repository: whole.Repository, removals: list[Removal]) -> whole.Repository:
    def gone(kind: str) -> set[str]:
        return {each.tag if kind == "tag" else each.digest for each in removals if each.kind == kind}

    return replace(
        repository,
        revisions=repository.revisions.without(gone("revision")),
        layers=repository.layers.without(gone("layer-link")),
        tags=repository.tags.without(gone("tag")),
    )
