"""The commands, each in a module of its own that is imported when it is asked for.

A module has `SETTINGS` (the parts of the table of settings that concern it), `FORMS` (of its result), and the
functions of `Command`.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from pruner.cli.call import Call
    from pruner.settings.table import Part

COMMANDS = {
    "serve": "wait, prune, sleep, for ever; SIGTERM ends it at a safe point",
    "run": "prune once, and report what was removed",
    "plan": "list exactly what run would remove now, and change nothing",
    "explain": "say who refers to a digest and what becomes of it",
    "usage": "show tags, manifests and bytes of every repository",
    "verify": "check that everything that is linked is there; change nothing",
    "history": "show what the last runs came to",
    "trash": "list, restore, purge or expire what was removed",
    "metrics": "serve the metrics of the registry beside it, for ever, and nothing else of it",
    "claim": "make the tree this registry's, or refuse it because it is another's or not the one it was",
    "init-config": "copy the registry's configuration to where it can be rewritten",
}
"""Each command with what it does, in the order in which help lists them."""


class Command(Protocol):
    """What a module of a command has."""

    SETTINGS: tuple[Part, ...]
    FORMS: tuple[str, ...]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add what is the command's alone to its parser."""
        ...

    def changes(self, arguments: argparse.Namespace) -> bool:
        """Whether it changes anything, so that it may be ended at its safe points only."""
        ...

    def run(self, call: Call) -> int:
        """Do it; returns the exit code and raises PrunerError or Stopped."""
        ...


def load(name: str) -> Command:
    """The module of the command `name`."""
    return cast(Command, import_module(f"{__name__}.{name.replace('-', '_')}"))
