"""`prune serve`: the gc container's life."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys

from pruner.cli import loop
from pruner.cli.call import SERVED, Call
from pruner.cli.console import say
from pruner.clock import Stopped
from pruner.decide.fuses import check_storage
from pruner.errors import PrunerError
from pruner.observe.service import Service
from pruner.observe.surroundings import Watch
from pruner.registry.config import ca_file
from pruner.registry.renewal import Renewals
from pruner.settings.table import TABLE, Part
from pruner.sweep import state
from pruner.sweep.place import Place

SETTINGS: tuple[Part, ...] = ("serve", "run", "look", "trash", "storage", "observe")
FORMS = ("text", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""
    del parser


def changes(arguments: argparse.Namespace) -> bool:
    """Its runs do."""
    del arguments
    return True


def run(call: Call) -> int:
    """Prune for ever; each run is a process of its own, given what we were given."""
    place = call.place()
    clock = call.clock
    child: list[subprocess.Popen[bytes]] = []

    def stop(*_: object) -> None:
        clock.stop()
        for process in child:
            process.send_signal(signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    program = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv[1:])]
    output = ("--output", call.arguments.output)
    environ = _environ(call)

    ca = ca_file(call.environ)
    disk = place.storage.root if place.config.s3 is None else None
    watch = Watch(place.config, place.registry, clock, root=disk, ca=ca)
    service = Service(place.storage, place.settings, clock, watch, call.environ)
    service.start()

    def prune(*command: str) -> int:
        with (
            service.child() as (variables, pipes),
            subprocess.Popen(
                [sys.executable, *program, *command, *output],
                env={**environ, **variables},
                pass_fds=pipes,
                start_new_session=True,
            ) as process,
        ):
            child[:] = [process]
            try:
                clock.sleep(0)
            except Stopped:
                process.send_signal(signal.SIGTERM)  # we were asked when there was no child to ask yet
            code = process.wait()
            child.clear()
        return code

    def prune_once() -> int:
        service.begin()
        code = prune("run")
        service.finish(code)
        clock.sleep(0)
        return code

    def look() -> int:
        code = prune("plan", "--record")
        service.refresh()
        clock.sleep(0)
        return code

    renewals = Renewals(place.config, place.registry)

    def renew() -> None:
        for sentence in renewals.take_up():
            say(sentence)

    jobs = loop.Jobs(
        prepare=lambda: _prepare(place),
        run=prune_once,
        expire=lambda: prune("trash", "expire"),
        look=look,
        wait=service.wait,
        renew=renew,
    )
    return loop.serve(place.settings, clock, jobs)


def _environ(call: Call) -> dict[str, str]:
    """Our environment with our options as variables, so that each command takes what concerns it."""
    environ = {**call.environ, SERVED: "1"}
    if call.arguments.config:
        environ["GC_CONFIG"] = call.arguments.config
    for setting in TABLE:
        text = getattr(call.arguments, setting.name)
        if text is not None:
            environ[setting.variable] = text
    return environ


def _prepare(place: Place) -> None:
    """Close a read-only window that an earlier pruner left open, and take the reserved space.

    Under the lock, where there is a tree to lock: a run that is still at work needs its window.
    """
    try:
        has_tree = check_storage(place.storage, place.given, place.config, place.settings)
    except PrunerError:
        place.window.recover()
        raise
    if not has_tree:
        place.window.recover()
        return
    with state.locked(place.storage, place.clock):
        place.window.recover()
        with state.write_errors(place.storage, "no run has begun"):
            place.measured_time()
            state.reserve(place.storage)
