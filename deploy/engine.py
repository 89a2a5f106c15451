"""Runs Pulumi's command line on one stack."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.display import Display
from sandbox.errors import SandboxError


@dataclass(frozen=True, slots=True)
class Engine:
    """Pulumi on one `stack` of the project in the folder `project`.

    `environment` is the whole environment of its processes. With `quiet` its lines are shown only with a
    failure. Warnings that `hush` matches are left out.
    """

    program: Path
    project: Path
    environment: Mapping[str, str]
    stack: str
    quiet: bool = False
    hush: re.Pattern[str] | None = None

    @property
    def config_file(self) -> Path:
        """The stack's configuration, written by `configure`."""
        return self.project / f"Pulumi.{self.stack}.yaml"

    def select(self) -> None:
        """Create the stack if it is not there."""
        self._ask("stack", "select", "--create", "--stack", self.stack)

    def exists(self) -> bool:
        """Whether there is such a stack; a backend that cannot be read is an error."""
        done = self._run("stack", "output", "--json", "--stack", self.stack)
        if done.returncode != 0 and "no stack named" not in done.stderr:
            raise SandboxError(f"`pulumi stack output` failed: {done.stderr.strip()}")
        return done.returncode == 0

    def settings(self) -> dict[str, str]:
        """The stack's configuration, providers' included; its secrets too, which are not to be shown."""
        found = json.loads(self._ask("config", "--json", "--show-secrets", "--stack", self.stack))
        return {key: entry["value"] for key, entry in found.items() if entry.get("value") is not None}

    def configure(self, values: Mapping[str, str]) -> None:
        """Set the values in the stack's configuration; a key may be a path such as `storage.path`.

        What is never to be shown is kept encrypted.
        """
        # The program's own lists, which need the SDK's packages: known only once the tools are there.
        from docker_registry_stack.accepted import camel_case
        from docker_registry_stack.args import SECRETS
        from docker_registry_stack.config import SECRET

        hidden = set(map(camel_case, SECRETS))
        pairs: list[str] = []
        for key, value in values.items():
            key_itself, *within = re.split(r"[.\[]", key)
            is_secret = bool(hidden & {key_itself, *within}) if within else key_itself in SECRET
            pairs += ["--secret" if is_secret else "--plaintext", f"{key}={value}"]
        if pairs:
            self._ask("config", "set-all", "--stack", self.stack, "--path", *pairs)

    def up(self) -> str:
        """Deploy; returns the lines that were shown, also when the engine is quiet."""
        return self._do("up", "--yes", "--skip-preview", "--suppress-outputs")

    def refresh(self) -> str:
        """Take into the state what the cluster has; returns what was shown."""
        return self._do("refresh", "--yes", "--skip-preview", "--suppress-outputs")

    def preview(self) -> str:
        """Say what `up` would do."""
        return self._do("preview", "--suppress-outputs")

    def destroy(self) -> str:
        """Remove everything that the stack declared."""
        return self._do("destroy", "--yes", "--skip-preview", "--suppress-outputs")

    def preview_destroy(self) -> str:
        """Say what `destroy` would do."""
        return self._do("destroy", "--preview-only", "--suppress-outputs")

    def remove(self) -> None:
        """Forget a stack that was destroyed, with its configuration."""
        self._ask("stack", "rm", "--yes", "--stack", self.stack)

    def outputs(self, *, secrets: bool = False) -> dict[str, Any]:
        """The stack's outputs; its secrets only if they are asked for, which are not to be shown."""
        more = ["--show-secrets"] if secrets else []
        return json.loads(self._ask("stack", "output", "--json", *more, "--stack", self.stack))

    def stacks(self) -> list[str]:
        """The stacks of the project."""
        return [found["name"] for found in json.loads(self._ask("stack", "ls", "--json"))]

    def _do(self, *words: str) -> str:
        """Run one operation, telling its events as they come."""
        display, told = Display(self.hush), list[str]()
        # An engine that outlived its caller would go on changing what the next call finds half-made.
        die_along = ["setpriv", "--pdeathsig=KILL"] if shutil.which("setpriv") else []
        with tempfile.TemporaryDirectory() as folder:
            events, own = Path(folder) / "events", Path(folder) / "words"
            flags = [f"--stack={self.stack}", "--non-interactive", "--color=never", f"--event-log={events}"]
            with (
                own.open("wb") as out,
                subprocess.Popen(
                    [*die_along, str(self.program), *words, *flags],
                    cwd=self.project,
                    # The engine hides the flag from those who do not write tools around it.
                    env={**self.environment, "PULUMI_DEBUG_COMMANDS": "true"},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                ) as process,
            ):
                try:
                    for event in _events(events, process):
                        for line in display.lines(event):
                            told.append(line)
                            if not self.quiet:
                                print(f"    {line}", flush=True)
                except KeyboardInterrupt:
                    # The terminal told the engine too; told twice, it would drop what it has begun.
                    process.wait()
                    raise
            if process.returncode != 0:
                why = _why(display.errors, told if self.quiet else [], own.read_text(errors="replace"))
                raise SandboxError(f"`pulumi {words[0]}` on stack {self.stack} failed: {why}")
        return "\n".join(told)

    def _ask(self, *words: str) -> str:
        done = self._run(*words)
        if done.returncode != 0:
            raise SandboxError(f"`pulumi {' '.join(words[:2])}` failed: {done.stderr.strip()}")
        return done.stdout

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.program), *words, "--non-interactive"],
            cwd=self.project,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )


def environment_with(extra: Mapping[str, str], folders: Sequence[Path] = ()) -> dict[str, str]:
    """This process's environment with `extra`, and with `folders` first on PATH."""
    path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath)])
    return {**os.environ, **extra, "PATH": path}


def _events(path: Path, process: subprocess.Popen[bytes]) -> Iterator[Mapping[str, Any]]:
    """The engine's events as it writes them to `path`, until it has ended."""
    rest = b""
    path.touch(mode=0o600)
    with path.open("rb") as log:
        while True:
            ended = process.poll() is not None
            while part := log.readline():
                rest += part
                if rest.endswith(b"\n"):
                    yield json.loads(rest)
                    rest = b""
            if ended:
                return
            time.sleep(0.1)


def _why(errors: Sequence[str], untold: Sequence[str], words: str) -> str:
    """The first error, and what was not shown yet."""
    if errors:
        return "\n".join([errors[0], *untold])
    # What is wrong before there are events, such as a locked state, is in the engine's own words.
    lines = [line.strip() for line in words.splitlines()]
    first = next((line.partition("error: ")[2] for line in lines if "error: " in line), "it says")
    return "\n".join([first, *untold, words.strip()])
