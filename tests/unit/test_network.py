"""Who may reach which port of the pod."""

from __future__ import annotations

from typing import Any

from tests.unit.conftest import Deploy
from tests.unit.parts import DEPLOYMENT

POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"


def test_everyone_reaches_the_registry_pods_the_metrics_and_nobody_another_port(deploy: Deploy) -> None:
    graph = deploy()
    policy = graph.one(POLICY).inputs
    deployment = graph.one(DEPLOYMENT).inputs
    assert policy["metadata"]["namespace"] == "docker-registry"
    assert policy["spec"] == {
        "podSelector": deployment["spec"]["selector"],
        "policyTypes": ["Ingress"],
        "ingress": [
            {"ports": [{"port": 5000, "protocol": "TCP"}]},
            {"ports": [{"port": 9090, "protocol": "TCP"}], "from": [{"namespaceSelector": {}}]},
        ],
    }
    opened = {port["containerPort"] for c in graph.pod()["containers"] for port in c["ports"]}
    assert opened == {5000, 9090}


def test_peers_are_taken_as_kubernetes_has_them(deploy: Deploy) -> None:
    clients = [
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.9.0.0/16"]}},
        {"namespaceSelector": {"matchLabels": {"team": "a"}}, "podSelector": {}},
    ]
    metrics = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    spec = deploy(networkPolicy={"clients": clients, "metrics": metrics}).one(POLICY).inputs["spec"]
    assert [rule["from"] for rule in spec["ingress"]] == [clients, metrics]


def test_the_pruner_and_redis_of_several_pods_have_policies_of_their_own(deploy: Deploy) -> None:
    shared = {"kind": "persistentVolumeClaim", "size": "5Gi", "accessModes": ["ReadWriteMany"]}
    several: dict[str, Any] = {"replicas": 2, "cache": "redis", "storage": shared}
    clients = [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    for graph, listed in (
        (deploy(**several), None),
        (deploy(**several, networkPolicy={"clients": clients}), clients),
    ):
        found = {policy.name: policy.inputs["spec"] for policy in graph.all(POLICY)}
        templates = {
            each.name.removesuffix("-deployment"): each.inputs["spec"]["template"]
            for each in graph.all(DEPLOYMENT)
        }
        for part in ("", "-pruner", "-redis"):
            chosen = found[f"registry-network{part}"]["podSelector"]["matchLabels"]
            assert chosen.items() <= templates[f"registry{part}"]["metadata"]["labels"].items()
        pods = {
            name: {"podSelector": found[f"registry-network{name}"]["podSelector"]} for name in ("", "-pruner")
        }
        registry, theirs = found["registry-network"]["ingress"]
        assert theirs["ports"][0]["port"] == 9090
        assert registry["ports"][0]["port"] == 5000
        assert registry.get("from") == (None if listed is None else [*listed, pods["-pruner"]])
        (metrics,) = found["registry-network-pruner"]["ingress"]
        assert metrics["ports"][0]["port"] == 9090
        (redis,) = found["registry-network-redis"]["ingress"]
        assert redis["ports"][0]["port"] == 6379
        assert redis["from"] == [pods[""], pods["-pruner"]]


def test_it_can_be_left_to_others(deploy: Deploy) -> None:
    assert deploy(networkPolicy={"enabled": False}).all(POLICY) == []
