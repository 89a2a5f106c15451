"""Safeguards can be taken out one at a time: each text that does so stands once in the pruner's code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutations.safeguards import SAFEGUARDS, Safeguard

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("safeguard", SAFEGUARDS, ids=lambda safeguard: safeguard.name)
def test_a_safeguard_stands_once_in_its_module(safeguard: Safeguard) -> None:
    code = (ROOT / "gc/pruner" / safeguard.file).read_text()
    assert code.count(safeguard.old) == 1
    compile(code.replace(safeguard.old, safeguard.new), safeguard.file, "exec")
    for tests in safeguard.tests:
        assert (ROOT / f"tests/gc/test_{tests}.py").exists()
