"""`prune run`: one run."""

from __future__ import annotations

import argparse
import sys

from pruner.cli.call import Call
from pruner.cli.commands import plan
from pruner.cli.console import log, say
from pruner.cli.output import is_terminal
from pruner.inspect.report import Report
from pruner.observe.recorder import recorded
from pruner.settings.table import Part
from pruner.sweep import run as pruning

SETTINGS: tuple[Part, ...] = plan.SETTINGS
FORMS = plan.FORMS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What plan has, and the choice to be one."""
    plan.add_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="do as plan does: change nothing")


def changes(arguments: argparse.Namespace) -> bool:
    """It removes, unless it is to be a plan."""
    return not arguments.dry_run


def run(call: Call) -> int:
    """Prune once."""
    if call.arguments.dry_run:
        return plan.run(call)
    place = call.place()
    report = Report.of(recorded(place, lambda: pruning.run(place)))
    if not is_terminal(sys.stderr):
        _log(report)
    if not call.served or call.arguments.output == "json":
        plan.show(call, report, with_removals=False)
    return 0


def _log(report: Report) -> None:
    summary = report.summary()
    fields = {key: summary[key] for key in ("removable_blobs", "removable_bytes", "seconds", *report.facts)}
    log.info(report.sentence(), extra={"fields": fields})
    for note in report.notes:
        say(note)
