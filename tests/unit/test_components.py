"""What every component has to do, read off its syntax tree."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.unit import program


def _components() -> list[tuple[str, ast.ClassDef]]:
    return [
        (f"{path.name}:{statement.name}", statement)
        for path in sorted((program.ROOT / "components").glob("*.py"))
        for statement in ast.walk(ast.parse(path.read_text()))
        if isinstance(statement, ast.ClassDef)
        and any(ast.unparse(base).endswith("ComponentResource") for base in statement.bases)
    ]


COMPONENTS = _components()


def test_there_are_the_components_that_the_design_names() -> None:
    assert [name for name, _ in COMPONENTS] == [
        "announcement.py:Announcement",
        "certificates.py:Certificates",
        "docker_registry.py:DockerRegistry",
        "external_address.py:ExternalAddress",
        "redis_server.py:RedisServer",
        "registry.py:Registry",
        "sidecar.py:Pruner",
    ]


@pytest.mark.parametrize("component", [tree for _, tree in COMPONENTS], ids=[name for name, _ in COMPONENTS])
def test_a_component_ends_in_its_one_register_outputs(component: ast.ClassDef) -> None:
    calls = [
        node
        for node in ast.walk(component)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "register_outputs"
    ]
    (init,) = [
        node for node in component.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    ]
    last = init.body[-1]
    assert len(calls) == 1
    assert isinstance(last, ast.Expr)
    assert last.value is calls[0]
    assert isinstance(calls[0].args[0], ast.Dict)
    assert calls[0].args[0].keys


def test_no_resource_is_declared_inside_an_apply() -> None:
    for path in [program.ROOT / "__main__.py", *sorted(Path(program.ROOT / "components").glob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".apply"):
                inside = ast.unparse(node.args[0])
                assert "k8s." not in inside, path
                assert "tls." not in inside, path


@pytest.mark.parametrize("component", [tree for _, tree in COMPONENTS], ids=[name for name, _ in COMPONENTS])
def test_a_component_records_its_inputs(component: ast.ClassDef) -> None:
    (call,) = [
        node
        for node in ast.walk(component)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "super().__init__"
    ]
    recorded = call.args[2]
    assert not isinstance(recorded, ast.Constant)
    assert not isinstance(recorded, ast.Dict) or recorded.keys


def test_nobody_changes_where_python_looks() -> None:
    paths = [program.ROOT / "__main__.py", *(program.ROOT / "examples").rglob("*.py")]
    for path in [*paths, *(program.ROOT / "components").glob("*.py"), *(program.ROOT / "gc").rglob("*.py")]:
        assert "sys.path" not in path.read_text(), path


def test_nobody_imports_the_folder_by_a_second_name() -> None:
    """A package that is imported by two names is two packages, with two of every class."""
    for path in program.ROOT.rglob("*.py"):
        if ".venv" in path.parts or "build" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert not (node.module or "").startswith(("components", "gc.")), path
