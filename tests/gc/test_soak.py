"""A short soak of every version and cache; SOAK_MINUTES makes it longer (15 at most, for all together)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from tests.gc.prunerprocess import ROOT
from tests.gc.realregistry import CACHES, VERSIONS, Cache, Version

PAIRS = [(version, cache) for version in VERSIONS for cache in CACHES]
MINUTES = min(15.0, float(os.environ.get("SOAK_MINUTES", "1")))
every_pair = pytest.mark.parametrize(("version", "cache"), PAIRS)
QUICK = ("--grace", "2", "--untagged-after", "2")


def soak(folder: Path, minutes: float, *options: str) -> tuple[int, list[dict[str, Any]], str]:
    """Run the soak; returns its exit code, the figures of its combinations, and what it printed."""
    figures = folder / "figures.json"
    command = [
        sys.executable,
        "-m",
        "tests.soak",
        "--minutes",
        f"{minutes:g}",
        "--json",
        str(figures),
        *options,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=840, check=False)
    printed = done.stdout + done.stderr
    assert figures.exists(), printed
    document = cast(dict[str, Any], json.loads(figures.read_text()))
    return done.returncode, cast(list[dict[str, Any]], document["combinations"]), printed


def loses_nothing(folder: Path, minutes: float, *options: str, kept: int) -> None:
    """Nothing is lost, among more than `kept` images that stay; a slow machine has more time for them."""
    for each in (minutes, 4 * minutes):
        code, (figures,), printed = soak(folder, each, *options)
        assert figures["lost"] == 0, printed
        assert code == 0, printed
        if figures["kept"] > kept and figures["tally"]["blobs"]:
            return
    pytest.fail(f"too little was pushed or pruned, so nothing is proven: {printed}")


@every_pair
def test_every_acknowledged_push_survives(version: Version, cache: Cache, tmp_path: Path) -> None:
    kill = ["--kill"] if cache == "none" else []
    options = ("--version", version, "--cache", cache, *QUICK, *kill)
    loses_nothing(tmp_path, MINUTES / len(PAIRS), *options, kept=10)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_acknowledged_push_survives_on_a_bucket(version: Version, tmp_path: Path) -> None:
    options = ("--s3", "--version", version, "--cache", "none", "--grace", "4", "--untagged-after", "4")
    loses_nothing(tmp_path, max(0.35, MINUTES / 6), *options, kept=5)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_registrys_own_collector_loses_images_within_seconds(version: Version, tmp_path: Path) -> None:
    options = ("--version", version, "--cache", "inmemory", "--collector", "registry")
    code, (figures,), printed = soak(tmp_path, 0.15, *options)
    assert figures["lost"] > 0, printed
    assert code == 1, printed
