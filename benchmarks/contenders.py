"""Who is measured: the pruner, the registry's own collector in both versions, and the bare floor."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.gc.realregistry import VERSIONS, binary

ROOT = Path(__file__).parents[1]
FLOOR = "the bare floor"
AT_ONCE = (
    "--grace",
    "0",
    "--untagged-after",
    "0",
    "--uploads-after",
    "0",
    "--trash",
    "0",
    "--max-fraction",
    "1",
)
"""Options with which a run waits for nothing and frees what it removes, as the collectors do."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A command to measure. `forgets` one is given a tree of which no earlier run left an index."""

    name: str
    command: tuple[str, ...]
    forgets: bool = False

    @property
    def is_pruner(self) -> bool:
        """Whether it is the pruner."""
        return self.name.startswith("prune ")


def environ() -> Mapping[str, str]:
    """This process's environment without what would set up another pruner or registry.

    Python may keep what it compiled, as it does of a package that was installed.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GC_", "REGISTRY_"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept | {"PYTHONPATH": str(ROOT / "gc"), "OTEL_TRACES_EXPORTER": "none"}


def prune(config: Path, *words: str) -> tuple[str, ...]:
    """The command line of the pruner on the registry of that configuration."""
    return (sys.executable, "-m", "pruner", *words, "--config", str(config))


def configuration(folder: Path, data: Path) -> Path:
    """Write the configuration of a registry on the tree `data`, for those who only read or collect it."""
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error}\nhttp: {addr: 'localhost:0'}\n"
        f"storage: {{filesystem: {{rootdirectory: {data}}}, delete: {{enabled: true}}}}\n"
    )
    return config


def planners(config: Path, data: Path) -> list[Contender]:
    """Those that say what could go, and change nothing."""
    found = [
        Contender(
            f"garbage-collect --dry-run {version}",
            (binary(version), "garbage-collect", "--dry-run", "--delete-untagged", str(config)),
        )
        for version in VERSIONS
    ]
    forms = {"--output json": ("--output", "json"), "--summary": ("--summary",)}
    for form, options in forms.items():
        for state in ("cold", "warm"):
            name = f"prune plan {form}, {state}"
            found.append(Contender(name, prune(config, "plan", *options), forgets=state == "cold"))
    floor = (sys.executable, "-I", "-S", str(ROOT / "benchmarks/floor.py"), str(data))
    return [*found, Contender(FLOOR, floor)]


def collectors(config: Path) -> list[Contender]:
    """Those that remove what could go, on a tree that nobody else uses."""
    found = [
        Contender(
            f"garbage-collect {version}",
            (binary(version), "garbage-collect", "--delete-untagged", str(config)),
        )
        for version in VERSIONS
    ]
    return [*found, Contender("prune run", prune(config, "run", *AT_ONCE))]
