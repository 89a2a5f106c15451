"""The documentation: a row for every key, and in each the default that really is one."""

from __future__ import annotations

import dataclasses
import json
import re

from docker_registry_stack.args import DockerRegistryArgs
from docker_registry_stack.config import read_args
from docker_registry_stack.settings import KEYS, settle
from tests.unit import program

CONFIGURATION = (program.ROOT / "docs" / "configuration.md").read_text()
ROWS = dict(re.findall(r"^\| `(\w+)` \| (?:[^|]*) \| `([^`]*)` \|", CONFIGURATION, re.MULTILINE))


def test_every_key_has_its_row_and_no_row_is_of_another() -> None:
    assert set(ROWS) == set(KEYS)


def test_every_default_in_the_table_is_the_real_one() -> None:
    for key, text in ROWS.items():
        assert settle(read_args(program.PROJECT, {key: text})) == settle(DockerRegistryArgs()), key


def test_each_default_differs_from_what_the_table_might_say_instead() -> None:
    """The comparison above can fail: another value of each key makes other settings."""
    other = {
        "nodePort": "32001",
        "externalHosts": '["a.example"]',
        "namespace": "other",
        "registryImage": "registry:2",
        "gcImage": "python:3.11",
        "storage": json.dumps({"path": "/srv"}),
        "cache": "inmemory",
        "gcMode": "readonly",
        "gcMaxFraction": "1",
        "gcProtectRunning": "false",
        "gcDanglingTags": "remove",
        "retention": '[{"keepLast": 1}]',
    }
    for key in KEYS:
        assert settle(read_args(program.PROJECT, {key: other.get(key, "77s")})) != settle({}), key
    assert len(dataclasses.fields(DockerRegistryArgs)) == len(KEYS)
