"""Words -> a command and its arguments. Only the parser of the command that is asked for is made."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pruner import __version__
from pruner.cli.commands import COMMANDS, Command, load
from pruner.settings.table import TABLE

_FLAGS = frozenset(
    {"-h", "--help", "--version", "--all", "--digests", "--dry-run", "--record", "--summary", "--yes"}
)
"""Options that take no value: after any other, the next word is its value and not the command."""

_EITHER = "--record"
"""An option that takes a value for claim, and none for plan and run: what is not a command is its value."""

_EPILOG = """\
exit codes:
  0  done                          7  something could not be read: nothing was removed
  1  unforeseen                    8  another pruner is at work
  2  wrong usage                   9  a registry cannot be minded or did not come back
  3  wrong configuration          10  the clock jumped: the run was undone
  4  the storage is not there     12  something could not be written
  5  no registry's tree there     13  verify found problems
  6  a fuse: looks like a mistake  14  another's tree, or not the one it was
                                 143  asked to end: undone, or finished next time

Options may stand before the command too. Every option of a setting is also an environment variable, GC_ and
its name: --grace is GC_GRACE. Durations are seconds or such as 90s, 15m, 24h, 7d, 1h30m.
"""


def parser() -> argparse.ArgumentParser:
    """What `prune --help` shows: the commands, without the arguments of each."""
    root = argparse.ArgumentParser(
        prog="prune",
        description="Prunes the storage of a Docker registry while it runs, and loses no image.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"prune {__version__}")
    _add_shared(root, ("text", "json"))
    added = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help_text in COMMANDS.items():
        added.add_parser(name, help=help_text)
    return root


def command_parser(name: str, command: Command) -> argparse.ArgumentParser:
    """The parser of one command, with the settings that concern it and no others."""
    about = COMMANDS[name]
    made = argparse.ArgumentParser(
        prog=f"prune {name}",
        description=about[0].upper() + about[1:] + ".",
        epilog=_EPILOG if command.SETTINGS else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_shared(made, command.FORMS)
    command.add_arguments(made)
    if command.SETTINGS:
        settings = made.add_argument_group("settings")
        for setting in TABLE:
            if setting.part in command.SETTINGS:
                help_text = setting.help.replace("%", "%%")
                settings.add_argument(
                    setting.option, dest=setting.name, metavar=setting.metavar, help=help_text
                )
    return made


def _add_shared(made: argparse.ArgumentParser, forms: tuple[str, ...]) -> None:
    made.add_argument(
        "--config",
        metavar="FILE",
        help="the registry's config.yml (GC_CONFIG; default: where the registry itself looks)",
    )
    made.add_argument("--output", choices=forms, default="text", help="form of the result (default text)")


def parse(words: Sequence[str]) -> tuple[Command, argparse.Namespace]:
    """The command that `words` ask for, and its arguments, of which `command` is its name.

    Ends the process (SystemExit) for help, the version and wrong usage.
    """
    at = _place_of_command(words)
    if at is None or {"-h", "--help", "--version"} & set(words[:at]):
        parser().parse_args(words if at is None else words[:at])
        raise AssertionError("unreachable: a command is required")
    name = words[at]
    command = load(name)
    made = command_parser(name, command)
    arguments, rest = made.parse_known_args([*words[:at], *words[at + 1 :]])
    for word in rest:
        for setting in TABLE:
            if word.partition("=")[0] == setting.option:
                made.error(f"{setting.option} does not concern {name}: `prune {name} --help` lists what does")
    if rest:
        made.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.command = name
    return command, arguments


def _place_of_command(words: Sequence[str]) -> int | None:
    at = 0
    while at < len(words):
        word = words[at]
        if not word.startswith("-"):
            return at if word in COMMANDS else None
        takes_none = word in _FLAGS or "=" in word
        if word == _EITHER and at + 1 < len(words):
            takes_none = words[at + 1].startswith("-") or words[at + 1] in COMMANDS
        at += 1 if takes_none else 2
    return None
