from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from sandbox.errors import SandboxError
from sandbox.network import POOL, Addresses, choose_subnet

DEFAULT_ROUTE = IPv4Network("0.0.0.0/0")


def test_a_name_gets_the_same_subnet_again() -> None:
    assert choose_subnet("local", []) == choose_subnet("local", [DEFAULT_ROUTE])


def test_names_get_subnets_of_their_own() -> None:
    names = [f"sandbox-{number}" for number in range(20)]
    taken: list[IPv4Network] = []
    for name in names:
        taken.append(choose_subnet(name, taken))
    assert len(set(taken)) == len(names)


@pytest.mark.parametrize("wider", [30, 24, 17])
def test_a_subnet_that_overlaps_a_route_is_passed_over(wider: int) -> None:
    first = choose_subnet("local", [])
    used = first.supernet(new_prefix=wider)
    assert not choose_subnet("local", [used]).overlaps(used)


def test_a_pool_that_is_routed_elsewhere_is_told() -> None:
    with pytest.raises(SandboxError, match=r"no subnet of 10\.213\.0\.0/16 is free"):
        choose_subnet("local", [POOL.supernet(new_prefix=8)])


def test_the_ends_of_a_link_are_the_two_hosts_of_its_subnet() -> None:
    addresses = Addresses(IPv4Network("10.213.0.4/30"))
    assert (addresses.host, addresses.node) == ("10.213.0.5", "10.213.0.6")
