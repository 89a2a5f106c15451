"""What each command does, between the parsed command line and the engine."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from pruner import config as registry_config
from pruner import layout, loop, readonly, safety, state, trash
from pruner import run as pruning
from pruner.clock import RunTime, Stopped, SystemClock
from pruner.cluster import KubernetesApi, RunningImages, running_images
from pruner.console import log, progress, say
from pruner.errors import ConfigError, PrunerError, ReadError
from pruner.explain import explain
from pruner.library import Library
from pruner.process import RunningRegistry, ca_file
from pruner.report import Report, format_bytes
from pruner.scan import scan
from pruner.settings import TABLE, read_settings
from pruner.storage.filesystem import FileSystem
from pruner.trash import Trashed
from pruner.usage import usage
from pruner.verify import verify

PROBLEMS = 13


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


@contextmanager
def _reading(place: pruning.Place) -> Generator[None]:
    """Turns what the operating system refuses to a command that only reads into a ReadError."""
    try:
        yield
    except OSError as error:
        raise ReadError(
            f"{error.filename or place.given} could not be read ({error.strerror or error}): "
            "mend the storage and ask again"
        ) from error


def _show(arguments: argparse.Namespace, result: _Result) -> None:
    print(json.dumps(result.to_json(), indent=2) if arguments.output == "json" else result.text())


def run_once(arguments: argparse.Namespace, environ: Mapping[str, str], clock: SystemClock) -> int:
    """Prune once."""
    report = pruning.run(_place(arguments, environ, clock))
    _show(arguments, report)
    _log(report)
    return 0


def show_plan(arguments: argparse.Namespace, environ: Mapping[str, str], clock: SystemClock) -> int:
    """Plan, and change nothing."""
    report = pruning.plan(_place(arguments, environ, clock))
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
    words = list(sys.orig_argv[1:])
    words[words.index("serve")] = "run"
    child: list[subprocess.Popen[bytes]] = []

    def stop(*_: object) -> None:
        clock.stop()
        for process in child:
            process.send_signal(signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)

    def run() -> int:
        with subprocess.Popen([sys.executable, *words], start_new_session=True) as process:
            child[:] = [process]
            try:
                clock.sleep(0)
            except Stopped:
                process.send_signal(signal.SIGTERM)  # we were asked when there was no child to tell yet
            code = process.wait()
            child.clear()
        clock.sleep(0)
        return code

    return loop.serve(place.settings, clock, lambda: _prepare(place), run)


def _prepare(place: pruning.Place) -> None:
    place.window.recover()
    if safety.check_storage(place.storage, place.given, place.config, place.settings):
        with state.locked(place.storage), state.write_errors(place.storage):
            state.reserve(place.storage)


def explain_digest(arguments: argparse.Namespace, environ: Mapping[str, str], clock: SystemClock) -> int:
    """Explain one digest."""
    if not layout.is_digest(arguments.digest):
        raise ConfigError(f"{arguments.digest!r} is no digest: give one such as sha256: and 64 hex digits")
    place = _place(arguments, environ, clock)
    look = place.look()
    if look is None:
        raise PrunerError(f"{place.given} has no registry's tree yet: there is nothing to explain")
    with _reading(place):
        trashed = trash.listing(place.storage)
    _show(arguments, explain(look, Library(place.storage), trashed, arguments.digest))
    return 0


def show_usage(arguments: argparse.Namespace, environ: Mapping[str, str], clock: SystemClock) -> int:
    """Measure the storage."""
    place = _place(arguments, environ, clock)
    look = place.look()
    if look is None:
        raise PrunerError(f"{place.given} has no registry's tree yet: there is nothing to measure")
    with _reading(place):
        in_trash = sum(blob.bytes for blob in trash.listing(place.storage))
        result = usage(look, place.storage, Library(place.storage), in_trash)
    _show(arguments, result)
    return 0


def verify_tree(arguments: argparse.Namespace, environ: Mapping[str, str], clock: SystemClock) -> int:
    """Check the tree; 13 when something is wrong."""
    place = _place(arguments, environ, clock)
    safety.check_storage(place.storage, place.given, place.config, place.settings)
    tree = scan(place.storage, clock, place.progress)
    with _reading(place):
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
        lines = [f"{blob.digest}  {format_bytes(blob.bytes)}" for blob in self.blobs]
        done = {"list": "in the trash", "restore": "restored", "purge": "purged"}[self.action]
        links = f" and {self.links} links" if self.links else ""
        total = format_bytes(sum(blob.bytes for blob in self.blobs))
        return "\n".join([*lines, f"{len(self.blobs)} blobs{links} {done}, {total}"])


def use_trash(arguments: argparse.Namespace, environ: Mapping[str, str], clock: SystemClock) -> int:
    """List, restore or purge."""
    place = _place(arguments, environ, clock)
    if arguments.action == "restore" and not (arguments.all or arguments.digests):
        raise ConfigError("trash restore needs digests, or --all")
    has_tree = safety.check_storage(place.storage, place.given, place.config, place.settings)
    with _reading(place):
        listed = trash.listing(place.storage)
    if arguments.action == "list" or not has_tree:
        # Without a tree there is no trash, and no folder is made for one where a mount may be missing.
        _show(arguments, _TrashResult(arguments.action, listed))
        return 0
    with state.locked(place.storage), state.write_errors(place.storage):
        state.recover(place.storage, clock.now())
        if arguments.action == "purge":
            look = place.observer(RunTime(clock), Library(place.storage)).look()
            for blob in trash.listing(place.storage):
                if blob.digest in look.marks.blobs:
                    trash.restore_blob(place.storage, blob)
            purged = trash.listing(place.storage)
            for batch in trash.batches(place.storage):
                trash.purge_batch(place.storage, batch)
            _show(arguments, _TrashResult("purge", purged))
        else:
            wanted = None if arguments.all else list(arguments.digests)
            blobs, links = trash.restore(place.storage, wanted)
            _show(arguments, _TrashResult("restore", blobs, links))
    return 0


def init_config(arguments: argparse.Namespace, environ: Mapping[str, str], clock: SystemClock) -> int:
    """Copy the configuration into a folder of the pod's own."""
    del environ, clock
    readonly.init_config(arguments.source, arguments.target)
    return 0
