"""What the stack configuration accepts, one function for each kind of value.

Each returns the value in its own type and raises ValueError with a sentence that names the value and what to
give instead.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

Choice = TypeVar("Choice", bound=str)

# RFC 1123: a label, and a name of labels (a Kubernetes namespace is one label, a node's name may be several).
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""A label of a DNS name."""

# The grammar of an image reference is that of the distribution project's reference package.
_DOMAIN_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
IMAGE = re.compile(
    rf"(?:{_DOMAIN}/)?{_PATH_PART}(?:/{_PATH_PART})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?"
)
"""An image reference."""

_UNITS = {"": 1} | {
    f"{letter}{i}": (1024 if i else 1000) ** power
    for power, letter in enumerate(("M", "G", "T", "P", "E"), start=2)
    for i in ("", "i")
}
SIZE = re.compile(rf"([1-9][0-9]*)({'|'.join(_UNITS)})")
"""A whole quantity of bytes."""
_SUFFIXES = _UNITS | {"m": 1e-3, "k": 1e3, "Ki": 1024}
QUANTITY = re.compile(rf"([0-9]+(?:\.[0-9]+)?)({'|'.join(_SUFFIXES)})")
"""A quantity of Kubernetes."""
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
"""The value of a label that has one, and the name of a label without its prefix."""
_ACCESS_MODES = ("ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany")

# The range that an API server allots NodePorts from unless told otherwise.
_NODE_PORTS = range(30000, 32768)


def camel_case(name: str) -> str:
    """`gc_period` as a key of the configuration and as other languages have it, `gcPeriod`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def text(value: object) -> str:
    """A value as the configuration has it: True is `true`, and 7.0, which a number may come as, is `7`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def node_port(value: object) -> int:
    """A port from 30000 to 32767."""
    if re.fullmatch(r"[0-9]+", text(value)) and int(text(value)) in _NODE_PORTS:
        return int(text(value))
    raise ValueError(
        f"{value!r} is not a NodePort: give an integer from {_NODE_PORTS[0]} to {_NODE_PORTS[-1]}"
    )


def port(value: object) -> int:
    """A port that something can listen on."""
    if re.fullmatch(r"[0-9]+", text(value)) and 1 <= int(text(value)) <= 65535:
        return int(text(value))
    raise ValueError(f"port is {value!r}: give an integer from 1 to 65535")


def replicas(value: object) -> int:
    """How many pods serve one registry."""
    if re.fullmatch(r"[0-9]+", text(value)) and 1 <= int(text(value)) <= 100:
        return int(text(value))
    raise ValueError(f"{value!r} is not a number of pods: give an integer from 1 to 100")


def secret(value: object, key: str) -> str:
    """Text that is not quoted in any sentence, on one line."""
    if isinstance(value, str) and value and value.isprintable():
        return value
    raise ValueError(f"{key} is not text of one line: put it in quotes")


def certificate(value: object) -> str:
    """A certificate or more, PEM."""
    if isinstance(value, str) and "-----BEGIN CERTIFICATE-----" in value:
        return value
    raise ValueError("caCertificate is not a certificate: give it as PEM, -----BEGIN CERTIFICATE----- and on")


def texts(value: object) -> dict[str, str]:
    """An object whose values are all text, as labels and annotations are."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not an object: give one of names and texts")
    for name, entry in cast("Mapping[object, object]", value).items():
        if not isinstance(name, str) or not isinstance(entry, str):
            raise ValueError(f"{name!r} is {entry!r}, which is not text: put it in quotes")
    return dict(cast("Mapping[str, str]", value))


def labels(value: object) -> dict[str, str]:
    """Labels, as an object selects by them."""
    given = names(value)
    for name, entry in given.items():
        if entry and not LABEL_VALUE.fullmatch(entry):
            raise ValueError(
                f"{name} is {entry!r}: give at most 63 letters, digits, dashes, dots and underscores, "
                "beginning and ending with a letter or digit"
            )
    return given


def names(value: object) -> dict[str, str]:
    """An object of texts whose names are those of labels and annotations."""
    given = texts(value)
    for name in given:
        prefix, _, own = name.rpartition("/")
        if not LABEL_VALUE.fullmatch(own) or ("/" in name and not _is_dns_name(prefix)):
            raise ValueError(f"{name!r} is not a name here: give one such as disk or example.com/disk")
    return given


def quantity(value: object) -> str:
    """A quantity of Kubernetes, such as 250m or 1.5Gi."""
    if isinstance(value, str) and QUANTITY.fullmatch(value):
        return value
    raise ValueError(f'{value!r} is not a quantity: give text such as "500m", "2" or "1Gi"')


def amount(quantity: str) -> float:
    """What a quantity comes to."""
    found = QUANTITY.fullmatch(quantity)
    assert found, f"{quantity} was not read by `quantity`"
    return float(found[1]) * _SUFFIXES[found[2]]


def choice(value: object, *choices: Choice) -> Choice:
    """One of `choices`."""
    for known in choices:
        if value == known:
            return known
    raise ValueError(f"{value!r} is not known: give {' or '.join(choices)}")


def boolean(value: object) -> bool:
    """True or false."""
    return choice(text(value), "true", "false") == "true"


def numbers(value: object, called: str) -> tuple[int, ...]:
    """Whole numbers above 0, none twice."""
    found: list[int] = []
    for entry in cast("list[object]", value) if isinstance(value, list) else [None]:
        if not re.fullmatch(r"[1-9][0-9]{0,3}", text(entry)) or int(text(entry)) in found:
            raise ValueError(f"{called} is {value!r}: give a list of whole numbers from 1, each once")
        found.append(int(text(entry)))
    return tuple(found)


def image(value: object) -> str:
    """An image reference, such as `registry.example.com/team/name:tag`, with a digest if wanted."""
    if isinstance(value, str) and IMAGE.fullmatch(value):
        return value
    raise ValueError(
        f"{value!r} is not an image reference: give one such as registry.example.com/team/name:tag"
    )


def namespace(value: object, *, create: bool) -> str:
    """The name of a namespace; one that the stack may `create` is none of those every cluster has."""
    if not isinstance(value, str) or not LABEL.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a namespace: give lower-case letters, digits and dashes, at most 63"
        )
    if create and (value == "default" or value.startswith("kube-")):
        raise ValueError(f"{value!r} belongs to the cluster: give one that this stack may create and delete")
    return value


def _is_dns_name(value: str) -> bool:
    return len(value) <= 253 and all(map(LABEL.fullmatch, value.split(".")))


def dns_name(value: object) -> str:
    """A DNS name of lower-case labels."""
    if isinstance(value, str) and _is_dns_name(value):
        return value
    raise ValueError(f"{value!r} is not a DNS name: give lower-case letters, digits, dashes and dots")


def host_path(value: object) -> str:
    """An absolute path other than `/`, without `.` and `..` and empty parts."""
    accepted = "give an absolute path other than /, without . and .. in it"
    if not isinstance(value, str) or not value.startswith("/"):
        raise ValueError(f"path is {value!r}: {accepted}")
    parts = value.removesuffix("/").split("/")[1:]
    if not parts or any(part in ("", ".", "..") for part in parts) or "\0" in value or ":" in value:
        raise ValueError(f"path is {value!r}: {accepted}")
    return "/" + "/".join(parts)


def claim(value: object) -> str:
    """The id of a claim, as the pruner makes them."""
    if isinstance(value, str) and re.fullmatch(r"c[0-9a-f]{7}", value):
        return value
    raise ValueError(f"adopt is {value!r}: give the claim that the pod's message names, such as c0123abc")


def size(value: object) -> str:
    """How much room a claim asks for: a whole quantity of Kubernetes, such as 50Gi."""
    if isinstance(value, str) and (found := SIZE.fullmatch(value)) and found[2]:
        return value
    raise ValueError(f"size is {value!r}: give a whole number above 0 and a unit, such as 500Gi or 2Ti")


def size_in_bytes(quantity: str) -> int | None:
    """What a whole quantity of Kubernetes comes to; None for one that is written in another way."""
    found = SIZE.fullmatch(quantity)
    return int(found[1]) * _UNITS[found[2]] if found else None


def access_modes(value: object) -> tuple[str, ...]:
    """The access modes of a claim that can be written to."""
    if not isinstance(value, list) or not value:
        raise ValueError(f"accessModes is {value!r}: give a list of {', '.join(_ACCESS_MODES)}")
    for mode in cast("list[object]", value):
        if mode not in _ACCESS_MODES:
            raise ValueError(f"accessModes has {mode!r}: give a list of {', '.join(_ACCESS_MODES)}")
    return tuple(cast("list[str]", value))


def hosts(value: object) -> tuple[str, ...]:
    """DNS names and IP addresses without scheme and port, none twice; empty for discovery."""
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is not a list: give a list of DNS names or IP addresses")
    found = [_host(entry) for entry in cast("list[object]", value)]
    for n, host in enumerate(found):
        if host in found[:n]:
            raise ValueError(f"{host!r} stands there twice: name each host once")
    if found and all(map(_is_loopback, found)):
        raise ValueError(f"{found[0]!r} answers its own machine only: add a name or address of the nodes")
    return tuple(found)


def names_only(hosts: Sequence[str]) -> None:
    """Raises ValueError for an address among the hosts of an Ingress, which tells clients apart by name."""
    for host in hosts:
        if ":" in host or host.rpartition(".")[2].isdigit():
            raise ValueError(f"Ingress needs names in externalHosts, and {host} is an address: give a name")


def _host(value: object) -> str:
    sentence = f"{value!r} is not a host: give a DNS name or an IP address, without scheme and port"
    if not isinstance(value, str):
        raise ValueError(sentence)
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        pass
    else:
        if address.is_unspecified or address.is_multicast:
            raise ValueError(sentence)
        return str(address)
    # A last label of digits alone is read as a (broken) IPv4 address by every client.
    if value.rpartition(".")[2].isdigit():
        raise ValueError(sentence)
    try:
        return dns_name(value)
    except ValueError:
        raise ValueError(sentence) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
