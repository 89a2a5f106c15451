"""Where to push: the addresses that clients outside the cluster use, published in the cluster itself.

`kubectl get registryaddresses -A` answers it. There is one definition in a cluster, however many stacks: the
first stack declares it and owns it, which an annotation records; the others only use it. With its owner's
destruction the definition goes, and the others' addresses with it; their next `pulumi up --refresh` declares
both again.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as k8s

from . import labels, pod
from .cluster import DEFINITION, OWNER_ANNOTATION
from .labels import Labels

_GROUP = "docker-registry.internal"
_KIND = "RegistryAddress"
_VERSION = "v1"


class ExternalAddress(pulumi.ComponentResource):
    """The published addresses as `host:port`; `address` is the first of `addresses`."""

    address: pulumi.Output[str]
    addresses: pulumi.Output[list[str]]

    def __init__(
        self,
        name: str,
        *,
        hosts: pulumi.Input[Sequence[str]],
        node_port: pulumi.Input[int],
        labels_of: Labels,
        namespace: pulumi.Input[str],
        service: pulumi.Input[str],
        ca_pem: pulumi.Input[str],
        stack: str,
        definition_owner: str | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`definition_owner` is the stack that owns the cluster's definition, None where there is none."""
        super().__init__(
            "docker-registry:index:ExternalAddress", name, {"hosts": hosts, "nodePort": node_port}, opts
        )
        self.addresses = pulumi.Output.all(hosts, node_port).apply(
            lambda both: [_endpoint(host, both[1]) for host in both[0]]
        )
        self.address = self.addresses.apply(lambda addresses: addresses[0])
        definition = None
        if definition_owner in (None, stack):
            definition = k8s.apiextensions.v1.CustomResourceDefinition(
                f"{name}-definition",
                metadata=k8s.meta.v1.ObjectMetaArgs(
                    name=DEFINITION, annotations={OWNER_ANNOTATION: stack}, labels=labels.SHARED
                ),
                spec=_definition(),
                opts=pulumi.ResourceOptions(parent=self),
            )
        k8s.apiextensions.CustomResource(
            name,
            api_version=f"{_GROUP}/{_VERSION}",
            kind=_KIND,
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name="registry", namespace=namespace, labels=labels_of.of("address")
            ),
            spec={
                "address": self.address,
                "addresses": self.addresses,
                "caBundle": ca_pem,
                "serviceRef": {"name": service, "namespace": namespace, "port": pod.PORT},
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[definition] if definition else []),
        )
        self.register_outputs({"address": self.address, "addresses": self.addresses})


def _endpoint(host: str, port: float) -> str:
    # A number from elsewhere comes as 32000.0.
    port = int(port)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _definition() -> k8s.apiextensions.v1.CustomResourceDefinitionSpecArgs:
    return k8s.apiextensions.v1.CustomResourceDefinitionSpecArgs(
        group=_GROUP,
        scope="Namespaced",
        names=k8s.apiextensions.v1.CustomResourceDefinitionNamesArgs(
            kind=_KIND,
            list_kind=f"{_KIND}List",
            plural=DEFINITION.partition(".")[0],
            singular=_KIND.lower(),
        ),
        versions=[
            k8s.apiextensions.v1.CustomResourceDefinitionVersionArgs(
                name=_VERSION,
                served=True,
                storage=True,
                additional_printer_columns=[
                    _column("Address", "string", ".spec.address", "Where to push to"),
                    _column(
                        "Addresses", "string", ".spec.addresses", "Every address that leads there", priority=1
                    ),
                    _column(
                        "Service", "string", ".spec.serviceRef.name", "The Service behind it", priority=1
                    ),
                    _column("Age", "date", ".metadata.creationTimestamp", "When it was published"),
                ],
                schema=k8s.apiextensions.v1.CustomResourceValidationArgs(
                    open_apiv3_schema=_schema(
                        "object",
                        "Where a Docker registry of this cluster is reached, and how it is trusted",
                        properties={
                            "spec": _schema("object", "What its stack published", properties=_fields())
                        },
                    )
                ),
            )
        ],
    )


def _fields() -> dict[str, k8s.apiextensions.v1.JSONSchemaPropsArgs]:
    return {
        "address": _schema("string", "The address to push to, host:port"),
        "addresses": _schema(
            "array", "Every address that leads to the registry", items=_schema("string", "host:port")
        ),
        "caBundle": _schema("string", "The certificate authority to trust, PEM"),
        "serviceRef": _schema(
            "object",
            "The Service of the registry, for clients inside the cluster",
            properties={
                "name": _schema("string", "Its name"),
                "namespace": _schema("string", "Its namespace"),
                "port": _schema("integer", "Its port, HTTPS"),
            },
        ),
    }


def _schema(
    kind: str,
    description: str,
    *,
    properties: dict[str, k8s.apiextensions.v1.JSONSchemaPropsArgs] | None = None,
    items: k8s.apiextensions.v1.JSONSchemaPropsArgs | None = None,
) -> k8s.apiextensions.v1.JSONSchemaPropsArgs:
    """A field of `kind`; an object must have all of its properties."""
    return k8s.apiextensions.v1.JSONSchemaPropsArgs(
        type=kind,
        description=description,
        properties=properties,
        required=list(properties) if properties else None,
        items=items,
    )


def _column(
    name: str, kind: str, path: str, description: str, *, priority: int | None = None
) -> k8s.apiextensions.v1.CustomResourceColumnDefinitionArgs:
    """A column of `kubectl get`; with a priority of 1 it shows under `-o wide` alone."""
    return k8s.apiextensions.v1.CustomResourceColumnDefinitionArgs(
        name=name, type=kind, json_path=path, description=description, priority=priority
    )
