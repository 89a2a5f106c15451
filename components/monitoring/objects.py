"""What Prometheus and Grafana of the cluster find of a registry, in the form that is chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from .. import pod
from ..labels import Labels
from ..settings import Seen
from . import alerts, alerts_text
from .dashboard import dashboard

_OPERATOR = "monitoring.coreos.com/v1"


class Monitoring(pulumi.ComponentResource):
    """A PodMonitor, alerts and a dashboard, each by choice; annotations are the pod's own."""

    def __init__(
        self,
        name: str,
        *,
        seen: Seen,
        found_by: Mapping[str, Mapping[str, str]],
        deployment: str,
        labels: Labels,
        namespace: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`found_by` are the labels of the pods that have metrics, by what to call their PodMonitor.

        `deployment` is the one with the pruner.
        """
        super().__init__("docker-registry:index:Monitoring", name, {"metrics": seen.metrics}, opts)
        child = pulumi.ResourceOptions(parent=self)
        metadata = k8s.meta.v1.ObjectMetaArgs(namespace=namespace, labels=labels.of("monitoring"))
        for called, pods in found_by.items() if seen.metrics == "podMonitor" else ():
            k8s.apiextensions.CustomResource(
                f"{name}-{called}",
                api_version=_OPERATOR,
                kind="PodMonitor",
                metadata=metadata,
                spec={
                    "selector": {"matchLabels": dict(pods)},
                    "podMetricsEndpoints": [{"port": pod.METRICS, "path": "/metrics"}],
                },
                opts=child,
            )
        here = pulumi.Output.from_input(namespace)
        if seen.alerts == "prometheusRule":
            k8s.apiextensions.CustomResource(
                f"{name}-alerts",
                api_version=_OPERATOR,
                kind="PrometheusRule",
                metadata=metadata,
                spec=here.apply(lambda given: alerts(given, deployment)),
                opts=child,
            )
        elif seen.alerts == "configMap":
            k8s.core.v1.ConfigMap(
                f"{name}-alerts",
                metadata=metadata,
                data={"docker-registry.yaml": here.apply(lambda given: alerts_text(given, deployment))},
                opts=child,
            )
        if seen.dashboard:
            marks = {**labels.of("monitoring"), "grafana_dashboard": "1"}
            k8s.core.v1.ConfigMap(
                f"{name}-dashboard",
                metadata=k8s.meta.v1.ObjectMetaArgs(namespace=namespace, labels=marks),
                data={"docker-registry.json": json.dumps(dashboard(), indent=1)},
                opts=child,
            )
        self.register_outputs({"metrics": seen.metrics})
