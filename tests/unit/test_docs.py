"""The documentation: a row for every key, and in each the default that really is one."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import yaml

from docker_registry_stack.args import DockerRegistryArgs
from docker_registry_stack.config import read_args
from docker_registry_stack.settings import KEYS, settle
from pruner.settings.table import TABLE
from pruner.settings.table import Settings as PrunerSettings
from tests.unit import program

CONFIGURATION = (program.ROOT / "docs" / "configuration.md").read_text()
ROWS = dict(re.findall(r"^\| `(\w+)` \| (?:[^|]*) \| `([^`]*)` \|", CONFIGURATION, re.MULTILINE))


def test_every_key_has_its_row_and_no_row_is_of_another() -> None:
    assert set(ROWS) == set(KEYS)


def test_every_default_in_the_table_is_the_real_one() -> None:
    for key, text in ROWS.items():
        assert settle(read_args(program.PROJECT, {key: text})) == settle(DockerRegistryArgs()), key


_BESIDE = {
    "exposure": {"externalHosts": '["a.example"]'},
    "redis": {"cache": "redis"},
    # Asked only where `auth` says so, and there has to be one then.
    "token": {
        "auth": "token",
        "token": json.dumps({"realm": "https://z", "service": "b", "issuer": "c", "jwks": {"keys": []}}),
    },
    "replicas": {
        "storage": json.dumps(
            {"kind": "persistentVolumeClaim", "size": "1Gi", "accessModes": ["ReadWriteMany"]}
        )
    },
}
"""What the other value of a key cannot be without, and which by itself makes other settings too."""


def test_each_default_differs_from_what_the_table_might_say_instead() -> None:
    """The comparison above can fail: another value of each key makes other settings."""
    other = {
        "nodePort": "32001",
        "externalHosts": '["a.example"]',
        "exposure": json.dumps({"kind": "ClusterIP"}),
        "tls": '{"authorities": [2]}',
        "nodeTrust": '{"enabled": true}',
        "caNamespaces": '["other"]',
        "localRegistryHosting": "https://wiki.example.com/registry",
        "namespace": "other",
        "createNamespace": "false",
        "auth": "none",
        "users": '{"anna": "first"}',
        "passwordGeneration": "2",
        "htpasswd": '{"secretName": "logins"}',
        "token": json.dumps({"realm": "https://a", "service": "b", "issuer": "c", "jwks": {"keys": []}}),
        "pullSecrets": '{"namespaces": ["default"]}',
        "registryImage": "registry:2",
        "gcImage": "python:3.11",
        "storage": json.dumps({"path": "/srv"}),
        "replicas": "2",
        "cache": "inmemory",
        "redis": json.dumps({"image": "redis:7"}),
        "registryConfig": '{"log": {"level": "debug"}}',
        "pod": '{"nodeSelector": {"disk": "ssd"}}',
        "networkPolicy": '{"enabled": false}',
        "gcMode": "readonly",
        "gcMaxFraction": "1",
        "gcOpsPerSecond": "2000",
        "gcProtectRunning": "false",
        "gcDanglingTags": "remove",
        "retention": '[{"keepLast": 1}]',
        "metrics": "none",
        "repositoryMetrics": "true",
        "alerts": "configMap",
        "dashboard": "true",
    }
    for key in KEYS:
        beside = _BESIDE.get(key, {})
        changed = {**beside, key: other.get(key, "77s")}
        assert settle(read_args(program.PROJECT, changed)) != settle(read_args(program.PROJECT, beside)), key
    assert len(dataclasses.fields(DockerRegistryArgs)) == len(KEYS)


def test_the_sample_has_every_key_and_is_accepted() -> None:
    sample = yaml.safe_load((program.ROOT / "Pulumi.sample.yaml").read_text())["config"]
    given = {key.removeprefix(f"{program.PROJECT}:"): value for key, value in sample.items()}
    assert set(given) == set(KEYS)
    settings = program.read(**given)
    examples = {
        "externalHosts",
        "exposure",
        "users",
        "pullSecrets",
        "tls",
        "nodeTrust",
        "caNamespaces",
        "localRegistryHosting",
        "storage",
        "registryConfig",
        "pod",
        "retention",
        "cache",
        "redis",
    }
    assert program.read(**{key: value for key, value in given.items() if key not in examples}) == settle({})
    assert settings != settle({})


def test_the_help_of_a_setting_tells_its_real_default() -> None:
    for setting in TABLE:
        told = re.search(r"\(default:? ([\w.]+)", setting.help)
        if told and told[1] != "none":
            assert setting.parse(told[1]) == getattr(PrunerSettings(), setting.name), setting.name


def links(page: Path) -> list[Path]:
    """The files that a page links to."""
    return [page.parent / target for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())]


def test_every_paper_that_is_linked_to_is_there() -> None:
    pages = [
        *program.ROOT.glob("*.md"),
        *program.ROOT.glob("*/README.md"),
        *program.ROOT.glob("docs/**/*.md"),
    ]
    for page in pages:
        for target in links(page):
            assert target.exists(), f"{page.name}: {target}"


def test_who_leads_to_the_pruner_says_where_it_is_with_several_replicas() -> None:
    pages = [
        *(program.ROOT / "docs").rglob("*.md"),
        program.ROOT / "README.md",
        program.ROOT / "gc" / "backup.py",
    ]
    to_the_pruner = re.compile(r"deploy/registry (-c gc|8080|9090)")
    leading = [page for page in pages if to_the_pruner.search(page.read_text())]
    assert len(leading) > 10
    for page in leading:
        assert "deploy/registry-pruner" in page.read_text(), page


def test_the_readme_leads_to_every_page_of_the_docs() -> None:
    reached: set[Path] = set()
    ahead = [program.ROOT / "README.md"]
    while ahead:
        page = ahead.pop().resolve()
        if page.suffix == ".md" and page not in reached:
            reached.add(page)
            ahead += links(page)
    assert set((program.ROOT / "docs").rglob("*.md")) <= reached
