"""What people see: bars on a terminal, log lines elsewhere."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from tests.gc.images import image, layer
from tests.gc.inprocess import Pruner
from tests.gc.prunerprocess import AT_ONCE, PrunerProcess
from tests.gc.treebuilder import age


@pytest.fixture
def process(tmp_path: Path) -> PrunerProcess:
    pruner = Pruner(tmp_path)
    pruner.tree.push("app", image([layer("kept")]), "kept")
    age(pruner.data, 86400)
    return PrunerProcess(pruner.config)


def on_a_terminal(process: PrunerProcess, *words: str) -> tuple[int, str, str]:
    """The exit code, standard output, and what a terminal got to show."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    command = process.command(*words)
    with subprocess.Popen(
        command, env=process.variables(), stdout=subprocess.PIPE, stderr=theirs, text=True
    ) as run:
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 65536):
                shown += chunk
        except OSError:
            pass  # how a pseudo-terminal says that the other side is closed
        output, _ = run.communicate(timeout=30)
    os.close(ours)
    return run.returncode, output, shown.decode()


def test_bars_on_a_terminal(process: PrunerProcess) -> None:
    code, output, shown = on_a_terminal(process, "run", *AT_ONCE)
    assert code == 0
    assert output.startswith("Nothing to remove in 1 repository")
    assert "\rlist repositories: " in shown
    assert "level=info msg=phase" not in shown, "a log line for each phase is for machines"


def test_an_error_on_a_terminal_is_a_sentence(process: PrunerProcess) -> None:
    code, output, shown = on_a_terminal(process, "run", "--grace", "soon")
    assert (code, output) == (3, "")
    assert shown.startswith("prune: --grace: 'soon' is not a duration")
    assert shown.count("\n") == 1


def test_log_lines_elsewhere(process: PrunerProcess) -> None:
    run = process.start("run", *AT_ONCE)
    _, errors = run.communicate(timeout=30)
    assert 'level=info msg=phase phase="list repositories"' in errors
    assert "\r" not in errors
