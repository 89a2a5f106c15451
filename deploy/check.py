"""Checks stack configuration before anything is built or started for it."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.errors import SandboxError

PROJECT = "docker-registry"


def check_config(given: Mapping[str, str]) -> None:
    """Raise SandboxError for a value that the program would refuse.

    Keys that are paths into lists or objects are left to the program itself.
    """
    # The program's own rules, which need the SDK's packages: known only once the tools are there.
    from docker_registry_stack import SettingsError
    from docker_registry_stack.config import read_args

    try:
        read_args(PROJECT, {key: value for key, value in given.items() if not {".", "["} & set(key)})
    except SettingsError as error:
        raise SandboxError(" ".join(error.problems)) from error
