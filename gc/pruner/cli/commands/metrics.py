"""`prune metrics`: what the registry beside it says of itself, where others can read it."""

from __future__ import annotations

import argparse
import gc

from pruner.cli.call import Call
from pruner.errors import RegistryError
from pruner.observe import web
from pruner.observe.surroundings import metrics_of
from pruner.observe.web import TEXT, Answer
from pruner.registry import config
from pruner.settings.table import Part

SETTINGS: tuple[Part, ...] = ()
FORMS = ("text", "json")
_DAY = 86400.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where it listens."""
    parser.add_argument(
        "--port", metavar="PORT", type=int, default=9090, help="where /metrics is, 9090 if left out"
    )


def changes(arguments: argparse.Namespace) -> bool:
    """It never touches the tree."""
    del arguments
    return False


def run(call: Call) -> int:
    """Pass on `/metrics` of the registry's debug port, and nothing else of it, until asked to end."""
    gc.enable()  # unlike other commands that change nothing, it stays
    debug_address = config.load(
        call.arguments.config or call.environ.get("GC_CONFIG"), call.environ
    ).http.debug_addr

    def metrics() -> Answer:
        content = metrics_of(debug_address)
        return Answer(content, "text/plain; version=0.0.4; charset=utf-8", 200 if content else 503)

    routes = {"/metrics": metrics, "/healthz": lambda: Answer(b"ok\n", TEXT)}
    if web.listen(call.arguments.port, routes, "metrics", own_machine_only=False) is None:
        raise RegistryError(f"the port {call.arguments.port} cannot be had: give another as --port")
    while True:
        call.clock.sleep(_DAY)
