"""The command line: `prune COMMAND`, or `python -m pruner COMMAND`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pruner.cli import commands
from pruner.cli.console import say, set_up_log
from pruner.clock import Stopped, SystemClock
from pruner.errors import PrunerError
from pruner.settings.table import TABLE

STOPPED = 143
_EPILOG = """\
exit codes:
  0  done                          7  something could not be read: nothing was removed
  1  unforeseen                    8  another pruner is at work
  2  wrong usage                   9  the registry was not found or did not come back
  3  wrong configuration          10  the clock jumped: the run was undone
  4  the storage is not there     12  something could not be written
  5  no registry's tree there     13  verify found problems
  6  a fuse: looks like a mistake
                                 143  asked to end: undone, or finished next time

Every option of a setting is also an environment variable, GC_ and its name: --grace is GC_GRACE.
Durations are seconds or such as 90s, 15m, 24h, 7d, 1h30m.
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line, for main and for the documentation."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--config",
        metavar="FILE",
        help="the registry's config.yml (GC_CONFIG; default: where the registry itself looks)",
    )
    shared.add_argument("--output", choices=("text", "json"), default="text", help="form of the result")
    settings = shared.add_argument_group("settings")
    for setting in TABLE:
        settings.add_argument(
            setting.option, dest=setting.name, metavar=setting.metavar, help=setting.help.replace("%", "%%")
        )
    root = argparse.ArgumentParser(
        prog="prune",
        description="Prunes the storage of a Docker registry while it runs, and loses no image.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[..., int], help_text: str) -> argparse.ArgumentParser:
        command = added.add_parser(
            name,
            parents=[shared],
            help=help_text,
            description=help_text[0].upper() + help_text[1:] + ".",
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=run)
        return command

    add("serve", commands.serve_forever, "wait, prune, sleep, for ever; SIGTERM ends it at a safe point")
    add("run", commands.run_once, "prune once, and report what was removed")
    add("plan", commands.show_plan, "list exactly what run would remove now, and change nothing")
    explain = add("explain", commands.explain_digest, "say who refers to a digest and what becomes of it")
    explain.add_argument("digest", metavar="DIGEST", help="such as sha256:0123…")
    add("usage", commands.show_usage, "show tags, manifests and bytes of every repository")
    verify = add(
        "verify", commands.verify_tree, "check that everything that is linked is there; change nothing"
    )
    verify.add_argument("--digests", action="store_true", help="read and hash every blob too")
    trash = add("trash", commands.use_trash, "list, restore, purge or expire what was removed")
    trash.add_argument(
        "action",
        choices=("list", "restore", "purge", "expire"),
        help="purge destroys all that is in the trash, expire what has been there for its time",
    )
    trash.add_argument("digests", nargs="*", metavar="DIGEST", help="restore: these, with all they need")
    trash.add_argument("--all", action="store_true", help="restore: everything")
    init = added.add_parser(
        "init-config", help="copy the registry's configuration to where it can be rewritten"
    )
    init.add_argument("source")
    init.add_argument("target")
    init.set_defaults(run=commands.init_config, config=None, output="text")
    return root


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run one command; returns the exit code."""
    arguments = parser().parse_args(argv)
    set_up_log(arguments.output)
    clock = SystemClock()

    def stop(*_: object) -> None:
        clock.stop()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        return arguments.run(arguments, environ, clock)
    except PrunerError as error:
        return _fail(arguments, str(error), error.exit_code, getattr(error, "__notes__", []))
    except Stopped:
        return _fail(
            arguments, "asked to end: what was begun is undone, or finished by the next run", STOPPED, []
        )


def _fail(arguments: argparse.Namespace, message: str, code: int, notes: list[str]) -> int:
    if arguments.output == "json":
        result: dict[str, Any] = {"error": {"message": message, "exit_code": code, "notes": notes}}
        print(json.dumps(result))
    if sys.stderr.isatty():
        print(f"prune: {message}", *notes, sep="\n", file=sys.stderr)
    else:
        say(message, error=True, exit_code=code, **({"note": "; ".join(notes)} if notes else {}))
    return code
