"""The one link between this machine and a node, and the choice of its addresses."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.commands import run
from sandbox.errors import SandboxError
from sandbox.place import Place

# Each sandbox takes one /30 of it: the host's end, the node's end.
POOL = ipaddress.IPv4Network("10.213.0.0/16")
# Seen from inside the node's network namespace alone, so every sandbox has the same.
POD_CIDR = "10.244.0.0/24"
SERVICE_CIDR = "10.96.0.0/16"
FIRST_SERVICE_ADDRESS = "10.96.0.1"


@dataclass(frozen=True, slots=True)
class Addresses:
    """The subnet of one link: `host` is this machine's end, `node` the node's."""

    subnet: ipaddress.IPv4Network

    @property
    def host(self) -> str:
        """This machine's address on the link."""
        return str(self.subnet[1])

    @property
    def node(self) -> str:
        """The node's address, at which the API and every NodePort answer."""
        return str(self.subnet[2])


def choose_subnet(name: str, used: Iterable[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    """The subnet of the sandbox `name`: the same for the same name, or the next that overlaps none in use.

    Raises SandboxError when all are taken.
    """
    # A default route overlaps everything and says nothing of what is taken.
    taken = [network for network in used if network.prefixlen > 0]
    subnets = list(POOL.subnets(new_prefix=30))
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % len(subnets)
    for candidate in (*subnets[start:], *subnets[:start]):
        if not any(candidate.overlaps(network) for network in taken):
            return candidate
    raise SandboxError(
        f"no subnet of {POOL} is free on this machine: remove a route or address that covers it"
    )


def addresses_for(place: Place) -> Addresses:
    """The addresses kept in the sandbox's state while they are still free, else newly chosen ones."""
    used = _used_networks(except_link=place.link)
    if place.network.exists():
        kept = ipaddress.IPv4Network(json.loads(place.network.read_text())["subnet"])
        if not any(kept.overlaps(network) for network in used if network.prefixlen > 0):
            return Addresses(kept)
    chosen = choose_subnet(place.name, used)
    place.network.write_text(json.dumps({"subnet": str(chosen)}))
    return Addresses(chosen)


def kept_addresses(place: Place) -> Addresses:
    """The addresses of a sandbox that was brought up; raises SandboxError when it never was."""
    if not place.network.exists():
        raise SandboxError(f"there is no sandbox {place.name!r}: bring it up first")
    return Addresses(ipaddress.IPv4Network(json.loads(place.network.read_text())["subnet"]))


def connect(place: Place, node_pid: int, addresses: Addresses) -> None:
    """Lay the link into the network namespace of `node_pid`; what is there already is kept."""
    prefix = addresses.subnet.prefixlen
    if not _link_exists(place.link):
        _ip("link", "add", place.link, "type", "veth", "peer", "name", "eth0", "netns", str(node_pid))
    _ip("address", "replace", f"{addresses.host}/{prefix}", "dev", place.link)
    _ip("link", "set", place.link, "up")
    inside = ["nsenter", "--net", "--target", str(node_pid), "--"]
    for words in (
        ["link", "set", "lo", "up"],
        ["address", "replace", f"{addresses.node}/{prefix}", "dev", "eth0"],
        ["link", "set", "eth0", "up"],
        ["route", "replace", "default", "via", addresses.host],
    ):
        run([*inside, "ip", *words], what="setting up the node's network")


def disconnect(place: Place) -> None:
    """Remove the link if it is there; it goes by itself with the node's last process."""
    if _link_exists(place.link):
        _ip("link", "delete", place.link)


def _link_exists(link: str) -> bool:
    return any(found["ifname"] == link for found in _ip_json("link"))


def _used_networks(except_link: str) -> list[ipaddress.IPv4Network]:
    return [
        ipaddress.IPv4Network(route["dst"], strict=False)
        for route in _ip_json("route", "show", "table", "all")
        if route.get("dev") != except_link and route["dst"] != "default"
    ]


def _ip(*words: str) -> str:
    return run(["ip", *words], what="setting up the link to the node")


def _ip_json(*words: str) -> list[dict[str, Any]]:
    family = () if words == ("link",) else ("-4",)
    return json.loads(_ip("-json", *family, *words) or "[]")
