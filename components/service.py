"""The Service of the registry, and the Ingress where it is exposed by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi
import pulumi_kubernetes as k8s

from . import pod
from .cluster import SERVICE
from .exposure import Exposed
from .inputs import known
from .labels import SELECTOR

_PORT = "https"


def declare(
    name: str,
    exposed: Exposed,
    hosts: pulumi.Input[Sequence[str]],
    namespace: pulumi.Input[str],
    marks: Mapping[str, pulumi.Input[str]],
    *,
    alone_there: bool,
    child: pulumi.ResourceOptions,
    alone: pulumi.ResourceOptions,
) -> k8s.core.v1.Service:
    """Declares what leads to the pods from `hosts`, and returns the Service.

    `alone_there` says that there is one pod, with the pruner beside the registry. `alone` are the options of
    what must be gone before another of it can be.
    """
    service = k8s.core.v1.Service(
        f"{name}-service",
        metadata=_metadata(exposed if exposed.kind == "LoadBalancer" else None, namespace, marks),
        spec=k8s.core.v1.ServiceSpecArgs(
            type="ClusterIP" if exposed.kind == "Ingress" else exposed.kind,
            selector=SELECTOR,
            ip_family_policy="PreferDualStack",
            # A pod is ready when both containers are: a pruner that cannot start must not cut off the
            # registry beside it, which there is only one of. Of several, those that are ready are led to.
            publish_not_ready_addresses=alone_there,
            ports=_ports(exposed),
        ),
        # The port is free for the new Service only once the old one is gone.
        opts=alone,
    )
    if exposed.kind == "Ingress":
        _ingress(name, exposed, hosts, service, namespace, marks, child)
    return service


def _metadata(
    annotated: Exposed | None, namespace: pulumi.Input[str], marks: Mapping[str, pulumi.Input[str]]
) -> k8s.meta.v1.ObjectMetaArgs:
    annotations = dict(annotated.annotations) if annotated and annotated.annotations else None
    return k8s.meta.v1.ObjectMetaArgs(
        name=SERVICE, namespace=namespace, labels=dict(marks), annotations=annotations
    )


def _ports(exposed: Exposed) -> list[k8s.core.v1.ServicePortArgs]:
    inside = k8s.core.v1.ServicePortArgs(
        name=_PORT, port=pod.PORT, target_port=_PORT, node_port=exposed.node_port
    )
    if exposed.kind in ("NodePort", "Ingress") or known(exposed.port) == pod.PORT:
        return [inside]
    # Pods go on by the port that they know; a load balancer listens on the published one too.
    return [
        inside,
        k8s.core.v1.ServicePortArgs(name="published", port=exposed.port, target_port=_PORT),
    ]


def _ingress(
    name: str,
    exposed: Exposed,
    hosts: pulumi.Input[Sequence[str]],
    service: k8s.core.v1.Service,
    namespace: pulumi.Input[str],
    marks: Mapping[str, pulumi.Input[str]],
    child: pulumi.ResourceOptions,
) -> None:
    backend = k8s.networking.v1.IngressBackendArgs(
        service=k8s.networking.v1.IngressServiceBackendArgs(
            name=service.metadata.name, port=k8s.networking.v1.ServiceBackendPortArgs(name=_PORT)
        )
    )
    paths = [k8s.networking.v1.HTTPIngressPathArgs(path="/", path_type="Prefix", backend=backend)]
    k8s.networking.v1.Ingress(
        f"{name}-ingress",
        metadata=_metadata(exposed, namespace, marks),
        spec=k8s.networking.v1.IngressSpecArgs(
            ingress_class_name=exposed.ingress_class,
            rules=pulumi.Output.from_input(hosts).apply(
                lambda hosts: cast("Any", [{"host": host, "http": {"paths": paths}} for host in hosts])
            ),
        ),
        opts=child,
    )
