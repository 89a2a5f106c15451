"""docs/commands.md against the program, both ways: nothing is left out, and nothing is there that is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from pruner import errors
from pruner.cli import line
from pruner.cli.commands import COMMANDS, load
from pruner.cli.commands.verify import PROBLEMS
from pruner.cli.main import STOPPED
from pruner.settings.table import TABLE
from tests.gc.images import digest_of, image, layer
from tests.gc.inprocess import Pruner
from tests.gc.prunerprocess import AT_ONCE, ROOT, PrunerProcess
from tests.gc.treebuilder import age, write

PAGE = (ROOT / "docs/commands.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
SHARED = {"--config", "--output", "--help"}
BY_NAME = {"by_kind", "by_repository", "kept", "skipped", "phases", "removed"}
"""Keys of JSON objects whose own keys are names of things: the page writes them as an asterisk."""


def first_column(text: str) -> list[str]:
    """What stands in code quotes at the start of the rows of the tables in `text`."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def test_every_command_has_a_section_and_no_other_has() -> None:
    assert {title.removeprefix("prune ") for title in SECTIONS if title.startswith("prune ")} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_options_of_a_command(name: str) -> None:
    page = line.command_parser(name, load(name)).format_help().partition("\nsettings:")[0]
    there = set(re.findall(r"^  (?:-h, )?(--[\w-]+)", page, re.MULTILINE))
    assert there >= SHARED
    documented = [each for each in first_column(SECTIONS[f"prune {name}"]) if each.startswith("-")]
    assert {each.split()[0] for each in documented} == there - SHARED
    for word in re.findall(r"^  ([A-Z]+)\s", page, re.MULTILINE):
        assert word in SECTIONS[f"prune {name}"]
    forms = ", ".join(f"`{form}`" for form in load(name).FORMS)
    assert f"Forms: {forms}." in SECTIONS[f"prune {name}"]


def test_the_settings_and_the_commands_that_they_concern() -> None:
    row = r"^\| `(--[\w-]+)` \| `(\w+)` \|[^|]*\| ([^|]*) \|$"
    rows = re.findall(row, SECTIONS["Settings"], re.MULTILINE)
    concerned = {
        setting.option: ", ".join(name for name in COMMANDS if setting.part in load(name).SETTINGS)
        for setting in TABLE
    }
    assert {option: names for option, _, names in rows} == concerned
    assert {option: variable for option, variable, _ in rows} == {s.option: s.variable for s in TABLE}
    assert len(rows) == len(TABLE)


def test_the_exit_codes() -> None:
    documented = set(map(int, re.findall(r"^\| (\d+) \|", SECTIONS["Exit codes"], re.MULTILINE)))
    kinds = {errors.PrunerError, *errors.PrunerError.__subclasses__()} - {errors.ClusterError}
    assert documented == {0, PROBLEMS, STOPPED, *(kind.exit_code for kind in kinds)}
    assert documented == {int(code) for code in re.findall(r" (\d+)  \w", line.parser().epilog or "")}


def keys_of(value: Any, path: str = "", *, names: bool = False) -> Iterator[str]:
    if isinstance(value, dict):
        for key, below in cast("dict[str, Any]", value).items():
            inner = f"{path}.{'*' if names else key}".removeprefix(".")
            yield inner
            yield from keys_of(below, inner, names=key in BY_NAME)
    elif isinstance(value, list):
        for below in cast("list[Any]", value):
            yield from keys_of(below, f"{path}[]")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The JSON keys that each command was seen to give, on a tree with something of everything."""
    pruner = Pruner(tmp_path_factory.mktemp("documented"))
    tree = pruner.tree
    for name in ("app", "team/app"):
        tree.push(name, image([layer("base"), layer("kept")], "kept"), "kept")
    gone = image([layer("base"), layer("gone")], "gone")
    tree.push("app", gone)
    tree.push("app", image([layer("dropped")], "dropped"), "old")
    tree.manifest("odd", b"no manifest")
    tree.link_tag("astray", "v1", gone.digest, current=False)
    write(tree.top / "blobs/stray", b"")
    age(pruner.data, 30 * 86400)
    tree.upload("app", "going-on", b"x")
    process = PrunerProcess(pruner.config, {"GC_RETENTION": '[{"tags": "old", "keepLast": 0}]'})
    at_once = (*AT_ONCE, "--trash", "1d")
    seen = {
        "plan": [process.report("plan", *at_once), process.report("plan")],
        "usage": [],
        "explain": [process.report("explain", gone.digest)],
        "run": [process.report("run", *at_once)],
        "trash": [process.report("trash", "list")],
        "verify": [process.report("verify", "--digests", expected=(PROBLEMS,))],
        "JSON": [process.report("explain", "latest", expected=(2,))],
    }
    seen["trash"].append(process.report("trash", "restore", digest_of(layer("gone"))))
    seen["history"] = [process.report("history")]
    seen["usage"].append(process.report("usage"))
    age(pruner.data, 86400)
    seen["run"].append(process.report("run", *at_once))
    seen["trash"].append(process.report("trash", "purge"))
    return {name: {key for value in values for key in keys_of(value)} for name, values in seen.items()}


@pytest.mark.parametrize("name", ["plan", "usage", "explain", "history", "run", "trash", "verify", "JSON"])
def test_the_keys_of_json(results: dict[str, set[str]], name: str) -> None:
    section = SECTIONS[name if name == "JSON" else f"prune {name}"]
    documented = {each for each in first_column(section) if not each.startswith("-")}
    if name == "run":
        documented |= {each for each in first_column(SECTIONS["prune plan"]) if not each.startswith("-")}
        assert results["plan"] < results["run"] | results["plan"]
    assert documented == results[name] | (results["plan"] if name == "run" else set())
    assert Path(ROOT / "docs/pruning.md").read_text().count("commands.md") >= 1
