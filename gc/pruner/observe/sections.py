"""The sections of the page, each made from what the last run wrote down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from pruner.inspect.report import NOUNS, format_bytes
from pruner.inspect.usage import TagUsage
from pruner.observe.board import Now
from pruner.observe.html import Cell, Html, bar, command, digest, growth, none, sentence, table
from pruner.observe.record import Record, Run, Snapshot
from pruner.observe.surroundings import Surroundings
from pruner.observe.words import Concern, ago, full_at
from pruner.settings.durations import format_duration, format_moment

_ENDS = {"done": "good", "refused": "warn", "failed": "bad", "stopped": "warn"}
_MOST = 20  # rows of a list of which the newest or largest are enough


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page is made from; `command` is how a person calls the pruner, `title` names the registry."""

    record: Record
    now: Now
    around: Surroundings
    concerns: Sequence[Concern]
    moment: float
    title: str
    command: str


def storage(found: Snapshot | None) -> str:
    """Who uses the storage, and what is shared."""
    if found is None:
        return none("Nothing has been looked at yet: the first run or look brings the figures.")
    most = max((each.exclusive_bytes + each.shared_bytes for each in found.repositories), default=0)
    rows = [
        (
            Cell(each.name),
            Cell(bar(each.exclusive_bytes, each.shared_bytes, most), "bar"),
            Cell(format_bytes(each.exclusive_bytes + each.shared_bytes), "number"),
            Cell(format_bytes(each.exclusive_bytes), "number"),
            Cell(format_bytes(each.shared_bytes), "number"),
            Cell(f"{each.tags:,}", "number"),
            Cell(format_bytes(each.reclaimable_bytes), "number"),
        )
        for each in found.repositories
    ]
    more = f" {found.others:,} smaller ones are not listed." if found.others else ""
    parts = [
        f"<p>As of {format_moment(found.at)}. "
        '<span class="key own"></span> its own, <span class="key also"></span> shared with other '
        f"repositories. Every blob is stored once, however many need it.{more}</p>",
        table(
            "By repository, the largest first",
            (
                "Repository",
                "Share|bar",
                "Size|number",
                "Own|number",
                "Shared|number",
                "Tags|number",
                "Would go|number",
            ),
            rows,
            "No repository yet.",
        ),
    ]
    if found.shared:
        parts.append("<h3>Blobs shared most</h3>")
        parts.append(
            table(
                "What would be stored again and again without sharing",
                ("Blob", "Size|number", "Repositories|number", "Saved|number"),
                [
                    (
                        Cell(digest(blob.digest)),
                        Cell(format_bytes(blob.bytes), "number"),
                        Cell(f"{blob.repositories:,}", "number"),
                        Cell(format_bytes(blob.saved), "number"),
                    )
                    for blob in found.shared[:_MOST]
                ],
                "",
            )
        )
    tags = (("Largest tags", found.largest), ("Oldest tags", found.oldest))
    parts.append(f'<div class="pair">{"".join(_tags(title, listed) for title, listed in tags)}</div>')
    return "".join(parts)


def _tags(title: str, tags: Sequence[TagUsage]) -> str:
    if not tags:
        return ""
    rows = [
        (
            Cell(f"{tag.repository}:{tag.tag}"),
            Cell(format_bytes(tag.bytes), "number"),
            Cell(format_moment(tag.pushed)[:10], "date"),
        )
        for tag in tags[:_MOST]
    ]
    heads = ("Tag", "Size|number", "Last pushed")
    return f"<div><h3>{title}</h3>{table(f'{title}, each with everything it needs', heads, rows, '')}</div>"


def going(shown: Shown) -> str:
    """What a run would remove, what stays and why."""
    found = shown.record.snapshot
    if found is None:
        return none("Nothing has been looked at yet.")
    parts = [
        table(
            f"What a run would have removed at {format_moment(found.at)}",
            ("What", "Why", "Count|number", "Size|number"),
            [
                (
                    Cell(NOUNS[each.kind][1] if each.kind in NOUNS else each.kind),
                    Cell(each.reason),
                    Cell(f"{each.amount.count:,}", "number"),
                    Cell(format_bytes(each.amount.bytes), "number"),
                )
                for each in found.going
            ],
            "Nothing: whatever nothing refers to is gone, or too young to go.",
        )
    ]
    if found.spared:
        parts.append("<h3>Stays for now</h3>")
        rows = [
            (Cell(reason), Cell(f"{count:,}", "number"))
            for reason, count in sorted(found.spared.items(), key=lambda item: -item[1])
        ]
        parts.append(table("Nothing refers to it, and still it is kept", ("Why", "Count|number"), rows, ""))
    if found.kept_whole:
        parts.append("<h3>Repositories kept whole</h3>")
        rows = [(Cell(each.repository), Cell(each.trouble), Cell(each.reason)) for each in found.kept_whole]
        parts.append(
            table(
                "Something in them cannot be explained, so nothing of theirs is removed",
                ("Repository", "Trouble", "Reason"),
                rows,
                "",
            )
        )
    if found.dangling:
        parts.append("<h3>Tags without a manifest</h3><p>")
        parts.append(", ".join(f"<code>{escape(tag)}</code>" for tag in found.dangling) + "</p>")
    parts.extend(f"<p>{sentence(note)}.</p>" for note in found.notes)
    parts.append(f"<p>In full, and at this moment:</p>{command(f'{shown.command} plan')}")
    return "".join(parts)


def runs(shown: Shown) -> str:
    """How the storage grew, and what each run did."""
    runs = [*reversed(shown.record.runs)]
    rows = [
        (
            Cell(format_moment(run.began)[:16], "date"),
            Cell(Html(f'<span class="badge {_ENDS[run.ended]}">{run.ended}</span>')),
            Cell(format_duration(run.seconds), "number"),
            Cell(format_bytes(run.total.bytes), "number"),
            Cell(format_bytes(run.stored_bytes) if run.stored_bytes else "-", "number"),
            Cell(run.message),
        )
        for run in runs[:_MOST]
    ]
    listed = table(
        "The newest first, times in UTC",
        ("Began", "Ended as", "Took|number", "Removed|number", "Stored then|number", "In words"),
        rows,
        "No run has ended yet.",
    )
    return growth(shown.record.runs) + listed + _slowest(shown.record.last)


def _slowest(last: Run | None) -> str:
    if last is None or not last.phases:
        return ""
    rows = [
        (Cell(name), Cell(format_duration(seconds), "number"))
        for name, seconds in sorted(last.phases.items(), key=lambda item: -item[1])
    ]
    return "<h3>Where the last run spent its time</h3>" + table(
        "The longest first", ("Phase", "Took|number"), rows, ""
    )


def trash(shown: Shown) -> str:
    """What can be had back, and how."""
    found = shown.record.snapshot
    if found is None or not found.trash.count:
        return none("The trash is empty.")
    rows = [
        (
            Cell(digest(blob.digest)),
            Cell(format_bytes(blob.bytes), "number"),
            Cell(format_moment(blob.since), "date"),
            Cell(format_moment(blob.until), "date"),
        )
        for blob in found.trashed
    ]
    first = found.trashed[0].digest if found.trashed else "DIGEST"
    return (
        "<p>What was removed can be had back until its time is over, with its links and all that it "
        f"needs:</p>{command(f'{shown.command} trash restore {first}')}"
        f"<p>To destroy all of it and have the space now:</p>{command(f'{shown.command} trash purge')}"
        + table(
            f"The newest of {found.trash.count:,} blobs",
            ("Blob", "Size|number", "Removed", "Gone for good after"),
            rows,
            "",
        )
    )


def health(shown: Shown) -> str:
    """The certificate, the disk and the registry at this moment."""
    around, rows = shown.around, list[tuple[Cell, ...]]()
    for name, ends in (("Server's certificate", around.certificate), ("Authority", around.authority)):
        if ends is not None:
            rows.append((Cell(name), Cell(f"ends {ago(ends, shown.moment)}, at {format_moment(ends)}")))
    disk = around.disk
    if disk is not None and disk.size:
        used = disk.size - disk.available
        share = f"{used / disk.size:.0%} of {format_bytes(disk.size)} are taken"
        full = full_at(shown.record, disk, shown.moment)
        when = f"; full {ago(full, shown.moment)} at the pace of the last runs" if full else ""
        rows.append((Cell("Disk"), Cell(Html(bar(used, 0, disk.size) + escape(share + when)))))
    answer = "answers" if around.up else f"does not answer as it should: {around.trouble}"
    again = f"; started anew {around.restarts} times since the pruner began" if around.restarts else ""
    rows.append((Cell("Registry"), Cell(answer + again)))
    return table("At this moment", ("What", "How it stands"), rows, "") + (
        "<p>A certificate renews itself with <code>pulumi up</code> in the last half year of its life.</p>"
    )
