"""Which addresses are published where no host is configured: stable ones."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

from docker_registry_stack.addresses import LIMIT, Node, answers, choose
from docker_registry_stack.connection import ClusterError
from tests.unit import program
from tests.unit.fakecluster import FakeCluster, node, service

PORT = 32000
NONE: frozenset[str] = frozenset()


def nodes(*addresses: str, ready: Sequence[str] | None = None) -> list[Node]:
    """A node for each internal address, named after it."""
    return [Node(a, ready is None or a in ready, (), (a,)) for a in addresses]


def silent(host: str, port: int) -> bool:
    assert (host, port) == (host, PORT)
    return False


def test_a_node_that_joins_or_leaves_changes_nothing_while_the_address_serves() -> None:
    published = ("10.0.0.2", "10.0.0.3")
    for there in (nodes("10.0.0.1", *published), nodes("10.0.0.2"), nodes(*published, ready=["10.0.0.2"])):
        assert choose(there, published, NONE, PORT, silent) == published


def test_the_address_moves_when_its_node_is_gone_and_what_still_serves_stays_first() -> None:
    there = nodes("10.0.0.1", "10.0.0.3", "10.0.0.4")
    assert choose(there, ("10.0.0.2", "10.0.0.4", "10.0.0.3"), NONE, PORT, silent) == (
        "10.0.0.4",
        "10.0.0.3",
        "10.0.0.1",
    )


def test_a_node_that_is_not_ready_is_asked_whether_it_still_serves() -> None:
    there = nodes("10.0.0.1", "10.0.0.2", ready=["10.0.0.1"])
    published = ("10.0.0.2", "10.0.0.1")
    assert choose(there, published, NONE, PORT, lambda _host, _port: True) == published
    assert choose(there, published, NONE, PORT, silent) == ("10.0.0.1",)


def test_only_ready_nodes_are_discovered() -> None:
    assert choose(nodes("10.0.0.1", "10.0.0.2", ready=["10.0.0.2"]), (), NONE, PORT) == ("10.0.0.2",)
    with pytest.raises(ClusterError, match="no ready node of the cluster has an address: set externalHosts"):
        choose(nodes("10.0.0.1", ready=[]), (), NONE, PORT)


def test_addresses_for_the_outside_come_first() -> None:
    there = [Node("a", True, (), ("10.0.0.1",)), Node("b", True, ("203.0.113.1",), ("10.0.0.2",))]
    assert choose(there, (), NONE, PORT) == ("203.0.113.1", "10.0.0.1", "10.0.0.2")


def test_more_addresses_than_a_few_ask_for_hosts() -> None:
    many = nodes(*(f"10.0.0.{n}" for n in range(1, LIMIT + 1)))
    assert len(choose(many, (), NONE, PORT)) == LIMIT
    with pytest.raises(ClusterError, match=f"have {LIMIT + 1} addresses, .*: set externalHosts"):
        choose([*many, *nodes("10.0.1.1")], (), NONE, PORT)
    assert choose([*many, *nodes("10.0.1.1")], ("10.0.0.5",), NONE, PORT) == ("10.0.0.5",), "published before"


def test_only_families_of_the_service_are_published() -> None:
    there = nodes("10.0.0.1", "fd00::1")
    assert choose(there, (), frozenset({"IPv4"}), PORT) == ("10.0.0.1",)
    assert choose(there, (), frozenset({"IPv6"}), PORT) == ("fd00::1",)
    assert choose(there, (), frozenset({"IPv4", "IPv6"}), PORT) == ("10.0.0.1", "fd00::1")
    assert choose(there, ("fd00::1",), frozenset({"IPv4"}), PORT) == ("10.0.0.1",), "it serves that no more"
    with pytest.raises(ClusterError, match="no ready node of the cluster has an address of IPv6"):
        choose(nodes("10.0.0.1"), (), frozenset({"IPv6"}), PORT)


def test_a_knock_is_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert answers("127.0.0.1", port)
    assert not answers("127.0.0.1", port)


# The program


def test_what_the_address_resource_says_was_published_stays(cluster: FakeCluster) -> None:
    cluster.definitions = [{"metadata": {"name": "registryaddresses.docker-registry.internal"}, "spec": {}}]
    cluster.nodes = [node("a", InternalIP="10.0.0.1"), node("b", InternalIP=["10.0.0.2", "fd00::2"])]
    config = {"storage": {"node": "a"}}
    cluster.addresses = {"elsewhere": ["10.0.0.2:32000"]}
    assert program.run(config, {}).outputs["address"] == "10.0.0.1:32000"
    cluster.addresses = {"docker-registry": ["[fd00::2]:32000", "10.0.0.2:32000"]}
    assert program.run(config, {}).outputs["addresses"] == ["[fd00::2]:32000", "10.0.0.2:32000"]
    # Another port is another endpoint of the same hosts.
    assert program.run(config | {"nodePort": 32001}, {}).outputs["address"] == "[fd00::2]:32001"


def test_the_families_are_the_services_own_or_else_the_clusters(cluster: FakeCluster) -> None:
    cluster.nodes = [node("a", InternalIP=["10.0.0.1", "fd00::1"])]
    cluster.services = [service("default", "kubernetes", families=("IPv4",))]
    assert program.run({}, {}).outputs["addresses"] == ["10.0.0.1:32000"]
    cluster.services += [service("docker-registry", "registry", 32000, families=("IPv6", "IPv4"))]
    graph = program.run({}, {})
    assert graph.outputs["addresses"] == ["10.0.0.1:32000", "[fd00::1]:32000"]
    assert graph.one("kubernetes:core/v1:Service").inputs["spec"]["ipFamilyPolicy"] == "PreferDualStack"
