"""Waiting until something real has happened, or saying what did not."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable


def until(
    true: Callable[[], object],
    seconds: float = 30,
    *,
    what: Callable[[], str] | str = "",
    process: subprocess.Popen[str] | None = None,
) -> None:
    """Wait until `true`; fails, saying `what`, when that takes too long or the `process` has ended."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what() if callable(what) else what}"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.01)
