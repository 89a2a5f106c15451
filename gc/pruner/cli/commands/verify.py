"""`prune verify`: is everything there that is linked."""

from __future__ import annotations

import argparse

from pruner.cli.call import Call
from pruner.decide.fuses import check_storage
from pruner.inspect.verify import verify
from pruner.settings.table import Part
from pruner.storage import read_errors
from pruner.tree.library import Library
from pruner.tree.scan import scan_whole

SETTINGS: tuple[Part, ...] = ("storage",)
FORMS = ("text", "json")
PROBLEMS = 13
"""The exit code when something is wrong with the tree."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How closely to look."""
    parser.add_argument("--digests", action="store_true", help="read and hash every blob too")


def changes(arguments: argparse.Namespace) -> bool:
    """It only looks."""
    del arguments
    return False


def run(call: Call) -> int:
    """Check the tree; 13 when something is wrong."""
    place = call.place()
    check_storage(place.storage, place.given, place.config, place.settings)
    progress = call.progress()
    with read_errors(place.storage):
        view = place.storage.view()
    tree = scan_whole(view, call.clock, progress)
    with read_errors(place.storage):
        result = verify(
            tree,
            place.storage,
            Library(view),
            digests=call.arguments.digests,
            progress=progress,
        )
    call.show(result)
    return PROBLEMS if result.problems else 0
