"""What people see while the pruner works: bars on a terminal, log lines (logfmt or JSON) elsewhere."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, TextIO

from pruner.cli import output
from pruner.tree.scan import Progress

log = logging.getLogger("pruner")


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


def progress() -> Progress:
    """Bars on a terminal; elsewhere one log line a phase."""
    if output.is_terminal(sys.stderr):
        return _Bars()
    return _Lines()


class _Bars:
    def __init__(self) -> None:
        from tqdm import tqdm  # only here: the loop's resident process need not hold it

        self._make = tqdm
        self._phase = ""
        self._bar: tqdm[Any] | None = None

    def __call__(self, phase: str, count: int) -> None:
        """Show that `phase` has seen `count` things so far."""
        if phase != self._phase or self._bar is None:
            if self._bar is not None:
                self._bar.close()
            self._phase = phase
            self._bar = self._make(desc=phase, unit="", file=sys.stderr, leave=False)
        self._bar.update(count - self._bar.n)


class _Lines:
    def __init__(self) -> None:
        self._phase = ""

    def __call__(self, phase: str, count: int) -> None:
        """Say once that `phase` began."""
        del count
        if phase != self._phase:
            self._phase = phase
            say("phase", phase=phase)
