"""Says what is being done and how long it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO


@dataclass(slots=True)
class Steps:
    """Prints each step with its seconds as it ends, and where the time went on request."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    began: float = field(default_factory=time.monotonic)
    taken: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])

    @contextmanager
    def step(self, what: str, usual: str | None = None) -> Generator[None]:
        """Time the body; a step that fails is printed as such and the failure goes on.

        `usual` is how long a long one takes, said when it begins.
        """
        if usual:
            self.note(f"{what}: this takes {usual}")
        start = time.monotonic()
        try:
            yield
        except BaseException:
            self._print(f"{what}: did not work", time.monotonic() - start)
            raise
        seconds = time.monotonic() - start
        self.taken.append((what, seconds))
        self._print(what, seconds)

    def note(self, text: str) -> None:
        """Print a line that is not a step."""
        print(text, file=self.out, flush=True)

    def close(self, what: str) -> None:
        """Print the total, and where it went when that is worth knowing."""
        total = time.monotonic() - self.began
        longest = sorted(self.taken, key=lambda step: -step[1])
        shares = ", ".join(
            f"{name} {seconds:.0f} s" for name, seconds in longest if seconds >= max(1, total / 50)
        )
        self.note(f"{what} in {total:.0f} s" + (f": {shares}" if shares else ""))

    def _print(self, what: str, seconds: float) -> None:
        print(f"[{time.monotonic() - self.began:7.1f} s] {what} ({seconds:.1f} s)", file=self.out, flush=True)
