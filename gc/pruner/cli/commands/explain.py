"""`prune explain DIGEST`: why one digest stays or goes."""

from __future__ import annotations

import argparse

from pruner.cli.call import Call
from pruner.errors import UsageError
from pruner.inspect.explain import explain
from pruner.settings.table import Part
from pruner.storage import read_errors
from pruner.sweep import trash
from pruner.tree import layout

SETTINGS: tuple[Part, ...] = ("look", "trash", "storage")
FORMS = ("text", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The digest."""
    parser.add_argument("digest", metavar="DIGEST", help="such as sha256:0123…")


def changes(arguments: argparse.Namespace) -> bool:
    """It only looks."""
    del arguments
    return False


def run(call: Call) -> int:
    """Explain one digest."""
    digest: str = call.arguments.digest
    if not layout.is_digest(digest):
        raise UsageError(f"{digest!r} is not a digest: give one such as sha256: and 64 hex digits")
    place = call.place()
    look = place.look()
    if look is None:
        raise UsageError(f"{place.given} has no registry's tree yet: there is nothing to explain")
    with read_errors(place.storage):
        trashed = trash.listing(place.storage)
    call.show(explain(look, trashed, place.settings.trash, digest))
    return 0
