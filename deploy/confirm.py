"""Asks before something of the user's is changed."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TextIO

from deploy.target import Target
from sandbox.errors import SandboxError

YES = ("y", "yes")


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How the user's consent is had: `given` beforehand (YES=1), else asked for on a terminal."""

    command: str
    given: bool
    answers: TextIO = sys.stdin

    def check(self, target: Target) -> None:
        """Raise SandboxError, before anything is touched, when nobody could be asked."""
        if not self.given and not os.isatty(self.answers.fileno()):
            raise SandboxError(
                f"this would change the cluster {target}, and there is no terminal to ask on: run"
                f" `{self.command} YES=1` to do it unasked, or `{self.command} SANDBOX=1` for a throw-away"
                " cluster; nothing was changed"
            )

    def ask(self, question: str) -> None:
        """Raise SandboxError unless the answer is yes."""
        if self.given:
            return
        print(f"\n{question} [y/N] ", end="", flush=True)
        if self.answers.readline().strip().lower() not in YES:
            raise SandboxError("not confirmed; nothing was changed")
