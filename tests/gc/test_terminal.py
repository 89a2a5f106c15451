"""What a person at a terminal gets: totals first, tables, and the pager for what is long."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gc.images import image, layer
from tests.gc.inprocess import Pruner
from tests.gc.prunerprocess import AT_ONCE, PrunerProcess
from tests.gc.treebuilder import age


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    pruner = Pruner(tmp_path)
    pruner.tree.push("app", image([layer("kept")], "kept"), "kept")
    for number in range(30):
        pruner.tree.push(f"team/app{number % 3}", image([layer(f"gone {number}")], f"gone {number}"))
    pruner.tree.push("other", image([layer("gone 0")], "other"))
    age(pruner.data, 86400)
    return pruner


class Terminal:
    """A command whose standard streams are a terminal of 24 lines of 100 columns; it is its session's."""

    def __init__(self, pruner: Pruner, *words: str, **variables: str) -> None:
        process = PrunerProcess(pruner.config, variables)
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))

        def own_the_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            process.command(*words),
            env=process.variables(),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=own_the_terminal,
        )
        os.close(theirs)
        self.shown = b""

    def type(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def read_until(self, wanted: bytes) -> None:
        deadline = time.monotonic() + 60
        while wanted not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self.ours], [], [], 1)[0] and not self._read():
                break
        assert wanted in self.shown, self.shown

    def _read(self) -> bool:
        try:
            chunk = os.read(self.ours, 65536)
        except OSError:
            return False  # how a pseudo-terminal says that the other side is closed
        self.shown += chunk
        return bool(chunk)

    def end(self) -> tuple[int, str]:
        """The exit code and all that was shown, with plain line ends and without what erases a line."""
        while self._read():
            pass
        code = self.process.wait(30)
        return code, self.shown.decode().replace("\r\n", "\n")

    def close(self) -> None:
        os.close(self.ours)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def test_a_plan_is_totals_then_repositories_then_removals(pruner: Pruner, terminals: list[Terminal]) -> None:
    terminals.append(Terminal(pruner, "plan", *AT_ONCE, PAGER="cat"))
    code, shown = terminals[0].end()
    assert code == 0
    places = [
        shown.index(part) for part in ("Would remove ", "REPOSITORY", "team/app0 ", "KIND ", "team/app0@sha")
    ]
    assert places == sorted(places)
    assert "\t" not in shown, "columns are for people here"
    assert "(shared, or of none)" in shown, "a layer of two repositories is in neither"


def test_only_totals_and_only_some_repositories(pruner: Pruner, terminals: list[Terminal]) -> None:
    process = PrunerProcess(pruner.config)
    plan = process.report("plan", *AT_ONCE)
    summary = process.report("plan", "--summary", *AT_ONCE)
    assert set(summary) == {"summary"}
    for timed in (plan, summary):
        del timed["summary"]["seconds"]
    assert summary["summary"] == plan["summary"]
    some = process.report("plan", "--repository", "team/app[01]", "--repository", "other", *AT_ONCE)
    names = {"team/app0", "team/app1", "other"}
    assert (
        [each for each in some["removals"] if each["repository"]]
        == [each for each in plan["removals"] if each["repository"] in names]
        != []
    )
    assert set(some["summary"]["by_repository"]) == names
    terminals.append(Terminal(pruner, "plan", "--summary", *AT_ONCE))
    code, shown = terminals[0].end()
    assert code == 0 and "Would remove " in shown and "REPOSITORY" not in shown and "KIND" not in shown
    assert process.report("run", "--dry-run", *AT_ONCE)["removals"] == plan["removals"]


def test_what_a_pipe_gets_has_a_line_for_each_removal(pruner: Pruner) -> None:
    process = PrunerProcess(pruner.config)
    removals = process.report("plan", *AT_ONCE)["removals"]
    text, _ = process.start("plan", *AT_ONCE).communicate(timeout=60)
    lines = [said.split("\t") for said in text.splitlines() if "\t" in said]
    assert [(each[0], each[1], each[3]) for each in lines] == [
        (each["kind"], each["path"], each["reason"]) for each in removals
    ]


def test_the_pager_shows_what_does_not_fit(pruner: Pruner, terminals: list[Terminal], tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text(f"#!/bin/sh\nexec tee {tmp_path}/paged\n")
    pager.chmod(0o755)
    terminals.append(Terminal(pruner, "plan", *AT_ONCE, PAGER=str(pager)))
    code, shown = terminals[0].end()
    assert code == 0
    paged = (tmp_path / "paged").read_text()
    assert paged.startswith("Would remove ") and paged in shown
    (tmp_path / "paged").unlink()
    terminals.append(Terminal(pruner, "plan", "--summary", *AT_ONCE, PAGER=str(pager)))
    assert terminals[1].end()[0] == 0
    assert not (tmp_path / "paged").exists(), "what fits is shown at once"
    run = subprocess.run(
        PrunerProcess(pruner.config).command("plan", *AT_ONCE),
        env=PrunerProcess(pruner.config, {"PAGER": str(pager)}).variables(),
        capture_output=True,
        check=True,
    )
    assert run.stdout and not (tmp_path / "paged").exists(), "a pipe is not paged"


@pytest.mark.parametrize("pager", ["true", "/no/such/pager", "head -1", "false"])
def test_a_pager_that_is_quit_or_is_not_there_ends_well(
    pruner: Pruner, terminals: list[Terminal], pager: str
) -> None:
    terminals.append(Terminal(pruner, "plan", *AT_ONCE, PAGER=pager))
    code, shown = terminals[0].end()
    assert (code, "Traceback" in shown) == (0, False), shown
    assert ("KIND" in shown) == (pager == "/no/such/pager")


def test_control_c_in_the_pager_is_the_pagers(
    pruner: Pruner, terminals: list[Terminal], tmp_path: Path
) -> None:
    pager = tmp_path / "pager"
    pager.write_text(
        "#!/bin/sh\ncat > /dev/null\ntrap 'echo heard; exit 0' INT\necho ready\nsleep 60 & wait\n"
    )
    pager.chmod(0o755)
    terminals.append(Terminal(pruner, "plan", *AT_ONCE, PAGER=str(pager)))
    terminals[0].read_until(b"ready")
    terminals[0].type(b"\x03")
    terminals[0].read_until(b"heard")
    code, shown = terminals[0].end()
    assert (code, "Traceback" in shown) == (0, False), shown


def test_control_c_in_a_wait_undoes_the_run(pruner: Pruner, terminals: list[Terminal]) -> None:
    before = pruner.snapshot()
    terminals.append(Terminal(pruner, "run", *AT_ONCE, "--grace", "60"))
    terminals[0].read_until(b"wait the grace")
    terminals[0].type(b"\x03")
    code, shown = terminals[0].end()
    assert code == 143
    assert "prune: asked to end: what was begun is undone" in shown
    assert pruner.snapshot() == before


def test_json_is_compact_unless_a_terminal_reads_it(pruner: Pruner, terminals: list[Terminal]) -> None:
    for words in (("plan", *AT_ONCE), ("plan", "--summary"), ("usage",), ("verify",)):
        terminals.append(Terminal(pruner, *words, "--output", "json"))
        code, shown = terminals[-1].end()
        assert code == 0
        start = shown.index("{")
        assert shown.count("\n", start) > 5
        json.loads(shown[start:])
        text, _ = PrunerProcess(pruner.config).start(*words, "--output", "json").communicate(timeout=60)
        assert text.count("\n") == 1
        assert set(json.loads(text)) == set(json.loads(shown[start:]))


def trashed(pruner: Pruner) -> PrunerProcess:
    process = PrunerProcess(pruner.config)
    process.report("run", *AT_ONCE, "--trash", "1d")
    return process


def test_the_trash_is_a_table(pruner: Pruner, terminals: list[Terminal]) -> None:
    pruner.tree.push("team/app9", image([layer("dropped")], "dropped"), "old")
    age(pruner.data, 86400)
    process = PrunerProcess(pruner.config, {"GC_RETENTION": '[{"tags": "old", "keepLast": 0}]'})
    process.report("run", *AT_ONCE, "--trash", "1d")
    terminals.append(Terminal(pruner, "trash", "list", "--trash", "1d", PAGER="cat"))
    code, shown = terminals[0].end()
    assert code == 0
    rows = [line.split() for line in shown.splitlines()]
    head = next(row for row in rows if row[:1] == ["KIND"])
    assert head == ["KIND", "REPOSITORY", "TAG", "BYTES", "AGE", "GOES", "DIGEST"]
    tag = next(row for row in rows if row[:1] == ["tag"])
    assert tag[1:4] == ["team/app9", "old", "-"] and tag[-1].startswith("sha256:")
    assert any(row[:1] == ["layer"] and row[1].startswith("team/app") for row in rows)


@pytest.mark.parametrize(
    ("answer", "gone"), [(b"yes\n", True), (b"y\n", True), (b"no\n", False), (b"\n", False)]
)
def test_a_purge_at_a_terminal_asks_first(
    pruner: Pruner, terminals: list[Terminal], answer: bytes, gone: bool
) -> None:
    process = trashed(pruner)
    before = len(process.report("trash", "list")["blobs"])
    terminals.append(Terminal(pruner, "trash", "purge", PAGER="cat"))
    terminals[0].read_until(b"[yes/no] ")
    terminals[0].type(answer)
    code, shown = terminals[0].end()
    assert code == 0
    assert f"Destroy {before} blobs, " in shown
    assert len(process.report("trash", "list")["blobs"]) == (0 if gone else before)
    assert ("nothing was destroyed" in shown) == (not gone)


def test_a_question_is_left_by_control_c_or_spared_by_an_option(
    pruner: Pruner, terminals: list[Terminal]
) -> None:
    process = trashed(pruner)
    terminals.append(Terminal(pruner, "trash", "purge"))
    terminals[0].read_until(b"[yes/no] ")
    terminals[0].type(b"\x03")
    code, shown = terminals[0].end()
    assert code == 143 and "Traceback" not in shown
    assert process.report("trash", "purge", "--dry-run")["blobs"] != []
    terminals.append(Terminal(pruner, "trash", "purge", "--yes", PAGER="cat"))
    code, shown = terminals[1].end()
    assert code == 0 and "[yes/no]" not in shown and "blobs purged" in shown
    assert process.report("trash", "list")["blobs"] == []
