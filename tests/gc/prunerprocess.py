"""The pruner as its users run it: a process with options and GC_* variables, judged by what it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).parents[2]
AT_ONCE = (
    "--grace",
    "0",
    "--untagged-after",
    "0",
    "--trash",
    "0",
    "--uploads-after",
    "0",
    "--max-fraction",
    "1",
)
"""Options with which a run removes for good, at once, whatever nothing refers to."""


class PrunerFailedError(AssertionError):
    """The pruner ended with an exit code that was not expected."""


@dataclass(frozen=True, slots=True)
class PrunerProcess:
    """Runs `python -m pruner` on the registry of `config`; `environment` comes on top of ours."""

    config: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    def command(self, verb: str, *options: str) -> list[str]:
        return [sys.executable, "-m", "pruner", verb, "--config", str(self.config), *options]

    def variables(self) -> dict[str, str]:
        """The process's environment: none of ours may reconfigure the pruner or the storage it looks for.

        The registries of the tests have a thread that starts them again, which the pruner cannot know.
        """
        ours = ("AWS_", "GC_", "REGISTRY_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return (
            kept
            | {"PYTHONPATH": str(ROOT / "gc"), "GC_PROTECT_RUNNING": "false", "GC_RESTART": "allowed"}
            | dict(self.environment)
        )

    def start(self, verb: str, *options: str) -> subprocess.Popen[str]:
        command = self.command(verb, *options)
        return subprocess.Popen(
            command, env=self.variables(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def finish(self, process: subprocess.Popen[str], *expected: int, timeout: float = 120) -> dict[str, Any]:
        """Wait for a started `--output json` process and read its report. Raises PrunerFailedError."""
        output, errors = process.communicate(timeout=timeout)
        if process.returncode not in (expected or (0,)):
            raise PrunerFailedError(
                f"{process.args}: exit code {process.returncode}\n{output[-2000:]}\n{errors[-4000:]}"
            )
        return cast(dict[str, Any], json.loads(output)) if output.strip() else {}

    def report(self, verb: str, *options: str, expected: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """What the verb reports as JSON."""
        return self.finish(self.start(verb, "--output", "json", *options), *expected)

    def prune_at_once(self, *options: str) -> dict[str, Any]:
        return self.report("run", *AT_ONCE, *options)
