"""`prune history`: what the last runs came to."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pruner.cli.call import Call
from pruner.decide.fuses import check_storage
from pruner.inspect.report import format_bytes
from pruner.inspect.tables import table
from pruner.observe import record
from pruner.observe.record import Run
from pruner.settings.durations import format_duration, format_moment
from pruner.settings.table import Part
from pruner.storage import read_errors

SETTINGS: tuple[Part, ...] = ("storage",)
FORMS = ("text", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""
    del parser


def changes(arguments: argparse.Namespace) -> bool:
    """It only looks."""
    del arguments
    return False


@dataclass(frozen=True, slots=True)
class _History:
    runs: Sequence[Run]

    def to_json(self) -> dict[str, Any]:
        """As JSON data, oldest first; bytes are numbers, times and spans seconds."""
        return {"runs": [asdict(run) for run in self.runs]}

    def text(self) -> str:
        """As a table, oldest first."""
        if not self.runs:
            return "No run has been written down yet."
        rows = [("BEGAN", "TOOK", "RESULT", "REMOVED", "BYTES", "STORED", "WHY")]
        for run in self.runs:
            removed = run.total
            rows.append(
                (
                    format_moment(run.began),
                    format_duration(run.seconds),
                    run.ended,
                    str(removed.count),
                    format_bytes(removed.bytes),
                    format_bytes(run.stored_bytes) if run.stored_blobs else "-",
                    run.message,
                )
            )
        return "\n".join(table(rows, right={1, 3, 4, 5}))


def run(call: Call) -> int:
    """Show the record of the runs."""
    place = call.place()
    check_storage(place.storage, place.given, place.config, place.settings)
    with read_errors(place.storage):
        runs = record.load(place.storage).runs
    call.show(_History(runs))
    return 0
