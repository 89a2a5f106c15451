"""The authority, the certificate it signs, and every secret: where each comes from and where it may go."""

from __future__ import annotations

import ipaddress
import json

from tests.unit.conftest import Deploy
from tests.unit.parts import CA, KEY, LEAF, REQUEST, SECRET, registry_config


def test_the_certificate_covers_the_hosts_the_service_and_localhost(deploy: Deploy) -> None:
    hosts = ["registry.example.com", "192.0.2.1", "2001:db8::1", "localhost"]
    request = deploy(externalHosts=hosts, namespace="images").one(REQUEST).inputs
    assert request["dnsNames"] == [
        "registry.example.com",
        "localhost",
        "registry",
        "registry.images",
        "registry.images.svc",
        "registry.images.svc.cluster.local",
    ]
    assert request["ipAddresses"] == ["192.0.2.1", "2001:db8::1", "127.0.0.1", "::1"]
    assert all(map(ipaddress.ip_address, request["ipAddresses"]))


def test_the_certificate_covers_the_nodes_when_no_host_is_given(deploy: Deploy) -> None:
    assert deploy().one(REQUEST).inputs["ipAddresses"][0] == "10.0.0.1"


def test_the_authority_signs_servers_alone_and_lasts(deploy: Deploy) -> None:
    ca = deploy().one(CA).inputs
    assert ca["isCaCertificate"] is True
    assert ca["setSubjectKeyId"] is True
    assert ca["maxPathLength"] == 0
    assert ca["allowedUses"] == ["cert_signing", "crl_signing"]
    assert ca["validityPeriodHours"] == 10 * 365 * 24
    assert ca["earlyRenewalHours"] == 365 * 24
    assert ca["subject"] == {"commonName": "docker-registry dev/registry", "organization": "docker-registry"}


def test_the_server_certificate_is_renewed_long_before_it_ends(deploy: Deploy) -> None:
    leaf = deploy().one(LEAF).inputs
    assert leaf["allowedUses"] == ["digital_signature", "server_auth"]
    assert leaf["validityPeriodHours"] == 825 * 24
    assert leaf["earlyRenewalHours"] == 180 * 24
    assert leaf["caCertPem"] == "certificate registry-certificates-ca"
    assert leaf["certRequestPem"] == "request registry-certificates-server-request"
    assert leaf["caPrivateKeyPem"] == "private key of registry-certificates-ca-key"
    assert not leaf.get("isCaCertificate")


def test_keys_are_elliptic_and_each_its_own(deploy: Deploy) -> None:
    keys = {key.name: key.inputs for key in deploy().all(KEY)}
    assert set(keys) == {
        "registry-certificates-ca-key",
        "registry-certificates-server-key",
        "registry-http-secret",
        "registry-password-1",
    }
    for name in ("registry-certificates-ca-key", "registry-certificates-server-key"):
        assert (keys[name]["algorithm"], keys[name]["ecdsaCurve"]) == ("ECDSA", "P256")


def test_no_key_leaves_a_secret(deploy: Deploy) -> None:
    graph = deploy()
    for resource in graph.resources:
        if "private key of" in json.dumps(resource.inputs):
            assert resource.type in {SECRET, REQUEST, CA, LEAF}, resource.name
            assert resource.secret_paths, resource.name
    assert "private key of" not in json.dumps(graph.outputs)


def test_the_tls_secret_holds_the_chain(deploy: Deploy) -> None:
    secret = deploy().one(SECRET, "registry-tls")
    assert secret.inputs["type"] == "kubernetes.io/tls"
    assert secret.inputs["stringData"] == {
        "tls.crt": "certificate registry-certificates-server",
        "tls.key": "private key of registry-certificates-server-key",
    }
    assert secret.secret_paths == {"/stringData"}


def test_the_http_secret_is_a_digest_and_comes_from_its_secret(deploy: Deploy) -> None:
    graph = deploy()
    secret = graph.one(SECRET, "registry-http")
    assert secret.secret_paths == {"/stringData"}
    value = secret.inputs["stringData"]["secret"]
    assert len(bytes.fromhex(value)) == 32
    (entry,) = [e for e in graph.container("registry")["env"] if e["name"] == "REGISTRY_HTTP_SECRET"]
    assert entry == {
        "name": "REGISTRY_HTTP_SECRET",
        "valueFrom": {"secretKeyRef": {"name": "registry-http-0a1b2c3d", "key": "secret"}},
    }
    assert value not in json.dumps([r.inputs for r in graph.resources if r.type != SECRET])
    assert "secret" not in registry_config(graph)["http"]
