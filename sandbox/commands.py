"""Runs other programs and turns their failures into sentences."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.errors import SandboxError


def run(
    command: Sequence[str | Path],
    *,
    what: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """Run to the end and return the standard output.

    `env` is added to this process's environment. Raises SandboxError, with the last lines that the program
    wrote, when it fails or is not there.
    """
    try:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise SandboxError(f"{what}: {command[0]} is not installed") from error
    if done.returncode != 0:
        last = " | ".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise SandboxError(f"{what}: {command[0]} ended with code {done.returncode}: {last or 'no output'}")
    return done.stdout
