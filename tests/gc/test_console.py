"""What people see: bars on a terminal, log lines elsewhere."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from pruner.cli.console import Lines, log, set_up_log
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


def test_a_long_phase_says_now_and_then_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    handlers = list(log.handlers)
    set_up_log("json")
    now = [100.0]
    lines = Lines(lambda: now[0])
    try:
        for second in range(150):
            now[0] += 1
            lines("hash blobs", second * 1000, 300_000)
        lines("wait the grace", 0)
        for left in range(150, 0, -1):
            now[0] += 1
            lines.waiting(left)
    finally:
        log.handlers[:] = handlers
    said = [json.loads(each) for each in capsys.readouterr().err.splitlines()]
    assert [(each["msg"], each["phase"]) for each in said] == [
        ("phase", "hash blobs"),
        ("progress", "hash blobs"),
        ("progress", "hash blobs"),
        ("phase", "wait the grace"),
        ("progress", "wait the grace"),
        ("progress", "wait the grace"),
    ]
    assert (said[1]["count"], said[1]["total"], said[1]["per_second"]) == (60_000, 300_000, 1000)
    assert (said[1]["left"], said[4]["left"]) == ("4m", "1m 31s")


def test_a_phase_of_which_nobody_knows_the_end_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """A scan finds out how much there is by listing it: a count and a rate, and no time that is left."""
    handlers = list(log.handlers)
    set_up_log("json")
    now = [100.0]
    lines = Lines(lambda: now[0])
    try:
        for second in range(125):
            now[0] += 1
            lines("list blobs", second * 700)
    finally:
        log.handlers[:] = handlers
    said = [json.loads(each) for each in capsys.readouterr().err.splitlines()]
    assert [each["msg"] for each in said] == ["phase", "progress", "progress"]
    assert (said[1]["count"], said[1]["per_second"]) == (42_000, 700)
    assert (said[2]["count"], said[2]["per_second"]) == (84_000, 700)
    assert all({"total", "left"}.isdisjoint(each) for each in said)


def test_a_terminal_sees_how_far_a_scan_is(process: PrunerProcess) -> None:
    code, _, shown = on_a_terminal(process, "plan", *AT_ONCE)
    assert code == 0
    scans = [line for line in shown.split("\r") if line.startswith("list ")]
    assert any(re.match(r"list blobs: +\d+ \[", line) for line in scans), scans
    assert not any("%" in line for line in scans), "nobody knows of how many"


def test_a_terminal_sees_what_remains(process: PrunerProcess) -> None:
    code, _, shown = on_a_terminal(process, "verify", "--digests")
    assert code == 0
    assert re.search(r"\rhash blobs: +\d+%\|.*<", shown), "how much, how long, and how much longer"


def test_a_terminal_counts_a_wait_down(tmp_path: Path) -> None:
    pruner = Pruner(tmp_path)
    pruner.tree.push("app", image([layer("kept")], "kept"), "kept")
    pruner.tree.push("app", image([layer("gone")], "gone"))
    age(pruner.data, 86400)
    code, output, shown = on_a_terminal(PrunerProcess(pruner.config), "run", *AT_ONCE, "--grace", "4")
    assert code == 0 and output.startswith("Removed")
    assert re.search(r"wait the grace, 4\.0s: .*[34]\.\ds left", shown)
    assert re.search(r"wait the grace, 4\.0s: .*[12]\.\ds left", shown)
