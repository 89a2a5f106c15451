"""The registry's certificate authorities and the server certificate that one of them signs.

Clients trust the authorities, so that a new server certificate, for a new address or in place of one that
runs out, asks nothing of them. Certificates are renewed by `pulumi up` once they are within their renewal
time.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_tls as tls

from . import pem
from .identity import Given, Identity, InSecret, SignedByGiven, SignedByOwn

_HOURS_PER_DAY = 24

# Ten years, renewed with the same key in the last: whoever trusts the old one trusts what the new one signs.
_CA_VALID = 3650 * _HOURS_PER_DAY
_CA_RENEW = 365 * _HOURS_PER_DAY

# No longer than 825 days, above which some clients refuse a certificate even if they trust its authority; and
# renewed half a year before, since it is only an `up` that renews.
_LEAF_VALID = 825 * _HOURS_PER_DAY
_LEAF_RENEW = 180 * _HOURS_PER_DAY


# A common name has 64 characters at most (RFC 5280, appendix A.1).
_NAME_LENGTH = 64


class Certificates(pulumi.ComponentResource):
    """Whom clients are to trust, and what is served; all keys that are made here are ECDSA P-256.

    `ca_pem`, the authorities one below the other, is public, empty for those that systems trust anyway.
    `served` is the certificate with its chain, and its key, which is secret, or the Secret that has them.
    """

    ca_pem: pulumi.Output[str]
    served: tuple[pulumi.Output[str], pulumi.Output[str]] | InSecret

    def __init__(
        self,
        name: str,
        *,
        identity: Identity,
        found_ca: str | None,
        owner: str,
        hosts: pulumi.Input[Sequence[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """A certificate for `hosts` (DNS names and IP addresses), or the one that `identity` gives.

        `found_ca` is what the Secret of the identity has for an authority; `owner` tells this stack's
        authorities from another's in a list of trusted ones.
        """
        # The owner is not an input of the component: a stack that is renamed has the same certificates.
        super().__init__("docker-registry:index:Certificates", name, {"hosts": hosts}, opts)
        child = pulumi.ResourceOptions(parent=self)
        own = {number: _authority(name, number, owner, child) for number in identity.authorities}
        given = found_ca if identity.ca is None else identity.ca
        self.ca_pem = pulumi.Output.all(*(each.certificate for each in own.values()), given or "").apply(
            _joined
        )
        match identity.served:
            case SignedByOwn(number):
                self.served = _signed(name, own[number], hosts, child)
            case SignedByGiven(certificate, key):
                signer = _Authority(pulumi.Output.from_input(certificate), _secret(key))
                leaf, leaf_key = _signed(name, signer, hosts, child)
                self.served = pulumi.Output.all(leaf, signer.certificate).apply(_chain), leaf_key
            case Given(certificate, key):
                self.served = pulumi.Output.from_input(certificate), _secret(key)
            case InSecret():
                self.served = identity.served
        certificate, key = (None, None) if isinstance(self.served, InSecret) else self.served
        self.register_outputs({"caPem": self.ca_pem, "certificatePem": certificate, "keyPem": key})


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: pulumi.Output[str]
    key: pulumi.Output[str]


def _authority(name: str, number: int, owner: str, child: pulumi.ResourceOptions) -> _Authority:
    """One of the stack's own; the first bears no number, since it was the only one for long."""
    name += "-ca" if number == 1 else f"-ca-{number}"
    number_said = "" if number == 1 else f" {number}"
    # An authority keeps the name it was made with: another name would be another authority to trust.
    named_once = pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(ignore_changes=["subject"]))
    key = tls.PrivateKey(f"{name}-key", algorithm="ECDSA", ecdsa_curve="P256", opts=child)
    certificate = tls.SelfSignedCert(
        name,
        private_key_pem=key.private_key_pem,
        subject=tls.SelfSignedCertSubjectArgs(
            common_name=f"docker-registry {owner}"[: _NAME_LENGTH - len(number_said)] + number_said,
            organization="docker-registry",
        ),
        is_ca_certificate=True,
        max_path_length=0,
        set_subject_key_id=True,
        allowed_uses=["cert_signing", "crl_signing"],
        validity_period_hours=_CA_VALID,
        early_renewal_hours=_CA_RENEW,
        opts=named_once,
    )
    return _Authority(certificate.cert_pem, key.private_key_pem)


def _signed(
    name: str, signer: _Authority, hosts: pulumi.Input[Sequence[str]], child: pulumi.ResourceOptions
) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
    """A certificate for the hosts, and its key."""
    names = pulumi.Output.from_input(hosts)
    key = tls.PrivateKey(f"{name}-server-key", algorithm="ECDSA", ecdsa_curve="P256", opts=child)
    request = tls.CertRequest(
        f"{name}-server-request",
        private_key_pem=key.private_key_pem,
        subject=tls.CertRequestSubjectArgs(
            common_name="docker-registry server", organization="docker-registry"
        ),
        dns_names=names.apply(lambda hosts: _unique(host for host in hosts if not _is_address(host))),
        ip_addresses=names.apply(lambda hosts: _unique(host for host in hosts if _is_address(host))),
        opts=child,
    )
    certificate = tls.LocallySignedCert(
        f"{name}-server",
        cert_request_pem=request.cert_request_pem,
        ca_private_key_pem=signer.key,
        ca_cert_pem=signer.certificate,
        set_subject_key_id=True,
        allowed_uses=["digital_signature", "server_auth"],
        validity_period_hours=_LEAF_VALID,
        early_renewal_hours=_LEAF_RENEW,
        opts=child,
    )
    return certificate.cert_pem, _secret(key.private_key_pem)


def _chain(both: Sequence[str]) -> str:
    """A certificate, with its authority unless that ends the chain: clients may trust the end alone."""
    return both[0] if pem.signs_itself(both[1]) else _joined(both)


def _joined(texts: Iterable[str]) -> str:
    *first, last = [text for text in texts if text] or [""]
    return "".join(f"{text.rstrip()}\n" for text in first) + last


def _secret(key: pulumi.Input[str]) -> pulumi.Output[str]:
    return pulumi.Output.secret(key)


def _unique(hosts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(hosts))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
