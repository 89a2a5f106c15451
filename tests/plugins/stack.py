"""A Pulumi stack of an inline program on the real engine, with the sandbox's plugins and its own state."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pulumi import automation

# What stands for "nothing was done" among the engine's operations.
SAME = "same"


@dataclass(frozen=True, slots=True)
class Run:
    """What a run did: resource name -> operation, stack output -> value, and all that was displayed."""

    operations: Mapping[str, str]
    outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    secrets: frozenset[str] = frozenset()
    display: str = ""

    @property
    def changed(self) -> dict[str, str]:
        """The operations that changed something."""
        return {name: operation for name, operation in self.operations.items() if operation != SAME}


class Failed(Exception):
    """A run failed; the text is all that was displayed."""


class Stack:
    """One stack. Resources are told apart by name, so a program's resources need names of their own."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._selected: automation.Stack | None = None
        self._state = folder / "state"
        self._state.mkdir()
        self.environment = {
            "PULUMI_BACKEND_URL": f"file://{self._state}",
            "PULUMI_CONFIG_PASSPHRASE": "",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            **environment,
        }

    def preview(self, program: Callable[[], None]) -> Run:
        """Run `pulumi preview`."""
        seen = _Seen()
        stack = self._stack(program)
        self._explained(lambda: stack.preview(on_output=seen.output, on_event=seen.event), seen)
        return Run(seen.operations, display=seen.text)

    def up(self, program: Callable[[], None]) -> Run:
        """Run `pulumi up`."""
        seen = _Seen()
        stack = self._stack(program)
        result = self._explained(lambda: stack.up(on_output=seen.output, on_event=seen.event), seen)
        return Run(
            seen.operations,
            {name: output.value for name, output in result.outputs.items()},
            frozenset(name for name, output in result.outputs.items() if output.secret),
            seen.text,
        )

    def refresh(self, program: Callable[[], None]) -> None:
        """Run `pulumi refresh`."""
        seen = _Seen()
        stack = self._stack(program)
        self._explained(lambda: stack.refresh(on_output=seen.output), seen)

    def destroy(self) -> None:
        """Run `pulumi destroy`."""
        seen = _Seen()
        stack = self._stack(lambda: None)
        self._explained(lambda: stack.destroy(on_output=seen.output), seen)

    def state(self) -> dict[str, Any]:
        """Resource name -> its entry in the engine's state, as it lies on disk."""
        file = self._state / ".pulumi" / "stacks" / "plugins" / "test.json"
        if not file.exists():
            return {}
        latest: Any = json.loads(file.read_text())["checkpoint"]["latest"]
        entries: list[Any] = latest.get("resources", []) if latest else []
        return {entry["urn"].rsplit("::", 1)[1]: entry for entry in entries}

    def _stack(self, program: Callable[[], None]) -> automation.Stack:
        if self._selected is None:
            options = automation.LocalWorkspaceOptions(env_vars=self.environment)
            self._selected = automation.create_or_select_stack("test", "plugins", program, opts=options)
        self._selected.workspace.env_vars = dict(self.environment)
        self._selected.workspace.program = program
        return self._selected

    @staticmethod
    def _explained(run: Callable[[], Any], seen: _Seen) -> Any:
        try:
            return run()
        except automation.CommandError as error:
            raise Failed(seen.text) from error
        finally:
            _forget_what_was_cut_off()


def _forget_what_was_cut_off() -> None:
    """Drop the program that the engine cut off when a resource failed.

    Its coroutine complains on being dropped that no loop runs any more: better here than amid the next test.
    """
    shown = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        gc.collect()
    finally:
        sys.unraisablehook = shown


class _Seen:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.operations: dict[str, str] = {}

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def output(self, line: str) -> None:
        self.lines.append(line)

    def event(self, event: automation.EngineEvent) -> None:
        before = event.resource_pre_event
        if before is None or before.metadata.type.startswith(("pulumi:pulumi:", "pulumi:providers:")):
            return
        name, operation = before.metadata.urn.rsplit("::", 1)[1], before.metadata.op.value
        # A replacement is several steps, of which the first two names say how it is carried out.
        if not (name in self.operations and "replac" in self.operations[name]):
            self.operations[name] = operation
