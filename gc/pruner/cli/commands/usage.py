"""`prune usage`: who uses the storage."""

from __future__ import annotations

import argparse

from pruner.cli.call import Call
from pruner.errors import UsageError
from pruner.inspect.usage import usage
from pruner.settings.table import Part
from pruner.storage import read_errors
from pruner.sweep import trash

SETTINGS: tuple[Part, ...] = ("look", "storage")
FORMS = ("text", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""
    del parser


def changes(arguments: argparse.Namespace) -> bool:
    """It only looks."""
    del arguments
    return False


def run(call: Call) -> int:
    """Measure the storage."""
    place = call.place()
    look = place.look()
    if look is None:
        raise UsageError(f"{place.given} has no registry's tree yet: there is nothing to measure")
    with read_errors(place.storage):
        in_trash = sum(blob.bytes for blob in trash.listing(place.storage))
        result = usage(look, place.storage, in_trash)
    call.show(result)
    return 0
