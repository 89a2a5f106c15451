"""Who may reach which port of the registry's pod."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pulumi
import pulumi_kubernetes as k8s

from . import caching, pod
from .labels import Labels, selector
from .reach import Peers
from .settings import Settings
from .sidecar import relays


def declare(
    name: str,
    settings: Settings,
    namespace: pulumi.Input[str],
    labels: Labels,
    opts: pulumi.ResourceOptions,
) -> None:
    """Declares a policy for each kind of pod, if there are to be any. What they may reach is left open.

    The kubelet's probes come from a pod's own node, which is let in always.
    """
    reach = settings.reach
    if reach is None:
        return

    def policy(name: str, component: str, *rules: k8s.networking.v1.NetworkPolicyIngressRuleArgs) -> None:
        k8s.networking.v1.NetworkPolicy(
            name,
            metadata=k8s.meta.v1.ObjectMetaArgs(namespace=namespace, labels=labels.of(component)),
            spec=k8s.networking.v1.NetworkPolicySpecArgs(
                pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector(component)),
                policy_types=["Ingress"],
                ingress=list(rules),
            ),
            opts=opts,
        )

    metrics = _rule(pod.METRICS_PORT, reach.metrics)
    if settings.replicas > 1:
        pruner = (_pods("pruner"),) if reach.clients else ()
        clients = _rule(pod.PORT, (*reach.clients, *pruner))
        policy(name, "registry", clients, *([metrics] if relays(settings) else []))
        policy(f"{name}-pruner", "pruner", metrics)
    else:
        clients = _rule(pod.PORT, reach.clients)
        policy(name, "registry", clients, *([] if settings.pull_through else [metrics]))
    if isinstance(settings.redis, caching.OwnServer):
        policy(f"{name}-redis", "cache", _rule(caching.PORT, (_pods("registry"), _pods("pruner"))))


def _pods(component: str) -> Mapping[str, Any]:
    return {"podSelector": {"matchLabels": selector(component)}}


def _rule(port: int, peers: Peers) -> k8s.networking.v1.NetworkPolicyIngressRuleArgs:
    # By number: not every network finds a port by its name.
    return k8s.networking.v1.NetworkPolicyIngressRuleArgs(
        ports=[k8s.networking.v1.NetworkPolicyPortArgs(port=port, protocol="TCP")],
        from_=cast("Any", list(peers)) if peers else None,
    )
