"""`prune plan`: what `run` would remove now."""

from __future__ import annotations

import argparse
import json
import sys
from itertools import chain

from pruner.cli import output
from pruner.cli.call import Call
from pruner.cli.console import say
from pruner.decide.plan import Removal
from pruner.errors import UsageError
from pruner.inspect.report import Report, format_bytes
from pruner.inspect.tables import one_line, table
from pruner.settings.table import Part
from pruner.sweep import run as pruning
from pruner.tree import layout

SETTINGS: tuple[Part, ...] = ("run", "look", "trash", "storage")
FORMS = ("text", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How much to show, and whether to write it down."""
    parser.add_argument("--summary", action="store_true", help="show the totals only")
    parser.add_argument(
        "--repository",
        action="append",
        metavar="GLOB",
        help="be about repositories that match alone, such as team/*, and leave all else as it is; may be "
        "given several times",
    )
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
    if call.arguments.record and call.arguments.repository:
        raise UsageError("--record writes down what there is in all repositories: leave --repository out")
    place = call.place()
    outcome = pruning.plan(place)
    if call.arguments.record:
        from pruner.observe.recorder import keep  # only here: a plan is to start fast

        keep(place, outcome)
    report = Report.of(outcome)
    if call.served:
        say(report.sentence())
    else:
        show(call, report, with_removals=True)
    return 0


def show(call: Call, report: Report, *, with_removals: bool) -> None:
    """Print a report as it was asked for; the removals one by one come behind the totals on a terminal."""
    arguments = call.arguments
    terminal = output.is_terminal(sys.stdout)
    if arguments.output == "json":
        if arguments.summary:
            output.write(json.dumps({"summary": report.summary()}, indent=2 if terminal else None))
        elif terminal:
            output.write(json.dumps(report.to_json(), indent=2))
        else:
            output.write_pieces(chain(report.json_pieces(), "\n"))
    elif arguments.summary:
        output.page(report.summary_text())
    elif terminal and with_removals and report.removals:
        rows = ((r.kind, _what(r), format_bytes(r.bytes), r.reason) for r in report.removals)
        lines = table([("KIND", "WHAT", "BYTES", "WHY"), *rows], right={2})
        output.page("\n".join([report.text(), "", *lines]))
    else:
        if with_removals:
            output.write_pieces(_line(report, removal) for removal in report.removals)
        output.page(report.text())


def _what(removal: Removal) -> str:
    """A removal as a person would call it: a reference, a digest or a path."""
    if removal.tag:
        return f"{removal.repository}:{removal.tag}"
    if removal.digest:
        return f"{removal.repository}@{removal.digest}" if removal.repository else removal.digest
    return removal.path.removeprefix(f"{layout.BASE}/")


def _line(report: Report, removal: Removal) -> str:
    path = one_line(f"{report.root}/{removal.path}")
    return f"{removal.kind}\t{path}\t{format_bytes(removal.bytes)}\t{one_line(removal.reason)}\n"
