"""`prune init-config SOURCE TARGET`: a copy of the configuration that a read-only window may rewrite."""

from __future__ import annotations

import argparse

from pruner.cli.call import Call
from pruner.registry import readonly
from pruner.settings.table import Part

SETTINGS: tuple[Part, ...] = ()
FORMS = ("text", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """From where, and to where."""
    parser.add_argument("source", metavar="SOURCE", help="the registry's config.yml")
    parser.add_argument("target", metavar="TARGET", help="where the copy goes")


def changes(arguments: argparse.Namespace) -> bool:
    """It writes the copy."""
    del arguments
    return True


def run(call: Call) -> int:
    """Copy the configuration into a folder of the pod's own."""
    readonly.init_config(call.arguments.source, call.arguments.target)
    return 0
