"""The stack configuration as the args of a registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.runtime.config import CONFIG, is_config_secret

from pruner.settings.jsontext import parse_json

from .args import DockerRegistryArgs
from .settings import KEYS, SettingsError, settle

# The keys whose values are lists and objects.
_JSON = (
    "externalHosts",
    "exposure",
    "users",
    "htpasswd",
    "token",
    "pullSecrets",
    "tls",
    "nodeTrust",
    "caNamespaces",
    "storage",
    "redis",
    "registryConfig",
    "pod",
    "networkPolicy",
    "retention",
)

SECRET = frozenset({"redis", "registryConfig", "storage", "tls", "users"})
"""The keys that may hold a secret, which no sentence quotes."""


def stack_args() -> DockerRegistryArgs:
    """The args that the running stack's configuration makes. Raises SettingsError."""
    config = pulumi.Config()
    prefix = f"{config.name}:"
    given = {
        name.removeprefix(prefix): text for name, text in CONFIG.get().items() if name.startswith(prefix)
    }
    for key in given:
        if key == "users" and not is_config_secret(f"{prefix}{key}"):
            pulumi.log.warn(
                f"{prefix}{key} stands in the stack's file for everybody to read: set it with "
                "`pulumi config set --secret`"
            )
    return read_args(config.name, {key: str(text) for key, text in given.items()})


def read_args(project: str, texts: Mapping[str, str]) -> DockerRegistryArgs:
    """The args in `texts`: key without the project's name -> text, JSON for objects and lists.

    Raises SettingsError with a sentence for every key that is unknown or wrong.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    for key, text in texts.items():
        if key not in KEYS:
            problems.append(f"{project}:{key} is not a key of this project: the keys are {', '.join(KEYS)}")
            continue
        called = "what it is set to" if key in SECRET else repr(text)
        try:
            values[KEYS[key]] = parse_json(text, called) if key in _JSON else text
        except ValueError as error:
            problems.append(f"{project}:{key}: {error}")
    keys = {field: key for key, field in KEYS.items()}
    args = DockerRegistryArgs(**values)
    try:
        settle(args, lambda field: f"{project}:{keys[field]}")
    except SettingsError as error:
        problems += error.problems
    if problems:
        raise SettingsError(problems)
    return args
