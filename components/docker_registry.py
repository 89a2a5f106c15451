"""A whole registry in one component: from args to all that a program needs to know of it.

The annotations that Pulumi's analyzer reads are real types and no text, as in `args`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

import pulumi

from . import auth, bucketcheck, connection, logins
from .accepted import camel_case
from .announcement import Announcement
from .args import SECRETS, DockerRegistryArgs
from .bucket import Bucket, called
from .certificates import Certificates
from .cluster import survey
from .external_address import ExternalAddress
from .keeping import HostPath
from .labels import Labels, selector
from .monitoring.objects import Monitoring
from .nodes.folders import usual
from .nodes.objects import NodeTrust
from .pod import PORT
from .registry import Registry, names_inside
from .settings import Settings, settle
from .sidecar import deployment_of


class DockerRegistry(pulumi.ComponentResource):
    """A private Docker registry on Kubernetes that serves HTTPS, says where, and prunes itself online."""

    address: pulumi.Output[str]
    """Where to push, host:port; the first of the addresses"""
    addresses: pulumi.Output[list[str]]
    """Every host:port that clients outside the cluster reach it by and its certificate covers"""
    internal_address: pulumi.Output[str]
    """Where pods of the cluster reach it, host:port"""
    ca_certificate: pulumi.Output[str]
    """The certificate authority to trust, PEM"""
    namespace: pulumi.Output[str]
    """The namespace in which everything lies"""
    service: pulumi.Output[str]
    """The name of its Service"""
    auth: pulumi.Output[str]
    """How clients log in: htpasswd, by name and password, token, or none"""
    user: pulumi.Output[str] | None
    """The user whose password the stack made, if it made one"""
    password: pulumi.Output[str] | None
    """That password, a secret"""
    data: pulumi.Output[str]
    """Where the images are kept, in words; they stay there when all else is destroyed"""

    def __init__(
        self, name: str, args: DockerRegistryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """`args` may be a mapping with the same fields. Raises SettingsError for wrong ones, ClusterError."""
        settings = settle(args, lambda field: f"{name}: {camel_case(field)}")
        if settings.pull_through:
            pulumi.log.info(
                f"{name}: registryConfig.proxy makes this registry a pull-through cache: it takes no pushes "
                "and expires what it holds by itself, and the pruner is off"
            )
        if isinstance(settings.auth, auth.Open):
            pulumi.log.info("auth is none: whoever reaches the registry may push and delete")
        # Before anything is registered, this component included.
        cluster = survey(settings, of_another_provider=connection.brings_provider(opts))
        if isinstance(settings.storage, Bucket):
            bucketcheck.check(settings.storage)
        super().__init__("docker-registry:index:DockerRegistry", name, _recorded(args), opts)
        child = pulumi.ResourceOptions(parent=self)
        if self.get_provider(connection.ANY_KIND) is None:
            own = connection.provider(f"{name}-cluster", child)
            child = pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(providers=[own]))
        labels = Labels(settings.namespace, settings.registry_image)
        hosts = pulumi.Output.from_input(settings.external_hosts or cluster.hosts)
        certificates = Certificates(
            f"{name}-certificates",
            identity=settings.tls,
            found_ca=cluster.ca,
            owner=f"{pulumi.get_stack()}/{name}",
            hosts=pulumi.Output.all(hosts, settings.namespace).apply(
                lambda both: [*both[0], *names_inside(both[1])]
            ),
            opts=child,
        )
        registry = Registry(
            name, settings=settings, hosts=hosts, labels=labels, certificates=certificates, opts=child
        )
        published = ExternalAddress(
            f"{name}-address",
            hosts=hosts,
            port=settings.exposure.port,
            labels_of=labels,
            namespace=registry.namespace,
            service=registry.service,
            ca_pem=certificates.ca_pem,
            auth=auth.kind(settings.auth),
            authorities=settings.tls.authorities,
            defined=cluster.definition,
            opts=child,
        )
        passwords = registry.logins.passwords
        internal = pulumi.Output.concat(registry.service, ".", registry.namespace, f".svc:{PORT}")
        if settings.pulling is not None and passwords is not None:
            logins.pull_secrets(
                name,
                settings.pulling,
                passwords,
                pulumi.Output.all(published.addresses, internal).apply(lambda both: [*both[0], both[1]]),
                registry.namespace,
                labels.of("registry"),
                child,
            )
        Monitoring(
            f"{name}-monitoring",
            seen=settings.seen,
            found_by={"pods": selector("registry")}
            if settings.replicas == 1
            else {"pods": selector("pruner"), "registries": selector("registry")},
            deployment=deployment_of(settings),
            labels=labels,
            namespace=registry.namespace,
            opts=child,
        )
        self.address = published.address
        self.addresses = published.addresses
        self.internal_address = internal
        self.ca_certificate = certificates.ca_pem
        Announcement(
            f"{name}-announcement",
            settings=settings,
            labels=labels,
            ca_pem=self.ca_certificate,
            address=self.address,
            internal_address=self.internal_address,
            opts=child,
        )
        if settings.node_trust is not None:
            NodeTrust(
                f"{name}-nodes",
                settings=settings,
                folders=settings.node_trust.folders or usual(cluster.kubelets),
                labels=labels,
                addresses=self.addresses,
                ca_pem=self.ca_certificate,
                opts=child,
            )
        self.namespace = registry.namespace
        self.service = registry.service
        self.auth = pulumi.Output.from_input(cast("str", auth.kind(settings.auth)))
        self.user = registry.logins.user
        self.password = registry.logins.password
        self.data = _data(settings)
        self.register_outputs(
            {
                "address": self.address,
                "addresses": self.addresses,
                "internalAddress": self.internal_address,
                "caCertificate": self.ca_certificate,
                "namespace": self.namespace,
                "service": self.service,
                "auth": self.auth,
                "user": self.user,
                "password": self.password,
                "data": self.data,
            }
        )


# In a mapping of other languages, and of the configuration, they are called as there.
_SECRET = frozenset(map(camel_case, SECRETS))


def _recorded(given: object) -> dict[str, Any]:
    """The args, or an object in them, as the state holds it."""
    # Not `asdict`, which copies what it finds: an Output is not a value to copy.
    fields = cast("Mapping[str, object]", given if isinstance(given, Mapping) else vars(given))
    return {
        camel_case(name): pulumi.Output.secret(value) if camel_case(name) in _SECRET else _plain(value)
        for name, value in fields.items()
        if value is not None
    }


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(entry) for entry in cast("list[object]", value)]
    if isinstance(value, Mapping) or dataclasses.is_dataclass(value):
        return _recorded(cast("object", value))
    return value


def _data(settings: Settings) -> pulumi.Output[str]:
    storage = settings.storage
    if isinstance(storage, Bucket):
        return called(storage)
    if not isinstance(storage, HostPath):
        return pulumi.Output.concat("persistentVolumeClaim ", settings.namespace, "/", storage.claim)
    node = "the node that runs the registry" if storage.node is None else storage.node
    return pulumi.Output.concat(storage.path, " on ", node)
