"""The registry's certificate authority and the server certificate it signs.

Clients trust the authority, so that a new server certificate, for a new address or in place of one that runs
out, asks nothing of them. Certificates are renewed by `pulumi up` once they are within their renewal time.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

import pulumi
import pulumi_tls as tls

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
    """A CA and a server certificate for `hosts` (DNS names and IP addresses), all keys ECDSA P-256.

    `ca_pem` and `certificate_pem` are public; `key_pem` is secret.
    """

    ca_pem: pulumi.Output[str]
    certificate_pem: pulumi.Output[str]
    key_pem: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        owner: str,
        hosts: pulumi.Input[Sequence[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`owner` tells this authority from another stack's in a list of trusted ones."""
        # The owner is not an input of the component: a stack that is renamed has the same certificates.
        super().__init__("docker-registry:index:Certificates", name, {"hosts": hosts}, opts)
        child = pulumi.ResourceOptions(parent=self)
        # An authority keeps the name it was made with: another name would be another authority to trust.
        named_once = pulumi.ResourceOptions(parent=self, ignore_changes=["subject"])
        names = pulumi.Output.from_input(hosts)
        ca_key = tls.PrivateKey(f"{name}-ca-key", algorithm="ECDSA", ecdsa_curve="P256", opts=child)
        ca = tls.SelfSignedCert(
            f"{name}-ca",
            private_key_pem=ca_key.private_key_pem,
            subject=tls.SelfSignedCertSubjectArgs(
                common_name=f"docker-registry {owner}"[:_NAME_LENGTH], organization="docker-registry"
            ),
            is_ca_certificate=True,
            max_path_length=0,
            set_subject_key_id=True,
            allowed_uses=["cert_signing", "crl_signing"],
            validity_period_hours=_CA_VALID,
            early_renewal_hours=_CA_RENEW,
            opts=named_once,
        )
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
            ca_private_key_pem=ca_key.private_key_pem,
            ca_cert_pem=ca.cert_pem,
            set_subject_key_id=True,
            allowed_uses=["digital_signature", "server_auth"],
            validity_period_hours=_LEAF_VALID,
            early_renewal_hours=_LEAF_RENEW,
            opts=child,
        )
        self.ca_pem = ca.cert_pem
        self.certificate_pem = certificate.cert_pem
        self.key_pem = pulumi.Output.secret(key.private_key_pem)
        self.register_outputs(
            {"caPem": self.ca_pem, "certificatePem": self.certificate_pem, "keyPem": self.key_pem}
        )


def _unique(hosts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(hosts))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
