"""Which cluster `make up` means."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
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
OTHERWISE = "choose another with KUBECONFIG, or run `make up SANDBOX=1` for a throw-away one"


@dataclass(frozen=True, slots=True)
class Target:
    """A cluster of the user's by its kubeconfig's `context` and its `server`; None means a throw-away one.

    `kubeconfig` is a path, or several, or the content itself, as the provider takes it.
    """

    context: str | None
    server: str = ""
    kubeconfig: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.server} (context {self.context})"

    def need_answer(self) -> None:
        """Raise SandboxError when the cluster does not answer: that is not a wish for another one."""
        _, api = _open(self.kubeconfig, self.context)
        api.configuration.retries = 0
        try:
            client.VersionApi(api).get_code(_request_timeout=ANSWER_WITHIN, _preload_content=False)
        except Exception as error:
            # Whatever the client library raises here means one thing to the user.
            raise SandboxError(
                f"no cluster answers at {self.server} ({type(error).__name__}; context {self.context} of"
                f" {_called(self.kubeconfig)}): start that cluster, {OTHERWISE}"
            ) from error


def choose_target(environment: Mapping[str, str], home: Path, *, sandbox: bool) -> Target:
    """The cluster of the kubeconfig when there is one, else a throw-away cluster; it is not asked anything.

    Raises SandboxError when the kubeconfig names no cluster.
    """
    if sandbox:
        return Target(None)
    given = environment.get("KUBECONFIG")
    paths = [Path(path) for path in (given or str(home / ".kube" / "config")).split(os.pathsep) if path]
    if any(path.is_relative_to(STATE_ROOT) for path in paths):
        return Target(None)
    if not given and not any(path.exists() for path in paths):
        return Target(None)
    return _named(os.pathsep.join(map(str, paths)))


def stack_target(target: Target, settings: Mapping[str, str], environment: Mapping[str, str]) -> Target:
    """The cluster that a stack's configuration names for the provider, else `target`; it is not asked.

    Raises SandboxError when the configuration leads to no cluster.
    """
    kubeconfig, context = settings.get("kubernetes:kubeconfig"), settings.get("kubernetes:context")
    if kubeconfig is None and context is None:
        return target
    default = environment.get("KUBECONFIG") or str(Path(environment.get("HOME", "/")) / ".kube" / "config")
    return _named(kubeconfig or default, context)


def _named(kubeconfig: str, context: str | None = None) -> Target:
    name, api = _open(kubeconfig, context)
    return Target(name, api.configuration.host, kubeconfig)


def _open(kubeconfig: str, context: str | None) -> tuple[str, Any]:
    """The context's name and a client for it."""
    try:
        if _is_content(kubeconfig):
            content: Any = yaml.safe_load(kubeconfig)
            name = context or content["current-context"]
            return name, config.new_client_from_config_dict(content, context=name, persist_config=False)
        path = os.path.expanduser(kubeconfig)
        name = context or config.list_kube_config_contexts(path)[1]["name"]
        return name, config.new_client_from_config(path, context=name, persist_config=False)
    except yaml.YAMLError:
        # Its message quotes what it could not read, which may be a token.
        raise SandboxError(f"{_called(kubeconfig)} is of no use (it is not YAML): {OTHERWISE}") from None
    except (config.ConfigException, TypeError, KeyError, OSError) as error:
        # The client library takes any YAML for a mapping, hence the TypeError.
        raise SandboxError(f"{_called(kubeconfig)} is of no use ({error}): {OTHERWISE}") from error


def _is_content(kubeconfig: str) -> bool:
    return "\n" in kubeconfig or kubeconfig.lstrip().startswith("{")


def _called(kubeconfig: str) -> str:
    return "the stack's kubernetes:kubeconfig" if _is_content(kubeconfig) else f"the kubeconfig {kubeconfig}"
