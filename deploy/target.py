"""Which cluster `make up` means."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client as _client
from kubernetes import config as _config

from sandbox.errors import SandboxError
from sandbox.place import STATE_ROOT

client: Any = _client
config: Any = _config
ANSWER_WITHIN = (5, 10)  # seconds to connect, seconds to answer


@dataclass(frozen=True, slots=True)
class Target:
    """A cluster of the user's by its kubeconfig's `context` and its `server`; None means a throw-away one."""

    context: str | None
    server: str = ""

    def __str__(self) -> str:
        return f"{self.server} (context {self.context})"


def choose_target(environment: Mapping[str, str], home: Path, *, sandbox: bool) -> Target:
    """The cluster of the kubeconfig when there is one, else a throw-away cluster.

    Raises SandboxError when a kubeconfig names a cluster that does not answer: a cluster that is down for a
    moment is no wish for another one.
    """
    if sandbox:
        return Target(None)
    given = environment.get("KUBECONFIG")
    paths = [Path(path) for path in (given or str(home / ".kube" / "config")).split(os.pathsep) if path]
    if any(path.is_relative_to(STATE_ROOT) for path in paths):
        return Target(None)
    if not given and not any(path.exists() for path in paths):
        return Target(None)
    return _that_answers(os.pathsep.join(map(str, paths)))


def stack_target(target: Target, settings: Mapping[str, str], environment: Mapping[str, str]) -> Target:
    """The cluster that a stack's configuration names for the provider, else `target`.

    Raises SandboxError when that cluster does not answer.
    """
    kubeconfig, context = settings.get("kubernetes:kubeconfig"), settings.get("kubernetes:context")
    if kubeconfig is None and context is None:
        return target
    default = environment.get("KUBECONFIG") or str(Path(environment.get("HOME", "/")) / ".kube" / "config")
    return _that_answers(kubeconfig or default, context)


def _that_answers(kubeconfig: str, context: str | None = None) -> Target:
    """`kubeconfig` is a path, or several, or the content itself, as the provider takes it."""
    way_out = (
        "start that cluster, choose another with KUBECONFIG, or run `make up SANDBOX=1` for a throw-away one"
    )
    named = "the stack's kubernetes:kubeconfig" if "\n" in kubeconfig else f"the kubeconfig {kubeconfig}"
    try:
        if "\n" in kubeconfig:
            content: Any = yaml.safe_load(kubeconfig)
            name = context or content["current-context"]
            api = config.new_client_from_config_dict(content, context=name, persist_config=False)
        else:
            name = context or config.list_kube_config_contexts(kubeconfig)[1]["name"]
            api = config.new_client_from_config(kubeconfig, context=name, persist_config=False)
    except (config.ConfigException, yaml.YAMLError, TypeError, KeyError, OSError) as error:
        # The client library takes any YAML for a mapping, hence the TypeError.
        raise SandboxError(f"{named} is of no use ({error}): {way_out}") from error
    api.configuration.retries = 0
    try:
        client.VersionApi(api).get_code(_request_timeout=ANSWER_WITHIN)
    except Exception as error:
        # Whatever the client library raises here means one thing to the user.
        raise SandboxError(
            f"no cluster answers at {api.configuration.host} ({type(error).__name__}; context"
            f" {name} of {named}): {way_out}"
        ) from error
    return Target(name, api.configuration.host)
