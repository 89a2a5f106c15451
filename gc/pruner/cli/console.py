"""What people see while the pruner works: bars on a terminal, log lines (logfmt or JSON) elsewhere."""

from __future__ import annotations

import json
import logging
import select
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from pruner.cli import output
from pruner.clock import Clock
from pruner.delays import PROGRESS_LINE
from pruner.settings.durations import format_duration

log = logging.getLogger("pruner")

_GLANCE = 0.2
"""Seconds between two looks whether the process was asked to end, while a person thinks."""


def say(message: str, /, *, error: bool = False, **fields: Any) -> None:
    """One log line: a message and fields with bare values (numbers, short texts)."""
    log.log(logging.ERROR if error else logging.INFO, message, extra={"fields": fields})


class _Logfmt(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """`time=... level=... msg="..." key=value`, as the registry beside us logs."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        fields: dict[str, Any] = getattr(record, "fields", {})
        pairs = {"time": moment, "level": record.levelname.lower(), "msg": record.getMessage(), **fields}
        return " ".join(f"{key}={_logfmt_value(value)}" for key, value in pairs.items())


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One JSON object a line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        fields: dict[str, Any] = getattr(record, "fields", {})
        pairs = {"time": moment, "level": record.levelname.lower(), "msg": record.getMessage(), **fields}
        return json.dumps(pairs)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines while there is somebody to read them: a closed or full standard error ends no command."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (its name in the library)
        """Hear what interrupted the line; let a line that could not be written go."""
        del record
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            raise error


def _logfmt_value(value: Any) -> str:
    text = str(value)
    return json.dumps(text) if not text or any(char in text for char in ' "=\n') else text


def set_up_log(form: str) -> None:
    """Log to standard error, in the form that goes with `form`; standard output is for results."""
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison] (`2>&-` makes it so)
        log.handlers[:] = [logging.NullHandler()]
        return
    handler = _Handler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Logfmt())
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False


def ask(question: str, clock: Clock) -> bool:
    """Whether the person at the terminal answers yes; raises Stopped when asked to end meanwhile."""
    print(f"{question} [yes/no] ", end="", file=sys.stderr, flush=True)
    while not select.select([sys.stdin], [], [], _GLANCE)[0]:
        clock.sleep(0)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


class Progress(Protocol):
    """What shows how far long work is."""

    def __call__(self, phase: str, count: int, total: int = 0, /) -> None:
        """Show that `phase` has seen `count` things so far, of `total` where that is known (0: it is not)."""
        ...

    def waiting(self, left: float) -> None:
        """Show that the phase sleeps, and for how many seconds more."""
        ...


def progress() -> Progress:
    """Bars on a terminal; elsewhere a log line a phase, and one now and then in a phase that takes long."""
    if output.is_terminal(sys.stderr):
        return _Bars()
    return Lines(time.monotonic)


class _Bars:
    def __init__(self) -> None:
        from tqdm import tqdm  # only here: the loop's resident process need not hold it

        self._make = tqdm
        self._phase = ""
        self._bar: tqdm[Any] | None = None

    def __call__(self, phase: str, count: int, total: int = 0, /) -> None:
        """Show count and rate, and with a total what remains."""
        if phase != self._phase or self._bar is None:
            if self._bar is not None:
                self._bar.close()
            self._phase = phase
            known = total or None
            self._bar = self._make(
                desc=phase, total=known, unit="", unit_scale=bool(known), file=sys.stderr, leave=False
            )
        self._bar.update(count - self._bar.n)

    def waiting(self, left: float) -> None:
        """Count down."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"{format_duration(left)} left")


class Lines:
    """Log lines: the first word of each phase, and further ones every `PROGRESS_LINE` seconds."""

    def __init__(self, steady: Callable[[], float]) -> None:
        """`steady` is a clock that never jumps, in seconds."""
        self._steady = steady
        self._phase = ""
        self._began = self._next = 0.0

    def __call__(self, phase: str, count: int, total: int = 0, /) -> None:
        """Say that `phase` began, and now and then how far it is."""
        now = self._steady()
        if phase != self._phase:
            self._phase = phase
            self._began, self._next = now, now + PROGRESS_LINE
            say("phase", phase=phase)
        elif now >= self._next:
            self._next = now + PROGRESS_LINE
            rate = count / (now - self._began)
            known: dict[str, Any] = {}
            if total and rate:
                known = {"total": total, "left": format_duration((total - count) / rate)}
            say("progress", phase=phase, count=count, per_second=round(rate), **known)

    def waiting(self, left: float) -> None:
        """Say now and then how long the phase still sleeps."""
        now = self._steady()
        if now >= self._next:
            self._next = now + PROGRESS_LINE
            say("progress", phase=self._phase, left=format_duration(left))
