"""A pruner killed at any line of the read-only window, or of the recovery, leaves a writable registry."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pruner.errors import RegistryError
from pruner.registry import readonly
from pruner.registry.config import RegistryConfig, parse
from pruner.registry.readonly import enter, leave, recover

TEXT = b"version: 0.1\nstorage: {filesystem: {rootdirectory: /data}}\nhttp: {addr: ':5000'}\n"
KILLED = 137


class Machine:
    """A registry whose state outlives the pruner: `running` holds the configuration it read, if it runs."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "config.yml"
        self.running = folder / "state" / "running"
        self.running.parent.mkdir()
        self.config.write_bytes(TEXT)
        self.start()

    def start(self) -> None:
        """As the kubelet does when the registry ended."""
        if not self.running.exists():
            self.running.write_bytes(self.config.read_bytes())

    def present(self, _config: RegistryConfig) -> bool:
        return self.running.exists()

    def restart(self, _config: RegistryConfig) -> None:
        self.running.unlink(missing_ok=True)
        self.start()

    def takes_writes(self, _config: RegistryConfig) -> bool:
        if not self.running.exists():
            raise RegistryError("no answer")
        return not parse(self.running.read_bytes(), "running", {}).readonly


def lines(step: int, act: Callable[[], None]) -> bool:
    """Run `act` in a process that is killed before the `step`th line of ours; whether it came to that."""
    child = os.fork()
    if child == 0:
        watched, seen = {readonly.__file__, __file__}, 0

        def trace(frame: FrameType, event: str, _argument: Any) -> Any:
            nonlocal seen
            if frame.f_code.co_filename not in watched:
                return None
            if event == "line":
                seen += 1
                if seen == step:
                    os._exit(KILLED)
            return trace

        code = 1
        try:
            sys.settrace(trace)
            act()
            code = 0
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, KILLED)
    return status == KILLED


@pytest.mark.parametrize("kubelet", ["at once", "later"])
def test_killed_anywhere_and_started_again_it_is_writable(tmp_path: Path, kubelet: str) -> None:
    step, kills = 0, 0
    while True:
        step += 1
        folder = tmp_path / str(step)
        folder.mkdir()
        machine = Machine(folder)

        def window(machine: Machine = machine) -> None:
            enter(str(machine.config), {}, machine)
            leave(str(machine.config), {}, machine)

        if not lines(step, window):
            break
        kills += 1
        if kubelet == "at once":
            machine.start()
        recover(str(machine.config), {}, machine)
        machine.start()
        proves_writable(machine)
    assert kills > 80


@pytest.mark.parametrize("kubelet", ["at once", "later"])
def test_killed_while_it_recovers_it_recovers_the_next_time(tmp_path: Path, kubelet: str) -> None:
    step, kills = 0, 0
    while True:
        step += 1
        folder = tmp_path / str(step)
        folder.mkdir()
        machine = Machine(folder)
        enter(str(machine.config), {}, machine)

        def closing(machine: Machine = machine) -> None:
            recover(str(machine.config), {}, machine)

        if not lines(step, closing):
            break
        kills += 1
        if kubelet == "at once":
            machine.start()
        recover(str(machine.config), {}, machine)
        machine.start()
        proves_writable(machine)
    assert kills > 25


def proves_writable(machine: Machine) -> None:
    assert machine.running.read_bytes() == TEXT
    assert machine.config.read_bytes() == TEXT
    assert sorted(file.name for file in machine.config.parent.iterdir()) == ["config.yml", "state"]
