"""What each command does, between the parsed command line and the engine."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from pruner.cli import loop
from pruner.cli.console import log, progress, say
from pruner.clock import RunTime, Stopped, SystemClock
from pruner.decide import fuses as safety
from pruner.decide.running import KubernetesApi, RunningImages, running_images
from pruner.decide.taken import Trashed
from pruner.delays import SETTLE
from pruner.errors import PrunerError, UsageError
from pruner.inspect.explain import explain
from pruner.inspect.report import Report, format_bytes
from pruner.inspect.usage import usage
from pruner.inspect.verify import verify
from pruner.registry import config as registry_config
from pruner.registry import readonly
from pruner.registry.process import RunningRegistry, ca_file
from pruner.settings.durations import format_moment
from pruner.settings.table import TABLE, read_settings
from pruner.storage import read_errors
from pruner.storage.filesystem import FileSystem
from pruner.sweep import run as pruning
from pruner.sweep import state, trash
from pruner.tree import layout
from pruner.tree.library import Library
from pruner.tree.scan import scan

PROBLEMS = 13
SERVED = "PRUNER_IS_SERVED"
"""Set in the environment of a command that `serve` started: its result is a log line, not a page."""


class _Result(Protocol):
    def to_json(self) -> dict[str, Any]: ...
    def text(self) -> str: ...


def _place(arguments: argparse.Namespace, environ: Mapping[str, str], clock: SystemClock) -> pruning.Place:
    options = {setting.name: getattr(arguments, setting.name) for setting in TABLE}
    settings = read_settings(options, environ)
    config = registry_config.load(arguments.config or environ.get("GC_CONFIG") or None, environ)
    registry = RunningRegistry(clock, ca=ca_file(environ))
    ask: Callable[[], RunningImages] | None = None
    if settings.protect_running:

        def ask_cluster() -> RunningImages:
            return running_images(KubernetesApi.of_pod(environ, clock))

        ask = ask_cluster
    # Closing a window must not be cut short by the SIGTERM that ends the run: a clock that nobody stops.
    window = pruning.Window(config.path, environ, RunningRegistry(SystemClock(), ca=ca_file(environ)))
    return pruning.Place(
        FileSystem(config.root), config.root, config, settings, clock, registry, window, ask, progress()
    )


def _show(arguments: argparse.Namespace, result: _Result) -> None:
    print(json.dumps(result.to_json(), indent=2) if arguments.output == "json" else result.text())


def run_once(arguments: argparse.Namespace, environ: Mapping[str, str], clock: SystemClock) -> int:
    """Prune once."""
    report = Report.of(pruning.run(_place(arguments, environ, clock)))
    if SERVED not in environ or arguments.output == "json":
        _show(arguments, report)
    if not sys.stderr.isatty():
        _log(report)
    return 0


def show_plan(arguments: argparse.Namespace, environ: Mapping[str, str], clock: SystemClock) -> int:
    """Plan, and change nothing."""
    report = Report.of(pruning.plan(_place(arguments, environ, clock)))
    if arguments.output == "text":
        for removal in report.removals:
            print(
                f"{removal.kind}\t{report.root}/{removal.path}\t{format_bytes(removal.bytes)}\t{removal.reason}"
            )
    _show(arguments, report)
    return 0


def _log(report: Report) -> None:
    summary = report.summary()
    fields = {key: summary[key] for key in ("removable_blobs", "removable_bytes", "seconds", *report.facts)}
    log.info(report.sentence(), extra={"fields": fields})
    for note in report.notes:
        say(note)


def serve_forever(arguments: argparse.Namespace, environ: Mapping[str, str], clock: SystemClock) -> int:
    """The gc container's life: every run is this same command line with `run` for `serve`."""
    place = _place(arguments, environ, clock)
    child: list[subprocess.Popen[bytes]] = []

    def stop(*_: object) -> None:
        clock.stop()
        for process in child:
            process.send_signal(signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)

    def prune(*command: str) -> int:
        words = list(sys.orig_argv[1:])
        at = words.index("serve")
        words[at : at + 1] = command
        with subprocess.Popen(
            [sys.executable, *words], env={**environ, SERVED: "1"}, start_new_session=True
        ) as process:
            child[:] = [process]
            try:
                clock.sleep(0)
            except Stopped:
                process.send_signal(signal.SIGTERM)  # we were asked when there was no child to tell yet
            code = process.wait()
            child.clear()
        clock.sleep(0)
        return code

    jobs = loop.Jobs(
        prepare=lambda: _prepare(place), run=lambda: prune("run"), expire=lambda: prune("trash", "expire")
    )
    return loop.serve(place.settings, clock, jobs)


def _prepare(place: pruning.Place) -> None:
    """Close a read-only window that an earlier pruner left open, and take the reserved space.

    Under the lock, where there is a tree to lock: a run that is still at work needs its window.
    """
    try:
        has_tree = safety.check_storage(place.storage, place.given, place.config, place.settings)
    except PrunerError:
        place.window.recover()
        raise
    if not has_tree:
        place.window.recover()
        return
    with state.locked(place.storage), state.write_errors(place.storage):
        place.window.recover()
        state.reserve(place.storage)


def explain_digest(arguments: argparse.Namespace, environ: Mapping[str, str], clock: SystemClock) -> int:
    """Explain one digest."""
    if not layout.is_digest(arguments.digest):
        raise UsageError(f"{arguments.digest!r} is no digest: give one such as sha256: and 64 hex digits")
    place = _place(arguments, environ, clock)
    look = place.look()
    if look is None:
        raise UsageError(f"{place.given} has no registry's tree yet: there is nothing to explain")
    with read_errors(place.storage):
        trashed = trash.listing(place.storage)
    _show(arguments, explain(look, trashed, place.settings.trash, arguments.digest))
    return 0


def show_usage(arguments: argparse.Namespace, environ: Mapping[str, str], clock: SystemClock) -> int:
    """Measure the storage."""
    place = _place(arguments, environ, clock)
    look = place.look()
    if look is None:
        raise UsageError(f"{place.given} has no registry's tree yet: there is nothing to measure")
    with read_errors(place.storage):
        in_trash = sum(blob.bytes for blob in trash.listing(place.storage))
        result = usage(look, place.storage, in_trash)
    _show(arguments, result)
    return 0


def verify_tree(arguments: argparse.Namespace, environ: Mapping[str, str], clock: SystemClock) -> int:
    """Check the tree; 13 when something is wrong."""
    place = _place(arguments, environ, clock)
    safety.check_storage(place.storage, place.given, place.config, place.settings)
    tree = scan(place.storage, clock, place.progress)
    with read_errors(place.storage):
        result = verify(
            tree, place.storage, Library(place.storage), digests=arguments.digests, progress=place.progress
        )
    _show(arguments, result)
    return PROBLEMS if result.problems else 0


class _TrashResult:
    def __init__(self, action: str, blobs: list[Trashed], links: int = 0) -> None:
        self.action = action
        self.blobs = blobs
        self.links = links

    def to_json(self) -> dict[str, Any]:
        """As JSON data; bytes and seconds are numbers."""
        blobs = [{"digest": blob.digest, "bytes": blob.bytes, "since": blob.since} for blob in self.blobs]
        return {
            "action": self.action,
            "blobs": blobs,
            "links": self.links,
            "bytes": sum(blob.bytes for blob in self.blobs),
        }

    def text(self) -> str:
        """As lines for a terminal."""
        lines = [
            f"{blob.digest}  {format_bytes(blob.bytes)}  since {format_moment(blob.since)}"
            for blob in self.blobs
        ]
        done = {"list": "in the trash", "restore": "restored"}.get(self.action, "purged")
        links = f" and {self.links} links" if self.links else ""
        total = format_bytes(sum(blob.bytes for blob in self.blobs))
        return "\n".join([*lines, f"{len(self.blobs)} blobs{links} {done}, {total}"])


def use_trash(arguments: argparse.Namespace, environ: Mapping[str, str], clock: SystemClock) -> int:
    """List, restore or purge."""
    place = _place(arguments, environ, clock)
    if arguments.action == "restore" and arguments.all == bool(arguments.digests):
        raise UsageError("trash restore needs digests, or --all")
    if arguments.action != "restore" and (arguments.all or arguments.digests):
        raise UsageError(f"trash {arguments.action} takes no digests: it is about the whole trash")
    has_tree = safety.check_storage(place.storage, place.given, place.config, place.settings)
    with read_errors(place.storage):
        listed = trash.listing(place.storage)
    if arguments.action == "list" or not has_tree:
        # Without a tree there is no trash, and no folder is made for one where a mount may be missing.
        _show(arguments, _TrashResult(arguments.action, listed))
        return 0
    with state.locked(place.storage), state.write_errors(place.storage):
        state.recover(place.storage, clock.now())
        if arguments.action in ("purge", "expire"):
            result = _TrashResult("purge", _purge(place, expired_only=arguments.action == "expire"))
        else:
            wanted = None if arguments.all else list(arguments.digests)
            result = _TrashResult("restore", *trash.restore(place.storage, wanted))
    if SERVED in environ:
        say(result.text().splitlines()[-1])
    else:
        _show(arguments, result)
    return 0


def _purge(place: pruning.Place, *, expired_only: bool) -> list[Trashed]:
    """Destroy the trash, or what has been there for long enough, after a look; what is wanted goes back."""
    least = max(place.settings.trash, SETTLE) if expired_only else 0.0
    batches = trash.batches(place.storage)
    if not batches:
        return []
    look = place.observer(RunTime(place.clock), Library(place.storage)).look()
    purged: list[Trashed] = []
    for batch in batches:
        if look.rules.now - trash.since_of(batch) < least:
            continue
        for blob in list(trash.blobs_of(place.storage, batch)):
            if blob.digest in look.marks.blobs:
                trash.restore_blob(place.storage, blob)
            else:
                purged.append(blob)
        trash.purge_batch(place.storage, batch)
    return purged


def init_config(arguments: argparse.Namespace, environ: Mapping[str, str], clock: SystemClock) -> int:
    """Copy the configuration into a folder of the pod's own."""
    del environ, clock
    readonly.init_config(arguments.source, arguments.target)
    return 0
