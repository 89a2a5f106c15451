"""The tls stand-in through the real engine, against what the official plugin was seen to do."""

from __future__ import annotations

from dataclasses import dataclass, field

import pulumi
import pulumi_tls as tls

from tests.plugins.stack import Stack


@dataclass(slots=True)
class Chain:
    """An authority, and a certificate that it signs; what a test varies."""

    addresses: list[str] = field(default_factory=lambda: ["10.0.0.1"])
    early_renewal_hours: int = 10

    def __call__(self) -> None:
        authority = tls.PrivateKey("authority-key", algorithm="ECDSA", ecdsa_curve="P256")
        root = tls.SelfSignedCert(
            "authority",
            private_key_pem=authority.private_key_pem,
            is_ca_certificate=True,
            allowed_uses=["cert_signing"],
            validity_period_hours=1000,
            subject=tls.SelfSignedCertSubjectArgs(common_name="authority"),
        )
        key = tls.PrivateKey("key", algorithm="ECDSA", ecdsa_curve="P256")
        request = tls.CertRequest(
            "request",
            private_key_pem=key.private_key_pem,
            dns_names=["registry.example"],
            ip_addresses=self.addresses,
        )
        certificate = tls.LocallySignedCert(
            "certificate",
            ca_private_key_pem=authority.private_key_pem,
            ca_cert_pem=root.cert_pem,
            cert_request_pem=request.cert_request_pem,
            validity_period_hours=100,
            early_renewal_hours=self.early_renewal_hours,
            allowed_uses=["server_auth", "digital_signature"],
        )
        pulumi.export("key", key.private_key_pem)
        pulumi.export("certificate", certificate.cert_pem)
        pulumi.export("ready", certificate.ready_for_renewal)


def test_an_unchanged_chain_stays_and_an_added_address_replaces_no_key(stack: Stack) -> None:
    first = stack.up(Chain())
    assert set(first.changed.values()) == {"create"}
    assert first.secrets == {"key"}
    assert "PRIVATE KEY" in first.outputs["key"]
    assert "PRIVATE KEY" not in first.display
    assert "the sandbox's stand-in serves in the place of the official tls plugin" in first.display
    kept = stack.state()
    assert "PRIVATE KEY" not in str(kept)
    assert "BEGIN CERTIFICATE" in kept["certificate"]["outputs"]["certPem"]

    second = stack.up(Chain())
    assert second.changed == {}
    assert second.outputs == first.outputs

    third = stack.up(Chain(addresses=["10.0.0.1", "10.0.0.2"]))
    assert set(third.changed) == {"request", "certificate"}
    assert all("replace" in operation for operation in third.changed.values())
    assert third.outputs["key"] == first.outputs["key"]
    assert third.outputs["certificate"] != first.outputs["certificate"]


def test_a_certificate_is_renewed_by_the_next_up_when_its_time_has_come(stack: Stack) -> None:
    before = stack.up(Chain())
    due = Chain(early_renewal_hours=100)
    assert "replace" in stack.preview(due).changed["certificate"]
    renewed = stack.up(due)
    assert set(renewed.changed) == {"certificate"}
    assert "replace" in renewed.changed["certificate"]
    assert renewed.outputs["certificate"] != before.outputs["certificate"]
    assert renewed.outputs["ready"] is False
