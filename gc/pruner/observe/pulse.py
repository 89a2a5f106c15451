"""How `serve` hears from the run it started: lines on a pipe that say which phase the run is in.

The run never waits for a reader: what does not fit into the pipe is not said.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

VARIABLE = "PRUNER_PULSE"
"""Names the pipe's descriptor in the environment of a command that `serve` started."""

_EVERY = 1.0  # seconds between two lines about one phase


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life: the phase, and how much of it is done."""

    phase: str
    count: int


Tell = Callable[[str, int], None]


def teller(environ: Mapping[str, str]) -> Tell:
    """Tells who started this process what it is at; nobody, when nobody listens."""
    text = environ.get(VARIABLE, "")
    try:
        pipe = int(text)
        os.set_blocking(pipe, False)
    except (ValueError, OSError):
        return lambda _phase, _count: None
    said = ["", 0.0]

    def tell(phase: str, count: int) -> None:
        now = time.monotonic()
        if phase == said[0] and now - float(said[1]) < _EVERY:
            return
        said[:] = [phase, now]
        with suppress(OSError):  # full, or nobody listens any more: the run goes on
            os.write(pipe, json.dumps([phase[:100], count]).encode() + b"\n")

    return tell


class Pulse:
    """Listens to one child at a time; `heard` is called in a thread of its own for every line."""

    def __init__(self, heard: Callable[[Beat], None]) -> None:
        self._heard = heard

    def pipe(self) -> int:
        """A new pipe's end for a child to inherit; the caller closes it once the child has it."""
        reading, writing = os.pipe()
        threading.Thread(target=self._listen, args=(reading,), name="pulse", daemon=True).start()
        return writing

    def _listen(self, reading: int) -> None:
        with open(reading, "rb") as lines:
            for line in lines:
                try:
                    phase, count = json.loads(line)
                    self._heard(Beat(str(phase), int(count)))
                except (ValueError, TypeError):
                    continue
