"""`prune plan`: what `run` would remove now."""

from __future__ import annotations

import argparse

from pruner.cli.call import Call
from pruner.cli.output import one_line, write_pieces
from pruner.inspect.report import Report, format_bytes
from pruner.settings.table import Part
from pruner.sweep import run as pruning

SETTINGS: tuple[Part, ...] = ("run", "look", "trash", "storage")
FORMS = ("text", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""
    del parser


def changes(arguments: argparse.Namespace) -> bool:
    """It only looks."""
    del arguments
    return False


def run(call: Call) -> int:
    """Plan, and change nothing."""
    report = Report.of(pruning.plan(call.place()))
    if call.arguments.output == "text":
        write_pieces(
            f"{removal.kind}\t{one_line(f'{report.root}/{removal.path}')}\t{format_bytes(removal.bytes)}\t"
            f"{one_line(removal.reason)}\n"
            for removal in report.removals
        )
    call.show(report)
    return 0
