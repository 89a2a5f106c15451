from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from typing import TextIO

import pytest

from deploy.confirm import Confirmation
from deploy.target import Target
from sandbox.errors import SandboxError

TARGET = Target("production", "https://10.1.2.3:6443")


class Terminal:
    """A pseudo terminal: what is typed into it, and the end that a program reads."""

    def __init__(self) -> None:
        self.keyboard, inner = pty.openpty()
        self.inner: TextIO = os.fdopen(inner, "r")

    def type(self, line: str) -> None:
        os.write(self.keyboard, line.encode())


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.inner.close()
    os.close(made.keyboard)


def no_terminal() -> TextIO:
    read, write = os.pipe()
    os.write(write, b"yes\n")
    os.close(write)
    return os.fdopen(read, "r")


def test_without_a_terminal_nothing_is_done_and_the_cluster_is_named() -> None:
    with no_terminal() as answers, pytest.raises(SandboxError) as refused:
        Confirmation("make up", given=False, answers=answers).check(TARGET)
    for needed in ("https://10.1.2.3:6443", "context production", "`make up YES=1`", "nothing was changed"):
        assert needed in str(refused.value)


def test_consent_that_was_given_beforehand_is_not_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with no_terminal() as answers:
        confirmation = Confirmation("make up", given=True, answers=answers)
        confirmation.check(TARGET)
        confirmation.ask("Deploy this?")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("answer", ["y", "yes", "Y", " YES "])
def test_yes_is_yes(terminal: Terminal, answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    confirmation = Confirmation("make up", given=False, answers=terminal.inner)
    confirmation.check(TARGET)
    terminal.type(f"{answer}\n")
    confirmation.ask("Deploy this?")
    assert "Deploy this? [y/N]" in capsys.readouterr().out


@pytest.mark.parametrize("answer", ["", "n", "no", "yess", "maybe", "\x04"])
def test_anything_else_is_no(terminal: Terminal, answer: str) -> None:
    terminal.type(f"{answer}\n")
    with pytest.raises(SandboxError, match="not confirmed; nothing was changed"):
        Confirmation("make up", given=False, answers=terminal.inner).ask("Deploy this?")
