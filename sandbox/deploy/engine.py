"""Runs Pulumi's command line on one stack."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError


@dataclass(frozen=True, slots=True)
class Engine:
    """Pulumi on one `stack` of the project in the folder `project`.

    `environment` is the whole environment of its processes. With `quiet` the engine's own words are kept and
    shown only with a failure.
    """

    program: Path
    project: Path
    environment: Mapping[str, str]
    stack: str
    quiet: bool = False

    @property
    def config_file(self) -> Path:
        """The stack's configuration, written by `configure`."""
        return self.project / f"Pulumi.{self.stack}.yaml"

    def select(self) -> None:
        """Create the stack if it is not there."""
        self._ask("stack", "select", "--create", "--stack", self.stack)

    def configure(self, values: Mapping[str, str]) -> None:
        """Set the values in the stack's configuration; a key may be a path such as `storage.path`."""
        pairs = [word for key, value in values.items() for word in ("--plaintext", f"{key}={value}")]
        if pairs:
            self._ask("config", "set-all", "--stack", self.stack, "--path", *pairs)

    def up(self) -> str:
        """Deploy; returns what the engine said when it is quiet."""
        return self._do("up", "--yes", "--skip-preview", "--suppress-outputs")

    def preview(self) -> str:
        """Say what `up` would do."""
        return self._do("preview")

    def destroy(self) -> str:
        """Remove everything that the stack declared."""
        return self._do("destroy", "--yes", "--skip-preview")

    def remove(self) -> None:
        """Forget a stack that was destroyed, with its configuration."""
        self._ask("stack", "rm", "--yes", "--stack", self.stack)

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, without its secrets."""
        return json.loads(self._ask("stack", "output", "--json", "--stack", self.stack))

    def stacks(self) -> list[str]:
        """The stacks of the project."""
        return [found["name"] for found in json.loads(self._ask("stack", "ls", "--json"))]

    def _do(self, *words: str) -> str:
        said: list[str] = []
        # An engine that outlived its caller would go on changing what the next call finds half-made.
        die_along = ["setpriv", "--pdeathsig=KILL"] if shutil.which("setpriv") else []
        command = [
            *die_along,
            str(self.program),
            *words,
            "--stack",
            self.stack,
            "--non-interactive",
            "--color=never",
        ]
        with subprocess.Popen(
            command,
            cwd=self.project,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    said.append(line)
                    if not self.quiet:
                        print(f"    {line}", end="", file=sys.stdout, flush=True)
            except KeyboardInterrupt:
                # The terminal told the engine too, and a second time would make it drop what it has begun.
                process.wait()
                raise
        text = "".join(said)
        if process.returncode != 0:
            told = text if self.quiet else ""
            raise SandboxError(
                f"`pulumi {words[0]}` on stack {self.stack} failed: {_reason(text)}\n{told}".rstrip()
            )
        return text

    def _ask(self, *words: str) -> str:
        done = subprocess.run(
            [str(self.program), *words, "--non-interactive"],
            cwd=self.project,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            raise SandboxError(f"`pulumi {' '.join(words[:2])}` failed: {done.stderr.strip()}")
        return done.stdout


def environment_with(extra: Mapping[str, str], folders: Sequence[Path] = ()) -> dict[str, str]:
    """This process's environment with `extra`, and with `folders` first on PATH."""
    path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath)])
    return {**os.environ, **extra, "PATH": path}


def _reason(text: str) -> str:
    """The first line of the engine's words that says what went wrong."""
    lines = [line.strip() for line in text.splitlines()]
    return next((line.partition("error: ")[2] for line in lines if "error: " in line), "its words are above")
