"""Wrong logins on a real registry: they get 401 and nothing else, and keep nobody out."""

from __future__ import annotations

from pathlib import Path

from benchmarks.logins import measure
from tests.gc.realregistry import Version


def test_a_hundred_wrong_logins_a_second_keep_nobody_out(version: Version, tmp_path: Path) -> None:
    found = measure(version, 5, tmp_path, rate=100, seconds=4)
    assert found.answers == {401}
    assert found.tried > 20, "it was tried in earnest"
    assert found.among[1] < 5, "seconds that a right login waits, on a machine that may be busy"
