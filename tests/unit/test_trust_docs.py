"""docs/trust.md: what it has people type is accepted, and does what it says."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from docker_registry_stack.nodes.folders import usual
from docker_registry_stack.nodes.installer import Wanted, install, restarts_needed
from tests.unit import program
from tests.unit.program import read
from tests.unit.test_tls import AUTHORITY, HOSTS, SERVER, key, pem

PAGE = (program.ROOT / "docs" / "trust.md").read_text()
FILES = {
    "registry.pem": pem(SERVER) + pem(AUTHORITY),
    "registry.key": key(SERVER),
    "ca.pem": pem(AUTHORITY),
    "ca.key": key(AUTHORITY),
}
WORD = re.compile(
    r"^ {4}pulumi config set --path (?:--secret )?(\w+)(?:\.(\w+)|\[(\d)\])(?:\[(\d)\])? (?:< )?(\S+)"
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def settings() -> Iterator[dict[str, Any]]:
    """What each run of lines with `pulumi config set` makes, over what the last one of its kind made."""
    made: dict[str, Any] = {}
    for line in [*PAGE.splitlines(), ""]:
        found = WORD.match(line)
        if found is None:
            if made and not line.startswith("    pulumi config"):
                yield made
                made = {}
            continue
        top, field, at, second, text = found.groups()
        value = FILES.get(text, int(text) if text.isdecimal() else text == "true" or text)
        if field is None:
            made.setdefault(top, []).insert(int(at), value)
        elif second is None:
            made.setdefault(top, {})[field] = value
        else:
            made.setdefault(top, {}).setdefault(field, []).insert(int(second), value)


def test_each_line_that_sets_something_is_understood_here() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("    pulumi config set")]
    assert len(lines) >= 10
    assert [line for line in lines if not WORD.match(line)] == []


@pytest.mark.parametrize("made", list(settings()), ids=lambda made: ",".join(made))
def test_what_is_set_is_accepted(made: dict[str, Any]) -> None:
    assert read(externalHosts=HOSTS, **made) != read(externalHosts=HOSTS)


def test_the_two_steps_of_an_exchange_are_those_that_the_program_knows() -> None:
    steps = [made["tls"]["authorities"] for made in settings() if "authorities" in made.get("tls", {})]
    assert steps == [[1, 2], [2, 1]]


def test_the_configuration_of_an_older_containerd_is_what_the_note_asks_for(tmp_path: Path) -> None:
    (config,) = blocks("toml")
    tomllib.loads(config)
    folder = tmp_path / "etc" / "containerd"
    folder.mkdir(parents=True)
    wanted = Wanted(("10.0.0.5:32000",), usual([]), "docker-registry.crt", b"x", str(tmp_path))
    assert restarts_needed(wanted, "containerd://1.7.27") != []
    (folder / "config.toml").write_text(config)
    assert restarts_needed(wanted, "containerd://1.7.27") == []


def test_what_stayed_on_a_node_is_removed_by_the_command_for_it(tmp_path: Path) -> None:
    (command,) = [block for block in blocks("sh") if block.startswith("rm ")]
    for folder in usual([]):
        (tmp_path / folder[1:]).mkdir(parents=True)
    wanted = Wanted(("10.0.0.5:32000",), usual([]), "docker-registry.crt", b"x", str(tmp_path))
    install(wanted)
    other = tmp_path / "etc/docker/certs.d/10.0.0.5:32000/ca.crt"
    other.write_text("a person's")
    subprocess.run(["bash", "-c", command.replace("/etc/", f"{tmp_path}/etc/")], check=True)
    assert list(tmp_path.rglob("*.crt")) == [other]


def test_the_manifests_are_yaml_of_what_they_say() -> None:
    kinds = {yaml.safe_load(block)["kind"] for block in blocks("yaml")}
    assert kinds == {"Bundle", "Certificate"}
