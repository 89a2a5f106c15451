"""What the program has to know of the cluster before it declares anything.

The provider's preview succeeds on a cluster that does not answer, and a NodePort that is taken fails only
when half of the stack stands. So the cluster is asked first. What is read is a check, no more: nothing that
is declared follows from it but the addresses of the nodes, where no host is configured, and those follow what
was published before, so that they do not flip. (A definition newer than ours is declared as it is there.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pulumi
from urllib3.exceptions import HTTPError

from . import addresses, auth, trust, volumes
from .addresses import Node
from .auth import GivenFile
from .bucket import Bucket
from .connection import CHOOSE, ClusterError, OutOfReachError, client, connect
from .definition import GROUP, NAME, PLURAL, VERSION
from .identity import InSecret
from .inputs import known
from .keeping import HostPath, Kept
from .settings import Settings
from .trust import Published

SERVICE = "registry"

SECURITY_LEVEL = "pod-security.kubernetes.io/enforce"
"""The label that says what Pod Security admits to a namespace."""

# Connecting and reading, seconds each. A cluster further away than that is not a place to deploy to.
_TIMEOUT = (5, 15)
_MISSING = 404
_OPEN = "none"

_CHECKS = (
    "that the port is free, that storage.node is a node, that the Secret of htpasswd is there, and what "
    "other registries have defined there"
)


@dataclass(frozen=True, slots=True)
class Cluster:
    """What was found: the nodes by name, the Services, the definition of the address resource and our own.

    `definition` is None where there is none, `address` what our address resource says, empty for none, and
    `published` whom it has clients trust. `namespaces` are asked for where Secrets to pull with are made.
    `classes` are the StorageClasses; `claim`, `secret` and `logins` are what storage, tls and htpasswd name,
    `home` is the namespace if it is not to be made: None for what is not there.
    """

    nodes: tuple[Node, ...]
    services: tuple[Mapping[str, Any], ...]
    definition: Mapping[str, Any] | None
    address: Mapping[str, Any]
    published: Published
    namespaces: tuple[str, ...]
    classes: tuple[Mapping[str, Any], ...]
    claim: Mapping[str, Any] | None
    home: Mapping[str, Any] | None
    secret: Mapping[str, Any] | None = field(repr=False)
    logins: Mapping[str, Any] | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What follows: the hosts to publish where none is configured, and the definition that is there.

    `ca` is the authority that the Secret of tls names, None for none; `kubelets` are the nodes' versions.
    """

    hosts: tuple[str, ...]
    definition: Mapping[str, Any] | None
    ca: str | None = None
    kubelets: tuple[str, ...] = ()


def survey(settings: Settings, *, of_another_provider: bool) -> Surveyed:
    """Asks the cluster before anything is declared. Raises ClusterError, with what to do.

    With hosts configured a preview needs no cluster and says what it could not check; an update does. The
    cluster `of_another_provider`, one that the program brings along, cannot be asked from here.
    """
    discover = settings.external_hosts == ()
    unknown_ca = isinstance(settings.tls.served, InSecret) and settings.tls.ca is None
    if of_another_provider:
        if discover:
            raise ClusterError(
                "the nodes of a cluster that a provider of the program leads to are not known beforehand: "
                "set externalHosts to the names or addresses that lead there"
            )
        if unknown_ca:
            raise ClusterError(
                "the Secret of tls.secretName is behind a provider of the program and cannot be read here: "
                "set tls.ca to whom clients are to trust, empty for what systems trust anyway"
            )
        pulumi.log.info(f"not checked, as the provider is the program's: {_CHECKS}")
        return Surveyed((), None)
    try:
        cluster = read(settings)
    except OutOfReachError as error:
        if discover or unknown_ca or not pulumi.runtime.is_dry_run():
            raise
        pulumi.log.warn(f"not checked: {_CHECKS}, since {error}")
        return Surveyed((), None)
    check(settings, cluster)
    if cluster.address.get("auth", _OPEN) == _OPEN and auth.kind(settings.auth) != _OPEN and cluster.address:
        pulumi.log.warn(
            "a login is demanded from now on, which was not so far: clients and pods need one "
            "(docs/logins.md); without that, set auth to none"
        )
    port = known(settings.exposure.node_port)
    hosts = (
        addresses.choose(cluster.nodes, cluster.published.hosts, _families(settings, cluster), port)
        if discover
        else ()
    )
    ca = trust.check(settings.tls, cluster.published, cluster.secret, hosts or settings.named_hosts)
    return Surveyed(hosts, cluster.definition, ca, tuple(node.kubelet for node in cluster.nodes))


def read(settings: Settings) -> Cluster:
    """What the cluster has of what is configured. Raises ClusterError."""
    namespace = known(settings.namespace)
    api = connect()
    core = client.CoreV1Api(api)
    try:
        nodes = _items(core.list_node(_request_timeout=_TIMEOUT, _preload_content=False))
        services = _items(
            core.list_service_for_all_namespaces(_request_timeout=_TIMEOUT, _preload_content=False)
        )
        definitions = _items(
            client.ApiextensionsV1Api(api).list_custom_resource_definition(
                field_selector=f"metadata.name={NAME}", _request_timeout=_TIMEOUT, _preload_content=False
            )
        )
        address: Mapping[str, Any] = _address(api, namespace) if definitions and namespace else {}
        namespaces = (
            _items(core.list_namespace(_request_timeout=_TIMEOUT, _preload_content=False))
            if settings.pulling
            else ()
        )
        classes = _items(
            client.StorageV1Api(api).list_storage_class(_request_timeout=_TIMEOUT, _preload_content=False)
        )
        claim = _claim(core, namespace, settings.storage)
        served, way_in = settings.tls.served, settings.auth
        secret = _secret(core, namespace, served.secret if isinstance(served, InSecret) else None)
        logins = _secret(core, namespace, way_in.secret if isinstance(way_in, GivenFile) else None)
        home = _one(core.read_namespace, namespace) if namespace and not settings.create_namespace else None
    except client.ApiException as error:
        raise OutOfReachError(
            f"the cluster refused to list what is on it ({error.status} {error.reason}): "
            "use a kubeconfig whose user may administer the cluster"
        ) from None
    except HTTPError as error:
        where = f"the cluster at {api.configuration.host}"
        raise OutOfReachError(f"{where} does not answer ({_root(error)}): start it, or {CHOOSE}") from None
    found = tuple(sorted(map(addresses.node, nodes), key=lambda node: node.name))
    return Cluster(
        nodes=found,
        services=tuple(services),
        definition=next(iter(definitions), None),
        address=cast("dict[str, Any]", address.get("spec") or {}),
        published=trust.published(address),
        namespaces=tuple(each["metadata"]["name"] for each in namespaces),
        classes=tuple(classes),
        claim=claim,
        home=home,
        secret=secret,
        logins=logins,
    )


def check(settings: Settings, cluster: Cluster) -> None:
    """Raises ClusterError for what the cluster has no room for."""
    port, namespace = known(settings.exposure.node_port), known(settings.namespace)
    for service in cluster.services:
        spec, metadata = service["spec"], service["metadata"]
        where = f"{metadata['namespace']}/{metadata['name']}"
        ports = [each.get("nodePort") for each in spec.get("ports") or ()] + [spec.get("healthCheckNodePort")]
        if port is not None and port in ports and not _is_own(service, namespace):
            moving = " (a registry that moves from there is destroyed there first)"
            raise ClusterError(
                f"port {port} of the nodes is taken by the service {where}: choose another "
                f"with `pulumi config set nodePort`{moving if metadata['name'] == SERVICE else ''}"
            )
    if namespace and not settings.create_namespace:
        _check_home(settings.storage, namespace, cluster.home)
    for each in settings.pulling.namespaces if settings.pulling else ():
        if each not in (*cluster.namespaces, namespace):
            raise ClusterError(
                f"pullSecrets.namespaces has {each!r}, which the cluster does not have: make it first, or "
                "leave it out"
            )
    if isinstance(settings.auth, GivenFile) and namespace:
        there = bool(cluster.address) or not settings.create_namespace
        auth.check(settings.auth, namespace, cluster.logins, namespace_is_there=there)
    if isinstance(settings.storage, HostPath):
        _check_node(settings.storage, cluster)
    elif not isinstance(settings.storage, Bucket):
        volumes.check(settings.storage, namespace, cluster.classes, cluster.claim, settings.replicas)


def _check_home(storage: Kept, namespace: str, home: Mapping[str, Any] | None) -> None:
    if home is None:
        raise ClusterError(
            f"createNamespace is false and the cluster has no namespace {namespace!r}: make it, or leave "
            "createNamespace out"
        )
    level = cast("dict[str, str]", home["metadata"].get("labels") or {}).get(SECURITY_LEVEL)
    if isinstance(storage, HostPath) and level in ("baseline", "restricted"):
        raise ClusterError(
            f"the namespace {namespace} enforces the Pod Security level {level}, which admits no hostPath: "
            "set storage.kind to persistentVolumeClaim, or have the namespace's owner admit it by the label "
            f"{SECURITY_LEVEL}"
        )


def _check_node(storage: HostPath, cluster: Cluster) -> None:
    names, wanted = [node.name for node in cluster.nodes], known(storage.node)
    if storage.node is None and len(names) > 1:
        default = volumes.default_class(cluster.classes)
        room = f"of the default class {default}" if default else "(the cluster has no default StorageClass)"
        raise ClusterError(
            f"the cluster has {len(names)} nodes and storage names none of them, so the pod could start on "
            f"one that does not hold the images: set storage.node to one of {', '.join(names)}, or "
            f"storage.kind to persistentVolumeClaim for a volume {room} that follows the pod"
        )
    if wanted is not None and wanted not in names:
        raise ClusterError(
            f"storage.node is {wanted!r}, which is not a node of the cluster: give {' or '.join(names)}"
        )


def _is_own(service: Mapping[str, Any], namespace: str | None) -> bool:
    """By where it lies, which is the registry's alone, and not by the name of a stack, which changes."""
    metadata = service["metadata"]
    return namespace is None or (metadata["namespace"], metadata["name"]) == (namespace, SERVICE)


def _families(settings: Settings, cluster: Cluster) -> frozenset[str]:
    """The families of the Service where it stands, else those that the cluster's Services have."""
    namespace = known(settings.namespace)
    own = [service for service in cluster.services if namespace and _is_own(service, namespace)]
    found = [service["spec"].get("ipFamilies") or () for service in own or cluster.services]
    return frozenset(family for families in found for family in families)


def _address(api: Any, namespace: str) -> Mapping[str, Any]:
    """The registry's address resource; empty where there is none."""
    try:
        found = client.CustomObjectsApi(api).get_namespaced_custom_object(
            GROUP, VERSION, namespace, PLURAL, SERVICE, _request_timeout=_TIMEOUT
        )
    except client.ApiException as error:
        if error.status == _MISSING:
            return {}
        raise
    return found


def _claim(core: Any, namespace: str | None, storage: Kept) -> Mapping[str, Any] | None:
    """The claim that the storage names; None where there is none, or where its name is not known yet."""
    name = None if isinstance(storage, HostPath | Bucket) else known(storage.claim)
    return _one(core.read_namespaced_persistent_volume_claim, name, namespace) if name and namespace else None


def _secret(core: Any, namespace: str | None, secret: pulumi.Input[str] | None) -> Mapping[str, Any] | None:
    """The Secret by its name; None where there is none, or where its name is not known yet."""
    name = known(secret)
    return _one(core.read_namespaced_secret, name, namespace) if name and namespace else None


def _one(read: Any, *names: str) -> Mapping[str, Any] | None:
    """The object that `read` finds by its name; None where there is none."""
    try:
        return json.loads(read(*names, _request_timeout=_TIMEOUT, _preload_content=False).data)
    except client.ApiException as error:
        if error.status == _MISSING:
            return None
        raise


def _items(response: Any) -> list[dict[str, Any]]:
    return json.loads(response.data)["items"]


def _root(error: BaseException) -> BaseException:
    """What an error of the HTTP client comes down to, such as a refused connection."""
    inner = [error.__cause__, getattr(error, "reason", None), *error.args]
    causes = [cause for cause in inner if isinstance(cause, BaseException)]
    return _root(causes[0]) if causes else error
