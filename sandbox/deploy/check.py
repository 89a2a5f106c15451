"""Checks stack configuration before anything is built or started for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from sandbox.deploy.workspace import CHECKOUT
from sandbox.errors import SandboxError


def check_config(given: Mapping[str, str]) -> None:
    """Raise SandboxError for a value that the program would refuse.

    Keys that are paths into lists or objects are left to the program itself.
    """
    # The program's own rules, which need the SDK's packages: known only once the tools are there.
    from components.settings import SettingsError, read_settings

    project: dict[str, Any] = yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text())
    texts = {key: _text(entry["default"]) for key, entry in project["config"].items()}
    plain = {key: value for key, value in given.items() if not {".", "["} & set(key)}
    try:
        read_settings(project["name"], texts | plain)
    except SettingsError as error:
        raise SandboxError(" ".join(error.problems)) from error


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
