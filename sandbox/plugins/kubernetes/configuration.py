"""The provider's configuration: which kubeconfig, whether it is the sandbox's, and the switches."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from kubernetes import config
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration

from sandbox.plugins import sandboxed
from sandbox.plugins.protocol import PluginError
from sandbox.plugins.values import Properties, as_dict, as_list

_SWITCHES = {
    "enableConfigMapMutable": "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE",
    "enableSecretMutable": "PULUMI_K8S_ENABLE_SECRET_MUTABLE",
    "enablePatchForce": "PULUMI_K8S_ENABLE_PATCH_FORCE",
    "upsertExistingObjects": "PULUMI_K8S_UPSERT_EXISTING_OBJECTS",
    "deleteUnreachable": "PULUMI_K8S_DELETE_UNREACHABLE",
}


class Unreachable(PluginError):
    """No cluster answers, or none is named: a preview goes on without one, an update cannot."""


class Refused(PluginError):
    """The kubeconfig names a cluster that is not the sandbox's."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration as given: kubeconfig is a path or the text itself, empty for the ambient one."""

    kubeconfig: str
    context: str | None
    cluster: str | None
    namespace: str
    mutable: frozenset[str]
    patch_force: bool
    upsert: bool
    delete_unreachable: bool


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What tells one cluster from another: the API server's URL and the authority that it is trusted by."""

    server: str
    authority: bytes


def settings(variables: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """The provider's variables, then the environment's, then the defaults.

    Raises PluginError for a mode that the stand-in does not have.
    """
    for mode, value in (("renderYamlToDirectory", ""), ("enableServerSideApply", "true")):
        if variables.get(mode, value) != value:
            raise PluginError(f"the sandbox's kubernetes plugin takes no {mode}={variables[mode]!r}")
    on = {
        switch: (variables.get(switch) or environment.get(variable)) == "true"
        for switch, variable in _SWITCHES.items()
    }
    mutable = {"ConfigMap": on["enableConfigMapMutable"], "Secret": on["enableSecretMutable"]}
    return Settings(
        kubeconfig=variables.get("kubeconfig", ""),
        context=variables.get("context") or None,
        cluster=variables.get("cluster") or None,
        namespace=variables.get("namespace", ""),
        mutable=frozenset(kind for kind, value in mutable.items() if value),
        patch_force=on["enablePatchForce"],
        upsert=on["upsertExistingObjects"],
        delete_unreachable=on["deleteUnreachable"],
    )


def load(kubeconfig: str) -> Properties:
    """The kubeconfig at a path or of a text, ambient when empty; certificate files are read in.

    Raises Unreachable when there is none or it is no kubeconfig.
    """
    text = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    base = Path.cwd()
    if "\n" not in text and not text.lstrip().startswith("{"):
        path = Path(text).expanduser()
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise Unreachable(f"kubeconfig {path}: {error.strerror or error}") from error
        base = path.parent
    try:
        document = as_dict(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise Unreachable(f"the kubeconfig is no YAML: {error}") from error
    if not as_list(document.get("clusters")):
        raise Unreachable("the kubeconfig names no clusters")
    return _inline(document, base)


def _inline(document: Properties, base: Path) -> Properties:
    for section, entry, keys in (
        ("clusters", "cluster", ("certificate-authority",)),
        ("users", "user", ("client-certificate", "client-key")),
    ):
        for item in as_list(document.get(section)):
            values = as_dict(item.get(entry))
            for key in keys:
                if key in values:
                    try:
                        content = (base / values.pop(key)).read_bytes()
                    except OSError as error:
                        raise Unreachable(f"kubeconfig, {key}: {error}") from error
                    values[f"{key}-data"] = base64.b64encode(content).decode()
    return document


def endpoint(document: Properties, context: str | None, cluster: str | None) -> Endpoint:
    """The cluster that a kubeconfig's context means. Raises Unreachable when it names none."""
    chosen = context or document.get("current-context")
    found = as_dict(_named(document, "contexts", chosen).get("context"))
    if not found:
        raise Unreachable(f"the kubeconfig has no context {chosen!r}")
    name = cluster or found.get("cluster")
    values = as_dict(_named(document, "clusters", name).get("cluster"))
    if not values.get("server"):
        raise Unreachable(f"the kubeconfig has no cluster {name!r}")
    authority = base64.b64decode(values.get("certificate-authority-data") or "")
    return Endpoint(str(values["server"]).rstrip("/"), authority)


def _named(document: Properties, section: str, name: Any) -> Properties:
    return as_dict(next((item for item in as_list(document.get(section)) if item["name"] == name), None))


def namespace_of(document: Properties, context: str | None) -> str:
    """The namespace of a kubeconfig's context, `default` when it says none."""
    found = _named(document, "contexts", context or document.get("current-context"))
    return as_dict(found.get("context")).get("namespace") or "default"


def assert_sandbox(target: Endpoint) -> None:
    """Raise Refused unless the endpoint is that of the sandbox's kubeconfig."""
    path = sandboxed.sandbox_kubeconfig()
    if path is None:
        raise Refused(
            sandboxed.refusal("kubernetes", f"{sandboxed.KUBECONFIG_VARIABLE} does not name its kubeconfig")
        )
    try:
        own = endpoint(load(path), None, None)
    except Unreachable as error:
        raise Refused(sandboxed.refusal("kubernetes", f"the sandbox's own is not there ({error})")) from error
    if target != own:
        raise Refused(
            sandboxed.refusal(
                "kubernetes", f"the kubeconfig means {target.server}, the sandbox is {own.server}"
            )
        )


def client(document: Properties, context: str | None, cluster: str | None) -> ApiClient:
    """An API client for the kubeconfig's context, straight to the server whatever proxy is set."""
    if cluster:
        chosen = context or document.get("current-context")
        _named(document, "contexts", chosen)["context"]["cluster"] = cluster
    configuration = cast("Any", Configuration)()
    try:
        cast("Any", config).load_kube_config_from_dict(
            document, context=context, client_configuration=configuration, persist_config=False
        )
    except config.ConfigException as error:
        raise Unreachable(f"the kubeconfig cannot be used: {error}") from error
    configuration.proxy = None
    return ApiClient(configuration)
