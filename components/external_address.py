"""Where to push: the addresses that clients outside the cluster use, published in the cluster itself.

`kubectl get registryaddresses -A` answers it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from . import definition, pod, trust
from .cluster import SERVICE
from .inputs import endpoint
from .labels import Labels


class ExternalAddress(pulumi.ComponentResource):
    """The published addresses as `host:port`; `address` is the first of `addresses`."""

    address: pulumi.Output[str]
    addresses: pulumi.Output[list[str]]

    def __init__(
        self,
        name: str,
        *,
        hosts: pulumi.Input[Sequence[str]],
        port: pulumi.Input[int],
        labels_of: Labels,
        namespace: pulumi.Input[str],
        service: pulumi.Input[str],
        ca_pem: pulumi.Input[str],
        auth: str,
        authorities: Sequence[int],
        defined: Mapping[str, Any] | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`authorities` are the numbers of the stack's own in `ca_pem`.

        `defined` is the definition that the cluster has, None where there is none or it is not known.
        """
        super().__init__("docker-registry:index:ExternalAddress", name, {"hosts": hosts, "port": port}, opts)
        self.addresses = pulumi.Output.all(hosts, port).apply(
            lambda both: [endpoint(host, both[1]) for host in both[0]]
        )
        self.address = self.addresses.apply(lambda addresses: addresses[0])
        kind = definition.declare(f"{name}-definition", defined, pulumi.ResourceOptions(parent=self))
        k8s.apiextensions.CustomResource(
            name,
            api_version=f"{definition.GROUP}/{definition.VERSION}",
            kind=definition.KIND,
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=SERVICE,
                namespace=namespace,
                labels=labels_of.of("address"),
                annotations={trust.AUTHORITIES: ",".join(map(str, authorities))},
            ),
            spec=definition.admitted(
                {
                    "address": self.address,
                    "addresses": self.addresses,
                    "caBundle": ca_pem,
                    "auth": auth,
                    "serviceRef": {"name": service, "namespace": namespace, "port": pod.PORT},
                },
                defined,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[kind]),
        )
        self.register_outputs({"address": self.address, "addresses": self.addresses})
