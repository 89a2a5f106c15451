"""`prune usage`: who uses the storage."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pruner.cli import output
from pruner.cli.call import Call
from pruner.inspect.report import format_bytes
from pruner.inspect.tables import table
from pruner.inspect.usage import Usage, usage
from pruner.observe import record
from pruner.observe.record import Run
from pruner.settings.durations import format_moment
from pruner.settings.table import Part
from pruner.storage import read_errors
from pruner.sweep import trash

SETTINGS: tuple[Part, ...] = ("look", "storage")
FORMS = ("text", "json", "csv")
_RUNS = 5
"""The last runs that the table of growth shows."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""
    del parser


def changes(arguments: argparse.Namespace) -> bool:
    """It only looks."""
    del arguments
    return False


@dataclass(frozen=True, slots=True)
class _Grown:
    """What is stored, with what was stored at the end of each of the last runs, oldest first."""

    usage: Usage
    runs: Sequence[Run]

    def to_json(self) -> dict[str, Any]:
        """As JSON data; bytes are numbers, times seconds since the epoch."""
        growth = [{"at": run.end, "bytes": run.stored_bytes, "blobs": run.stored_blobs} for run in self.runs]
        return {**self.usage.to_json(), "growth": growth}

    def text(self) -> str:
        """As tables."""
        if not self.runs:
            return self.usage.text()
        rows = [("GROWTH SINCE THE RUN OF", "STORED THEN", "SINCE THEN")]
        for run in self.runs[-_RUNS:]:
            more = self.usage.bytes - run.stored_bytes
            sign = "-" if more < 0 else "+"
            stored = format_bytes(run.stored_bytes)
            rows.append((format_moment(run.end), stored, f"{sign}{format_bytes(abs(more))}"))
        return "\n".join([self.usage.text(), "", *table(rows, right={1, 2})])


def run(call: Call) -> int:
    """Measure the storage."""
    place = call.place()
    look = place.look()
    if look is None:
        measured = _Grown(Usage((), 0, 0, 0, 0), ())  # a registry that nobody has pushed to yet
    else:
        with read_errors(place.storage):
            in_trash = sum(blob.bytes for blob in trash.listing(place.storage))
            runs = [each for each in record.load(place.storage).runs if each.stored_blobs]
            measured = _Grown(usage(look, in_trash), runs)
    if call.arguments.output == "csv":
        output.write(measured.usage.csv())
    else:
        call.show(measured)
    return 0
