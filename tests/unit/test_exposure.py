"""How clients reach the registry: what is declared for each exposure, and how the address follows."""

from __future__ import annotations

from typing import Any

import pytest

from docker_registry_stack.settings import SettingsError
from tests.unit import fakecluster, program
from tests.unit.conftest import Deploy
from tests.unit.fakecluster import FakeCluster
from tests.unit.parts import ADDRESS, REQUEST, SERVICE
from tests.unit.program import Graph, read

INGRESS = "kubernetes:networking.k8s.io/v1:Ingress"
HOSTS = ["registry.example.com", "images.example.com"]
INSIDE = {"name": "https", "port": 5000, "targetPort": "https"}


def ports(graph: Graph) -> list[dict[str, Any]]:
    return graph.one(SERVICE).inputs["spec"]["ports"]


@pytest.mark.parametrize(
    ("exposure", "type_", "published", "declared"),
    [
        ({"kind": "NodePort"}, "NodePort", 32000, [{**INSIDE, "nodePort": 32000}]),
        (
            {"kind": "LoadBalancer"},
            "LoadBalancer",
            443,
            [INSIDE, {"name": "published", "port": 443, "targetPort": "https"}],
        ),
        ({"kind": "LoadBalancer", "port": 5000}, "LoadBalancer", 5000, [INSIDE]),
        ({"kind": "ClusterIP"}, "ClusterIP", 5000, [INSIDE]),
        (
            {"kind": "ClusterIP", "port": 8443},
            "ClusterIP",
            8443,
            [INSIDE, {"name": "published", "port": 8443, "targetPort": "https"}],
        ),
        ({"kind": "Ingress"}, "ClusterIP", 443, [INSIDE]),
        ({"kind": "Ingress", "port": 8443}, "ClusterIP", 8443, [INSIDE]),
    ],
)
def test_service_address_and_certificate_follow_the_exposure(
    deploy: Deploy,
    exposure: dict[str, Any],
    type_: str,
    published: int,
    declared: list[dict[str, Any]],
) -> None:
    graph = deploy(exposure=exposure, externalHosts=HOSTS)
    service = graph.one(SERVICE)
    assert service.inputs["spec"]["type"] == type_
    assert ports(graph) == declared
    assert service.delete_before_replace
    assert graph.outputs["addresses"] == [f"{host}:{published}" for host in HOSTS]
    spec = graph.one(ADDRESS).inputs["spec"]
    assert spec["address"] == f"{HOSTS[0]}:{published}"
    assert spec["serviceRef"]["port"] == 5000
    assert set(HOSTS) <= set(graph.one(REQUEST).inputs["dnsNames"])
    assert bool(graph.all(INGRESS)) == (exposure["kind"] == "Ingress")


def test_an_ingress_passes_tls_through_for_each_name(deploy: Deploy) -> None:
    exposure = {
        "kind": "Ingress",
        "ingressClass": "nginx",
        "annotations": {"haproxy.org/ssl-passthrough": "false", "example.com/a": "b"},
    }
    graph = deploy(exposure=exposure, externalHosts=HOSTS)
    ingress = graph.one(INGRESS).inputs
    assert ingress["metadata"]["name"] == "registry"
    assert ingress["metadata"]["annotations"] == {
        "nginx.ingress.kubernetes.io/ssl-passthrough": "true",
        "haproxy-ingress.github.io/ssl-passthrough": "true",
        "haproxy.org/ssl-passthrough": "false",
        "example.com/a": "b",
    }
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert "tls" not in ingress["spec"], "the controller has no certificate to show"
    backend = {"service": {"name": "registry", "port": {"name": "https"}}}
    assert ingress["spec"]["rules"] == [
        {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
        for host in HOSTS
    ]
    assert "annotations" not in graph.one(SERVICE).inputs["metadata"]


def test_what_a_load_balancer_is_told_stands_on_the_service(deploy: Deploy) -> None:
    marks = {"example.com/internal": "true"}
    graph = deploy(exposure={"kind": "LoadBalancer", "annotations": marks}, externalHosts=["192.0.2.7"])
    assert graph.one(SERVICE).inputs["metadata"]["annotations"] == marks


def test_an_ingress_needs_names_and_no_addresses() -> None:
    for address in ("192.0.2.7", "2001:db8::1"):
        with pytest.raises(SettingsError, match=f"{address} is an address: give a name"):
            read(exposure={"kind": "Ingress"}, externalHosts=["a.example", address])


@pytest.mark.parametrize("kind", ["LoadBalancer", "ClusterIP", "Ingress"])
def test_a_port_of_the_nodes_is_refused_where_there_is_none(kind: str) -> None:
    with pytest.raises(SettingsError, match=f"{kind} has no port of the nodes to choose: leave nodePort out"):
        read(exposure={"kind": kind}, externalHosts=HOSTS, nodePort=31000)


@pytest.mark.parametrize("port", [0, 65536, "https", 443.5])
def test_a_port_that_is_none_is_refused(port: object) -> None:
    with pytest.raises(SettingsError, match="give an integer from 1 to 65535"):
        read(exposure={"kind": "LoadBalancer", "port": port}, externalHosts=HOSTS)


def test_annotations_are_texts() -> None:
    with pytest.raises(SettingsError, match="'a' is True, which is not text: put it in quotes"):
        read(exposure={"kind": "LoadBalancer", "annotations": {"a": True}}, externalHosts=HOSTS)


def test_a_port_of_the_nodes_that_is_taken_is_in_the_way_of_a_node_port_alone(cluster: FakeCluster) -> None:
    cluster.services = [fakecluster.service("shop", "web", 32000)]
    program.run({"exposure": {"kind": "ClusterIP"}, "externalHosts": HOSTS}, {})
