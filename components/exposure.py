"""How clients outside the cluster reach the registry: the kinds of exposure, and what is accepted of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import pulumi

from . import accepted
from .args import DockerRegistryArgs
from .inputs import later, made
from .objects import Exposure
from .pod import PORT

Kind = Literal["NodePort", "LoadBalancer", "ClusterIP", "Ingress"]

_HTTPS = 443

# What the controllers that can pass TLS through want to have annotated; each heeds its own alone.
_PASSED_THROUGH = {
    "nginx.ingress.kubernetes.io/ssl-passthrough": "true",
    "haproxy.org/ssl-passthrough": "true",
    "haproxy-ingress.github.io/ssl-passthrough": "true",
}


@dataclass(frozen=True, slots=True)
class Exposed:
    """The published `port`, which of a NodePort is that of the nodes; what its provider is to know.

    The `annotations` are the Ingress's, or the Service's of a load balancer.
    """

    kind: Kind
    port: pulumi.Input[int]
    annotations: Mapping[str, str]
    ingress_class: str | None

    @property
    def node_port(self) -> pulumi.Input[int] | None:
        """The port of every node; None if there is none that is ours to choose."""
        return self.port if self.kind == "NodePort" else None


def read(value: Any, node_port: pulumi.Input[int], hosts: object) -> Exposed:
    """The exposure that `value` describes, as args or as a mapping. Raises ValueError.

    `hosts` are the external ones, () for the nodes', which lead to a NodePort alone.
    """
    exposure = made(Exposure, value)
    kind: Kind = accepted.choice(
        exposure.kind or Exposure().kind, "NodePort", "LoadBalancer", "ClusterIP", "Ingress"
    )
    if kind != "NodePort" and node_port not in (None, DockerRegistryArgs().node_port):
        raise ValueError(f"{kind} has no port of the nodes to choose: leave nodePort out")
    if kind == "NodePort" and exposure.port is not None:
        raise ValueError("port is not of a NodePort: set nodePort")
    if kind in ("NodePort", "ClusterIP") and exposure.annotations is not None:
        raise ValueError(f"annotations are of a LoadBalancer or an Ingress, not of a {kind}: leave them out")
    if kind != "Ingress" and exposure.ingress_class is not None:
        raise ValueError(f"ingressClass is of an Ingress, not of a {kind}: leave it out")
    if kind != "NodePort" and hosts == ():
        raise ValueError(f"{kind} needs externalHosts: give the names or addresses that will lead to it")
    if kind == "Ingress" and isinstance(hosts, tuple):
        accepted.names_only(cast("tuple[str, ...]", hosts))
    usual = PORT if kind == "ClusterIP" else _HTTPS
    given = {} if exposure.annotations is None else accepted.texts(exposure.annotations)
    return Exposed(
        kind=kind,
        port=node_port
        if kind == "NodePort"
        else later(usual if exposure.port is None else exposure.port, accepted.port),
        annotations={**_PASSED_THROUGH, **given} if kind == "Ingress" else given,
        ingress_class=None if exposure.ingress_class is None else accepted.dns_name(exposure.ingress_class),
    )
