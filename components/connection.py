"""The one cluster that is meant: by the same settings the program asks it and the provider deploys to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pulumi
import pulumi_kubernetes as k8s
import yaml
from kubernetes import client as untyped_client
from kubernetes import config as untyped_config

# The official client declares next to no types.
client = cast("Any", untyped_client)
config = cast("Any", untyped_config)

_DEFAULT = Path("~/.kube/config")
CHOOSE = (
    "choose another by KUBECONFIG, `pulumi config set kubernetes:kubeconfig` or "
    "`pulumi config set kubernetes:context`"
)

# What else of the provider can be set in the stack configuration, by kind of value.
_TEXTS = ("clusterIdentifier", "renderYamlToDirectory")
_FLAGS = (
    "alwaysRender",
    "deleteUnreachable",
    "enableConfigMapMutable",
    "enablePatchForce",
    "enableSecretMutable",
    "enableServerSideApply",
    "skipUpdateUnreachable",
    "suppressDeprecationWarnings",
    "upsertExistingObjects",
)


class ClusterError(pulumi.RunError):
    """The cluster has no room for this registry, or `kubernetes:` is set to what cannot be followed."""


class OutOfReachError(ClusterError):
    """The cluster does not answer, refuses to, or there is no kubeconfig that leads to it."""


ANY_KIND = "kubernetes:core/v1:Namespace"
"""Of the kinds that the Kubernetes provider serves, to ask a resource for its provider."""


def brings_provider(opts: pulumi.ResourceOptions | None) -> bool:
    """Whether a resource of these options has a Kubernetes provider of the program's, or its parent has."""
    if opts is None:
        return False
    several = opts.providers or []
    named = [opts.provider, *(several.values() if isinstance(several, Mapping) else several)]
    return any(isinstance(each, k8s.Provider) for each in named) or (
        opts.parent is not None and opts.parent.get_provider(ANY_KIND) is not None
    )


def provider(name: str, opts: pulumi.ResourceOptions) -> k8s.Provider:
    """What deploys to the cluster that `connect` leads to.

    What the configuration leaves open stays open, so that no path of this machine gets into the state:
    program and provider read the same environment.
    """
    given = pulumi.Config("kubernetes")
    kubeconfig = given.get("kubeconfig")
    more: dict[str, Any] = {_snake_case(key): given.get(key) for key in _TEXTS}
    more |= {_snake_case(key): given.get_bool(key) for key in _FLAGS}
    if more["enable_secret_mutable"] is None:
        # Other passwords are other content of the Secret that the pod has mounted; those that are to roll it
        # are immutable.
        more["enable_secret_mutable"] = True
    if more["enable_config_map_mutable"] is None:
        # Those that others find by name change in place; the others are immutable, and renamed all the same.
        more["enable_config_map_mutable"] = True
    settings = given.get_object("kubeClientSettings")
    return k8s.Provider(
        name,
        # The SDK would put KUBECONFIG's value in the place of a plain None.
        kubeconfig=pulumi.Output.secret(kubeconfig) if kubeconfig else pulumi.Output.from_input(None),
        context=given.get("context"),
        kube_client_settings=cast("Any", settings),
        **more,
        opts=opts,
    )


def connect() -> Any:
    """A client for the provider's cluster: the configuration's, else KUBECONFIG's, else the pod's.

    Raises ClusterError.
    """
    given = pulumi.Config("kubernetes")
    if given.get("cluster"):
        raise ClusterError("kubernetes:cluster is not followed here: choose a context by kubernetes:context")
    settings = client.Configuration()
    try:
        _load(given.get("kubeconfig"), given.get("context"), settings)
    except yaml.YAMLError:
        # Its message quotes what it could not read, which may be a token.
        raise OutOfReachError(f"no usable kubeconfig (it is not YAML): {CHOOSE}") from None
    except (config.ConfigException, OSError) as error:
        raise OutOfReachError(f"no usable kubeconfig ({error}): {CHOOSE}") from None
    settings.retries = 0
    return client.ApiClient(settings)


def _load(kubeconfig: str | None, context: str | None, settings: Any) -> None:
    if kubeconfig and ("\n" in kubeconfig or kubeconfig.lstrip().startswith("{")):
        content = yaml.safe_load(kubeconfig)
        config.load_kube_config_from_dict(
            content, context=context, client_configuration=settings, persist_config=False
        )
        return
    path = kubeconfig or os.environ.get("KUBECONFIG")
    if not path and "KUBERNETES_SERVICE_HOST" in os.environ and not _DEFAULT.expanduser().exists():
        config.load_incluster_config(client_configuration=settings)
        return
    # The client reads KUBECONFIG once, when it is imported; the provider whenever it is asked.
    path = os.path.expanduser(path or str(_DEFAULT))
    if not any(map(os.path.exists, path.split(os.pathsep))):
        raise FileNotFoundError(f"{path} does not exist")
    config.load_kube_config(path, context=context, client_configuration=settings, persist_config=False)


def _snake_case(key: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)
