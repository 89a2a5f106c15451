"""What the program has to know of the cluster before it declares anything.

The provider's preview succeeds on a cluster that does not answer, and a NodePort that is taken fails only
when half of the stack stands. So the cluster is asked first, with the provider's own kubeconfig and context.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pulumi
import yaml
from kubernetes import client as untyped_client
from kubernetes import config as untyped_config
from urllib3.exceptions import HTTPError

from .settings import Settings, known

# The official client declares next to no types.
client = cast("Any", untyped_client)
config = cast("Any", untyped_config)

DEFINITION = "registryaddresses.docker-registry.internal"
OWNER_ANNOTATION = "docker-registry.internal/owned-by"
SERVICE = "registry"

_DEFAULT = Path("~/.kube/config")
_CHOOSE = (
    "choose another by KUBECONFIG, `pulumi config set kubernetes:kubeconfig` or "
    "`pulumi config set kubernetes:context`"
)

# Connecting and reading, seconds each. A cluster further away than that is no place to deploy to.
_TIMEOUT = (5, 15)


class ClusterError(pulumi.RunError):
    """The cluster does not answer, refuses to, or has no room for this stack."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node by name, with its addresses."""

    name: str
    external: tuple[str, ...]
    internal: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cluster:
    """What was found: the nodes by name, and the stack that owns the definition, None where there is none."""

    nodes: tuple[Node, ...]
    definition_owner: str | None

    def addresses(self) -> tuple[str, ...]:
        """Every address of every node, those for the outside first. Raises ClusterError if there is none."""
        found = [address for node in self.nodes for address in node.external]
        found += [address for node in self.nodes for address in node.internal]
        if not found:
            raise ClusterError("no node of the cluster has an address: set externalHosts to what leads there")
        return tuple(dict.fromkeys(found))


def survey(settings: Settings, stack: str) -> Cluster:
    """Asks the provider's cluster on behalf of `stack`, whose own objects carry its name.

    Raises ClusterError, with what to do, before anything is declared.
    """
    api = _connect(pulumi.Config("kubernetes"))
    try:
        core = client.CoreV1Api(api)
        nodes = core.list_node(_request_timeout=_TIMEOUT)
        services = core.list_service_for_all_namespaces(_request_timeout=_TIMEOUT)
        definitions = client.ApiextensionsV1Api(api).list_custom_resource_definition(
            field_selector=f"metadata.name={DEFINITION}", _request_timeout=_TIMEOUT
        )
    except client.ApiException as error:
        raise ClusterError(
            f"the cluster refused to list what is on it ({error.status} {error.reason}): "
            "use a kubeconfig whose user may administer the cluster"
        ) from None
    except HTTPError as error:
        where = f"the cluster at {api.configuration.host}"
        raise ClusterError(f"{where} does not answer ({_root(error)}): start it, or {_CHOOSE}") from None
    _refuse_taken_port(known(settings.node_port), stack, services.items)
    found = tuple(sorted(map(_node, nodes.items), key=lambda node: node.name))
    _check_storage_node(settings, [node.name for node in found])
    return Cluster(nodes=found, definition_owner=next(map(_owner, definitions.items), None))


def _root(error: BaseException) -> BaseException:
    """What an error of the HTTP client comes down to, such as a refused connection."""
    inner = [error.__cause__, getattr(error, "reason", None), *error.args]
    causes = [cause for cause in inner if isinstance(cause, BaseException)]
    return _root(causes[0]) if causes else error


def _connect(provider: pulumi.Config) -> Any:
    """A client for the cluster the provider will use: its configuration, else KUBECONFIG, else in the pod."""
    if provider.get("cluster"):
        raise ClusterError("kubernetes:cluster is not followed here: choose a context by kubernetes:context")
    settings = client.Configuration()
    try:
        _load(provider.get("kubeconfig"), provider.get("context"), settings)
    except yaml.YAMLError:
        # Its message quotes what it could not read, which may be a token.
        raise ClusterError(f"no usable kubeconfig (it is not YAML): {_CHOOSE}") from None
    except (config.ConfigException, OSError) as error:
        raise ClusterError(f"no usable kubeconfig ({error}): {_CHOOSE}") from None
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


def _refuse_taken_port(node_port: int | None, stack: str, services: list[Any]) -> None:
    for service in services:
        ports = [port.node_port for port in service.spec.ports or ()] + [service.spec.health_check_node_port]
        if node_port is not None and node_port in ports and _owner(service) != stack:
            where = f"{service.metadata.namespace}/{service.metadata.name}"
            raise ClusterError(
                f"port {node_port} of the nodes is taken by the service {where}: choose another "
                "with `pulumi config set nodePort`"
            )


def _check_storage_node(settings: Settings, nodes: list[str]) -> None:
    wanted = known(settings.storage.node)
    if settings.storage.node is None and len(nodes) > 1:
        pulumi.log.warn(
            f"the cluster has {len(nodes)} nodes and storage names none of them: the pod may move to one "
            f"that does not hold the images; set storage.node to one of {', '.join(nodes)}"
        )
    if wanted is not None and wanted not in nodes:
        raise ClusterError(
            f"storage.node is {wanted!r}, which is not a node of the cluster: give {' or '.join(nodes)}"
        )


def _owner(item: Any) -> str:
    return cast("dict[str, str]", item.metadata.annotations or {}).get(OWNER_ANNOTATION, "")


def _node(item: Any) -> Node:
    addresses = [(address.type, address.address) for address in item.status.addresses or ()]
    return Node(
        name=item.metadata.name,
        external=tuple(address for kind, address in addresses if kind == "ExternalIP"),
        internal=tuple(address for kind, address in addresses if kind == "InternalIP"),
    )
