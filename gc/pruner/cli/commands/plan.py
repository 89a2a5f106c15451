"""`prune plan`: what `run` would remove now."""

from __future__ import annotations

import argparse

from pruner.cli.call import Call
from pruner.cli.console import say
from pruner.cli.output import one_line, write_pieces
from pruner.inspect.report import Report, format_bytes
from pruner.observe.recorder import keep
from pruner.settings.table import Part
from pruner.sweep import run as pruning

SETTINGS: tuple[Part, ...] = ("run", "look", "trash", "storage")
FORMS = ("text", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whether to write it down."""
    parser.add_argument(
        "--record",
        action="store_true",
        help="also write down what the page and the metrics show; changes nothing else",
    )


def changes(arguments: argparse.Namespace) -> bool:
    """It only looks."""
    del arguments
    return False


def run(call: Call) -> int:
    """Plan, and change nothing."""
    place = call.place()
    outcome = pruning.plan(place)
    if call.arguments.record:
        keep(place, outcome)
    report = Report.of(outcome)
    if call.served:
        say(report.sentence())
        return 0
    if call.arguments.output == "text":
        write_pieces(
            f"{removal.kind}\t{one_line(f'{report.root}/{removal.path}')}\t{format_bytes(removal.bytes)}\t"
            f"{one_line(removal.reason)}\n"
            for removal in report.removals
        )
    call.show(report)
    return 0
