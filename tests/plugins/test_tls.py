"""The tls stand-in without an engine: forms of keys, contents of certificates, renewal on a clock."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
    load_ssh_private_key,
    load_ssh_public_key,
)
from cryptography.x509 import verification

from sandbox.plugins.protocol import Call, PluginError
from sandbox.plugins.sandboxed import KUBECONFIG_VARIABLE
from sandbox.plugins.tls.plugin import TlsPlugin
from sandbox.plugins.values import UNKNOWN, Properties, Secret, reveal

START = datetime(2026, 1, 1, tzinfo=UTC)
TYPES = {
    "PrivateKey": "tls:index/privateKey:PrivateKey",
    "CertRequest": "tls:index/certRequest:CertRequest",
    "SelfSignedCert": "tls:index/selfSignedCert:SelfSignedCert",
    "LocallySignedCert": "tls:index/locallySignedCert:LocallySignedCert",
}
Make = Callable[..., Properties]


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def call(kind: str, **arguments: Any) -> Call:
    return Call(urn=f"urn:pulumi:s::p::{TYPES[kind]}::r", type=TYPES[kind], name="r", **arguments)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def plugin(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> TlsPlugin:
    monkeypatch.setenv(KUBECONFIG_VARIABLE, "/some/where")
    return TlsPlugin(clock)


@pytest.fixture
def make(plugin: TlsPlugin) -> Make:
    def make(kind: str, **inputs: Any) -> Properties:
        assert plugin.check(call(kind, inputs=inputs)).failures == ()
        return plugin.create(call(kind, inputs=inputs))[1]

    return make


@pytest.fixture
def authority(make: Make) -> Properties:
    key = make("PrivateKey", algorithm="ECDSA", ecdsaCurve="P256")
    return make(
        "SelfSignedCert",
        privateKeyPem=key["privateKeyPem"],
        isCaCertificate=True,
        maxPathLength=0,
        allowedUses=["cert_signing", "crl_signing"],
        validityPeriodHours=1000,
        subject={"commonName": "authority", "organization": "o", "streetAddresses": ["one"]},
    )


@pytest.fixture
def leaf(make: Make, authority: Properties) -> Properties:
    key = make("PrivateKey", algorithm="RSA", rsaBits=2048)
    request = make(
        "CertRequest",
        privateKeyPem=key["privateKeyPem"],
        dnsNames=["registry.example"],
        ipAddresses=["10.0.0.1", "fd00::1"],
        uris=["spiffe://x/y"],
    )
    return make(
        "LocallySignedCert",
        caPrivateKeyPem=authority["privateKeyPem"],
        caCertPem=authority["certPem"],
        certRequestPem=request["certRequestPem"],
        allowedUses=["server_auth", "digital_signature", "key_encipherment"],
        validityPeriodHours=100,
        earlyRenewalHours=10,
        setSubjectKeyId=True,
    )


@pytest.mark.parametrize(
    ("inputs", "preamble"),
    [
        ({"algorithm": "RSA"}, "BEGIN RSA PRIVATE KEY"),
        ({"algorithm": "ECDSA", "ecdsaCurve": "P384"}, "BEGIN EC PRIVATE KEY"),
        ({"algorithm": "ED25519"}, "BEGIN PRIVATE KEY"),
    ],
)
def test_a_key_comes_in_every_form(make: Make, inputs: Properties, preamble: str) -> None:
    state = make("PrivateKey", **inputs)
    assert {name for name, value in state.items() if isinstance(value, Secret)} == {
        "privateKeyPem",
        "privateKeyPemPkcs8",
        "privateKeyOpenssh",
    }
    shown = reveal(state)
    assert preamble in shown["privateKeyPem"]
    assert "BEGIN PRIVATE KEY" in shown["privateKeyPemPkcs8"]
    public = load_pem_public_key(shown["publicKeyPem"].encode())
    assert load_pem_private_key(shown["privateKeyPem"].encode(), None).public_key() == public
    assert load_pem_private_key(shown["privateKeyPemPkcs8"].encode(), None).public_key() == public
    assert load_ssh_private_key(shown["privateKeyOpenssh"].encode(), None).public_key() == public
    assert load_ssh_public_key(shown["publicKeyOpenssh"].encode()) == public
    assert shown["publicKeyFingerprintSha256"].startswith("SHA256:")
    assert len(shown["publicKeyFingerprintMd5"].split(":")) == 16


def test_the_default_curve_has_no_openssh_form(make: Make) -> None:
    state = reveal(make("PrivateKey", algorithm="ECDSA"))
    assert (state["ecdsaCurve"], state["rsaBits"]) == ("P224", 2048)
    assert (state["privateKeyOpenssh"], state["publicKeyOpenssh"]) == ("", "")


@pytest.mark.parametrize("host", ["registry.example", "10.0.0.1", "fd00::1"])
def test_a_client_that_trusts_the_authority_trusts_the_certificate(
    authority: Properties, leaf: Properties, clock: Clock, host: str
) -> None:
    store = verification.Store([x509.load_pem_x509_certificate(authority["certPem"].encode())])
    builder = verification.PolicyBuilder().store(store).time(clock.now)
    name = x509.IPAddress(ipaddress.ip_address(host)) if host != "registry.example" else x509.DNSName(host)
    chain = builder.build_server_verifier(name).verify(
        x509.load_pem_x509_certificate(leaf["certPem"].encode()), []
    )
    assert len(chain) == 2


def test_extensions_follow_the_inputs(authority: Properties, leaf: Properties) -> None:
    root = x509.load_pem_x509_certificate(authority["certPem"].encode())
    constraints = root.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    usage = root.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)
    certificate = x509.load_pem_x509_certificate(leaf["certPem"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical, "a certificate without a subject must have critical names"
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://x/y"]
    issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    own = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert issuer.key_identifier == own.digest
    key = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert len(key.digest) == hashlib.sha1(b"", usedforsecurity=False).digest_size
    assert (leaf["validityStartTime"], leaf["validityEndTime"]) == (
        "2026-01-01T00:00:00Z",
        "2026-01-05T04:00:00Z",
    )


def inputs_of(leaf: Properties, **changed: Any) -> Properties:
    names = ("caPrivateKeyPem", "caCertPem", "certRequestPem", "allowedUses", "validityPeriodHours")
    return {name: leaf[name] for name in (*names, "earlyRenewalHours", "setSubjectKeyId")} | changed


@pytest.mark.parametrize(
    ("changed", "replaced"),
    [
        ({}, set[str]()),
        ({"earlyRenewalHours": 5}, set[str]()),
        ({"validityPeriodHours": 200}, {"validityPeriodHours"}),
        ({"allowedUses": ["server_auth"]}, {"allowedUses"}),
        ({"certRequestPem": UNKNOWN}, {"certRequestPem"}),
    ],
)
def test_an_input_that_changes_the_certificate_replaces_it(
    plugin: TlsPlugin, leaf: Properties, changed: Properties, replaced: set[str]
) -> None:
    old, new = inputs_of(leaf), inputs_of(leaf, **changed)
    found = plugin.diff(call("LocallySignedCert", old_inputs=old, inputs=new, state=leaf)).changes
    assert {change.path[0] for change in found} == set(changed)
    assert {change.path[0] for change in found if change.replace} == replaced


def test_a_longer_notice_keeps_the_certificate(plugin: TlsPlugin, leaf: Properties) -> None:
    wanted = inputs_of(leaf, earlyRenewalHours=20)
    state = plugin.update(call("LocallySignedCert", inputs=wanted, state=leaf))
    assert (state["certPem"], state["earlyRenewalHours"]) == (leaf["certPem"], 20)
    assert isinstance(state["caPrivateKeyPem"], Secret)


@pytest.mark.parametrize(("hours", "due"), [(89, False), (90, True), (200, True)])
def test_renewal_is_due_from_the_early_hours_on(
    plugin: TlsPlugin, clock: Clock, leaf: Properties, hours: int, due: bool
) -> None:
    inputs = inputs_of(leaf)
    clock.now = START + timedelta(hours=hours)
    difference = plugin.diff(call("LocallySignedCert", old_inputs=inputs, inputs=inputs, state=leaf))
    assert [(change.path, change.replace) for change in difference.changes] == (
        [(("readyForRenewal",), True)] if due else []
    )
    found = plugin.read(call("LocallySignedCert", id="1", old_inputs=inputs, state=leaf))
    assert found is not None and found.state["readyForRenewal"] is due


def test_a_preview_knows_no_key(plugin: TlsPlugin) -> None:
    made_id, state = plugin.create(call("PrivateKey", inputs={"algorithm": "ED25519"}, preview=True))
    assert made_id == ""
    assert reveal(state["privateKeyPem"]) is UNKNOWN and isinstance(state["privateKeyPem"], Secret)
    assert state["publicKeyPem"] is UNKNOWN


@pytest.mark.parametrize(
    ("kind", "inputs", "sentence"),
    [
        ("PrivateKey", {}, "algorithm is required"),
        ("PrivateKey", {"algorithm": "ROT13"}, "must be one of RSA, ECDSA, ED25519"),
        ("PrivateKey", {"algorithm": "ECDSA", "ecdsaCurve": "P1"}, "must be one of P224, P256, P384, P521"),
        (
            "SelfSignedCert",
            {"privateKeyPem": "x", "allowedUses": ["ruling"], "validityPeriodHours": 1},
            "allowedUses has 'ruling'",
        ),
        (
            "SelfSignedCert",
            {"privateKeyPem": "x", "allowedUses": [], "validityPeriodHours": -1},
            "validityPeriodHours is -1, and must be at least 0",
        ),
    ],
)
def test_wrong_inputs_are_named(plugin: TlsPlugin, kind: str, inputs: Properties, sentence: str) -> None:
    ((_, failure),) = plugin.check(call(kind, inputs=inputs)).failures
    assert sentence in failure


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"privateKeyPem": "no key"}, "privateKeyPem is no private key in PEM"),
        ({"ipAddresses": ["10.0.0.256"]}, "'10.0.0.256' is no IP address"),
    ],
)
def test_what_cannot_be_made_is_explained(
    plugin: TlsPlugin, authority: Properties, inputs: Properties, sentence: str
) -> None:
    given = {"privateKeyPem": authority["privateKeyPem"], **inputs}
    with pytest.raises(PluginError, match=sentence):
        plugin.create(call("CertRequest", inputs=given))


def test_outside_of_a_sandbox_nothing_is_made(plugin: TlsPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KUBECONFIG_VARIABLE)
    with pytest.raises(PluginError, match="serves the sandbox's cluster alone"):
        plugin.create(call("PrivateKey", inputs={"algorithm": "ED25519"}))
