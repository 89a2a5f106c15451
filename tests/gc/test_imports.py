"""The pruner's wings: imports run one way, downward, and no module is too long to be read at once."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PRUNER = Path(__file__).resolve().parents[2] / "gc" / "pruner"
WINGS = ("cli", "observe", "inspect", "sweep", "decide", "claim", "tree", "storage", "registry", "settings")
"""Each may import those that come after it, and the ground: the modules that lie in no wing."""
GROUND = ("clock", "delays", "errors", "kubernetes")
LONGEST = 300  # lines
NOT_FOR_A_PLAN = (
    "ssl",
    "http.client",
    "urllib.request",
    "email",
    "socket",
    "uuid",
    "tqdm",
    "pruner.kubernetes",
)
"""What takes long to import, and few plans need."""
MODULES = sorted(path.relative_to(PRUNER).as_posix() for path in PRUNER.rglob("*.py"))


def imported(source: str) -> Iterator[str]:
    """The modules of the pruner that the source imports, also within a function or for types only."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full, so that they can be read here"
            assert node.module is not None
            names = [node.module]
            if node.module == "pruner":
                names = [f"pruner.{alias.name}" for alias in node.names if alias.name != "__version__"]
        yield from (name for name in names if name.partition(".")[0] == "pruner")


def upward(module: str, source: str) -> list[str]:
    """Imports of the module at that path that do not run downward."""
    wing = module.partition("/")[0]
    found: list[str] = []
    for name in imported(source):
        target = name.split(".")[1]
        if target in (*GROUND, "__version__"):
            continue
        if wing not in WINGS or WINGS.index(target) < WINGS.index(wing):
            found.append(name)
    return found


def test_every_module_lies_in_a_wing_or_on_the_ground() -> None:
    outside = {Path(module).stem for module in MODULES if "/" not in module}
    assert outside == {*GROUND, "__init__", "__main__"}
    assert {module.partition("/")[0] for module in MODULES if "/" in module} <= set(WINGS)
    for wing in WINGS:
        if (PRUNER / wing).exists():
            assert ast.get_docstring(ast.parse((PRUNER / wing / "__init__.py").read_text())), wing


@pytest.mark.parametrize("module", [module for module in MODULES if module != "__main__.py"])
def test_imports_run_downward(module: str) -> None:
    assert upward(module, (PRUNER / module).read_text()) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("decide/look.py", "from pruner.sweep import trash"),
        ("decide/look.py", "def f():\n    import pruner.sweep.trash"),
        ("storage/filesystem.py", "from pruner.tree.layout import BASE"),
        ("clock.py", "from pruner.settings.table import Settings"),
        ("settings/table.py", "from pruner import cli"),
    ],
)
def test_an_import_upward_is_seen(module: str, source: str) -> None:
    assert upward(module, source)


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_longer_than_can_be_read(module: str) -> None:
    assert len((PRUNER / module).read_text().splitlines()) <= LONGEST


def test_a_plan_imports_nothing_that_few_plans_need() -> None:
    """What asks a registry, a cluster or a bucket is imported where there is one."""
    code = "import sys, pruner.__main__, pruner.cli.call, pruner.cli.commands.plan; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    imported = set(subprocess.check_output(command, cwd=PRUNER.parent, text=True).split())
    assert "pruner.decide.plan" in imported
    assert imported & set(NOT_FOR_A_PLAN) == set()
