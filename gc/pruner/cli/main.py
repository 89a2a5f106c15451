"""`prune COMMAND`, or `python -m pruner COMMAND`: what every command has around it."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pruner.cli import line, output
from pruner.cli.call import Call
from pruner.cli.console import say, set_up_log
from pruner.clock import Stopped, SystemClock
from pruner.errors import PrunerError

STOPPED = Stopped.exit_code
"""The exit code of a command that was asked to end."""

_AGAIN = 0.2
"""Seconds after which a command that only reads is interrupted once more, if it is still there."""


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run one command; returns the exit code."""
    output.set_up()
    clock = SystemClock()
    anywhere: list[bool] = []

    def stop(*_: object) -> None:
        clock.stop()
        if anywhere:
            # Again, until it is out: a finalizer or a library's `except Exception` may swallow it here.
            signal.setitimer(signal.ITIMER_REAL, _AGAIN)
            raise Stopped("asked to end")

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, stop)
    command, arguments = line.parse(sys.argv[1:] if argv is None else argv)
    set_up_log(arguments.output)
    try:
        clock.sleep(0)
        if command.changes(arguments):
            gc.enable()  # it may work for hours; what only reads ends soon, and all that it makes stays
        else:
            gc.disable()
            anywhere.append(True)  # what changes something ends at its safe points: as it sleeps or reports
        return command.run(Call(command, arguments, environ, clock))
    except PrunerError as error:
        anywhere.clear()  # its last words are not to be interrupted
        return _fail(arguments.output, str(error), error.exit_code, getattr(error, "__notes__", []))
    except Stopped:
        anywhere.clear()
        signal.setitimer(signal.ITIMER_REAL, 0)
        changed = command.changes(arguments)
        fate = "what was begun is undone, or finished by the next run" if changed else "nothing was changed"
        return _fail(arguments.output, f"asked to end: {fate}", STOPPED, [])


def _fail(form: str, message: str, code: int, notes: list[str]) -> int:
    if form == "json":
        result: dict[str, Any] = {"error": {"message": message, "exit_code": code, "notes": notes}}
        with suppress(PrunerError):  # the log has it
            output.write(json.dumps(result))
    if output.is_terminal(sys.stderr):
        print(f"prune: {message}", *notes, sep="\n", file=sys.stderr)
    else:
        say(message, error=True, exit_code=code, **({"note": "; ".join(notes)} if notes else {}))
    return code
