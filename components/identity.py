"""What the registry shows itself by and whom clients are to trust for it: the key `tls`, read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pulumi

from . import accepted, pem
from .inputs import known, later, made, together
from .objects import Tls


@dataclass(frozen=True, slots=True)
class SignedByOwn:
    """A certificate that an authority of the stack's own signs, by its number."""

    number: int


@dataclass(frozen=True, slots=True)
class SignedByGiven:
    """A certificate that a given authority signs: `signer` is its PEM, `key` is a secret."""

    signer: pulumi.Input[str]
    key: pulumi.Input[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Given:
    """A given certificate with its chain; `key` is a secret."""

    certificate: pulumi.Input[str]
    key: pulumi.Input[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class InSecret:
    """The certificate in a Secret of the namespace, `secret` by name, which somebody else renews."""

    secret: pulumi.Input[str]


Served = SignedByOwn | SignedByGiven | Given | InSecret


@dataclass(frozen=True, slots=True)
class Identity:
    """The certificate that is served, and whom clients are to trust.

    Published are `authorities`, the stack's own by number in ascending order, and those in `ca`, PEM; where
    that is None, what the Secret of an `InSecret` says.
    """

    served: Served
    authorities: tuple[int, ...]
    ca: pulumi.Input[str] | None

    @property
    def renewed_by_others(self) -> bool:
        """Whether a renewal comes while the pod runs; one by the stack is another pod."""
        return isinstance(self.served, InSecret)


def read(value: Any, hosts: object) -> Identity:
    """The identity that `value` describes, as args or as a mapping; `hosts` are the external ones.

    Raises ValueError, which never quotes a certificate or a key.
    """
    if not isinstance(value, Tls | Mapping):
        raise ValueError(
            "this is not an object: give one with some of secretName, certificate, key, ca, caKey"
        )
    tls = made(Tls, cast("Tls | Mapping[str, Any]", value))
    ca = None if tls.ca is None else later(tls.ca, lambda text: pem.bundle(text, "ca"))
    served = _brought(tls)
    usual = [1] if served is None else []
    numbers = accepted.numbers(usual if tls.authorities is None else tls.authorities, "authorities")
    if served is None and not numbers:
        raise ValueError("authorities is empty: name the one that signs, or bring a certificate of your own")
    if isinstance(served, Given) and isinstance(hosts, tuple):
        check_hosts(served, cast("tuple[str, ...]", hosts))
    return Identity(
        served=SignedByOwn(numbers[0]) if served is None else served,
        authorities=tuple(sorted(numbers)),
        ca="" if ca is None and not isinstance(served, InSecret) else ca,
    )


def check_hosts(served: Given, hosts: Sequence[str]) -> None:
    """Raises ValueError for hosts that a given certificate is not made for."""
    if certificate := known(served.certificate):
        pem.check_covers(pem.certificates(certificate, "certificate")[0], hosts, "certificate")


def _brought(tls: Tls) -> SignedByGiven | Given | InSecret | None:
    ways = {"secretName": tls.secret_name, "certificate": tls.certificate, "caKey": tls.ca_key}
    given = [name for name, value in ways.items() if value is not None]
    if len(given) > 1:
        raise ValueError(f"{given[0]} and {given[1]} each give a certificate: leave one out")
    if tls.key is not None and tls.certificate is None:
        raise ValueError("key is that of a certificate, and there is none: give certificate as well")
    if tls.secret_name is not None:
        return InSecret(later(tls.secret_name, accepted.dns_name))
    if tls.certificate is not None:
        if tls.key is None:
            raise ValueError("certificate comes without its key: give key as well")
        return Given(together(tls.certificate, tls.key, pem.pair), tls.key)
    if tls.ca_key is not None:
        if tls.ca is None:
            raise ValueError("caKey is that of an authority, and there is none: give its certificate as ca")
        return SignedByGiven(together(tls.ca, tls.ca_key, _signer), tls.ca_key)
    return None


def _signer(ca: object, key: object) -> str:
    return pem.encoded([pem.signer(ca, key)])
