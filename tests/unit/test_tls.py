"""The certificate that is served and whom clients trust: brought along, kept by others, rotated."""

from __future__ import annotations

import base64
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from docker_registry_stack import ClusterError, DockerRegistry, DockerRegistryArgs, SettingsError
from docker_registry_stack.args import Tls
from docker_registry_stack.config import read_args
from sandbox.pki import Pair, Subject, issue, new_authority
from tests.unit import program
from tests.unit.conftest import Deploy
from tests.unit.fakecluster import FakeCluster, definition
from tests.unit.parts import ADDRESS, CA, CONFIG_MAP, KEY, LEAF, SECRET, variables, volumes
from tests.unit.program import Graph, read

HOSTS = ["registry.example.com", "192.0.2.10"]
AUTHORITY = new_authority("an authority of ours")
SERVER = issue(AUTHORITY, Subject("server", hosts=("*.example.com", "192.0.2.10")))
KEYS = "docker-registry.internal/authorities"


def pem(pair: Pair) -> str:
    return pair.certificate_pem.decode()


def key(pair: Pair) -> str:
    return pair.key_pem.decode()


def ca_data(graph: Graph) -> str:
    return graph.one(CONFIG_MAP, "registry-ca").inputs["data"]["ca.crt"]


def published(cluster: FakeCluster, authorities: str | None, ca: str = "") -> None:
    """Has the cluster know the registry's address resource."""
    cluster.definitions = [definition("registryaddresses.docker-registry.internal")]
    cluster.addresses["docker-registry"] = [f"{HOSTS[0]}:32000"]
    cluster.annotations["docker-registry"] = {} if authorities is None else {KEYS: authorities}
    cluster.ca = ca


def given(**tls: object) -> dict[str, object]:
    return {"externalHosts": HOSTS, "tls": tls}


def test_by_default_the_first_authority_signs_and_is_all_there_is(deploy: Deploy) -> None:
    graph = deploy()
    assert [ca.name for ca in graph.all(CA)] == ["registry-certificates-ca"]
    assert ca_data(graph) == graph.outputs["caCertificate"] == "certificate registry-certificates-ca"
    address = graph.one(ADDRESS).inputs
    assert address["spec"]["caBundle"] == ca_data(graph)
    assert address["metadata"]["annotations"] == {KEYS: "1"}


def test_a_second_authority_is_published_and_nothing_that_rolls_the_pod_changes(deploy: Deploy) -> None:
    graph, before = deploy(tls={"authorities": [1, 2]}), deploy()
    both = "certificate registry-certificates-ca\ncertificate registry-certificates-ca-2"
    assert ca_data(graph) == graph.outputs["caCertificate"] == both
    assert graph.one(ADDRESS).inputs["spec"]["caBundle"] == both
    assert graph.one(ADDRESS).inputs["metadata"]["annotations"] == {KEYS: "1,2"}
    assert graph.one(LEAF).inputs == before.one(LEAF).inputs
    assert graph.one(SECRET, "registry-tls").inputs == before.one(SECRET, "registry-tls").inputs
    assert graph.pod() == before.pod()


def test_then_it_signs_and_both_stay_published(deploy: Deploy) -> None:
    graph, before = deploy(tls={"authorities": [2, 1]}), deploy(tls={"authorities": [1, 2]})
    leaf = graph.one(LEAF).inputs
    assert leaf["caCertPem"] == "certificate registry-certificates-ca-2"
    assert leaf["caPrivateKeyPem"] == "private key of registry-certificates-ca-2-key"
    assert ca_data(graph) == ca_data(before), "nobody has to take up anything at this moment"
    made, had = ({each.name: each.inputs for each in of.all(CA)} for of in (graph, before))
    assert made == had
    assert {each.name for each in graph.all(KEY)} == {each.name for each in before.all(KEY)}


def test_authorities_of_one_stack_have_names_of_their_own(deploy: Deploy) -> None:
    names = {ca.inputs["subject"]["commonName"] for ca in deploy(tls={"authorities": [1, 2]}).all(CA)}
    assert names == {"docker-registry dev/registry", "docker-registry dev/registry 2"}


@pytest.mark.parametrize("known", ["1", None])
def test_an_authority_that_nobody_published_does_not_sign(cluster: FakeCluster, known: str | None) -> None:
    """A stack of before has no annotation, and had the first."""
    published(cluster, known)
    with pytest.raises(
        ClusterError,
        match=r"begins with 2, which nobody published yet: .* first, by `pulumi up` with \[1, 2\]",
    ):
        program.run(given(authorities=[2, 1]), {})
    program.run(given(authorities=[1, 2]), {})
    published(cluster, "1,2")
    program.run(given(authorities=[2, 1]), {})


def test_a_stack_that_is_new_begins_with_any_authority(cluster: FakeCluster) -> None:
    assert cluster.nodes
    assert ca_data(program.run(given(authorities=[7]), {})) == "certificate registry-certificates-ca-7"


def test_a_given_authority_signs(deploy: Deploy) -> None:
    graph = deploy(**given(ca=pem(AUTHORITY), caKey=key(AUTHORITY)))
    leaf = graph.one(LEAF).inputs
    assert (leaf["caCertPem"], leaf["caPrivateKeyPem"]) == (pem(AUTHORITY), key(AUTHORITY))
    assert graph.all(CA) == []
    assert ca_data(graph) == pem(AUTHORITY)
    chain = graph.one(SECRET, "registry-tls").inputs["stringData"]["tls.crt"]
    assert chain == "certificate registry-certificates-server", "it ends the chain, which clients have"


def test_an_authority_that_another_signed_is_shown_to_clients(deploy: Deploy) -> None:
    middle = issue(AUTHORITY, Subject("not self-signed"))
    with pytest.raises(SettingsError, match="CN=not self-signed, which is not an authority"):
        read(**given(ca=pem(AUTHORITY) + pem(middle), caKey=key(middle)))
    intermediate = _intermediate()
    graph = deploy(**given(ca=pem(AUTHORITY) + pem(intermediate), caKey=key(intermediate)))
    chain = graph.one(SECRET, "registry-tls").inputs["stringData"]["tls.crt"]
    assert chain == f"certificate registry-certificates-server\n{pem(intermediate)}"


def _intermediate() -> Pair:
    own = new_authority("between")
    builder = x509.CertificateBuilder(
        AUTHORITY.certificate.subject,
        own.certificate.subject,
        own.key.public_key(),
        own.certificate.serial_number,
        own.certificate.not_valid_before_utc,
        own.certificate.not_valid_after_utc,
        list(own.certificate.extensions),
    )
    return Pair(own.key, builder.sign(AUTHORITY.key, hashes.SHA256()))


def test_of_several_authorities_the_one_of_the_key_signs_and_all_are_published(deploy: Deploy) -> None:
    other = new_authority("another")
    graph = deploy(**given(ca=pem(AUTHORITY) + pem(other), caKey=key(other)))
    assert graph.one(LEAF).inputs["caCertPem"] == pem(other)
    assert ca_data(graph) == pem(AUTHORITY) + pem(other)


def test_a_given_authority_signs_only_once_it_was_published(cluster: FakeCluster) -> None:
    published(cluster, "1", ca="")
    signing = given(ca=pem(AUTHORITY), caKey=key(AUTHORITY), authorities=[1])
    with pytest.raises(ClusterError, match="CN=an authority of ours, which nobody published yet"):
        program.run(signing, {})
    graph = program.run(given(ca=pem(AUTHORITY)), {})
    assert ca_data(graph) == f"certificate registry-certificates-ca\n{pem(AUTHORITY)}"
    assert graph.one(LEAF).inputs["caCertPem"] == "certificate registry-certificates-ca"
    published(cluster, "1", ca=pem(AUTHORITY))
    graph = program.run(signing, {})
    assert graph.one(LEAF).inputs["caCertPem"] == pem(AUTHORITY)
    assert ca_data(graph) == f"certificate registry-certificates-ca\n{pem(AUTHORITY)}"


def test_a_given_certificate_is_served_as_it_is(deploy: Deploy) -> None:
    chain = pem(SERVER) + pem(AUTHORITY)
    graph = deploy(**given(certificate=chain, key=key(SERVER), ca=pem(AUTHORITY)))
    secret = graph.one(SECRET, "registry-tls")
    assert secret.inputs["stringData"] == {"tls.crt": chain, "tls.key": key(SERVER)}
    assert secret.secret_paths == {"/stringData"}
    assert graph.all(CA) == graph.all(LEAF) == []
    assert ca_data(graph) == graph.outputs["caCertificate"] == pem(AUTHORITY)
    assert graph.one(ADDRESS).inputs["metadata"]["annotations"] == {KEYS: ""}


def test_what_systems_trust_anyway_is_published_as_nothing(deploy: Deploy) -> None:
    graph = deploy(**given(certificate=pem(SERVER), key=key(SERVER)))
    assert ca_data(graph) == graph.outputs["caCertificate"] == ""


def test_no_private_key_leaves_a_secret(deploy: Deploy) -> None:
    """Neither the args that the state records nor any object but a Secret has one in plain text."""
    for tls, pair in (
        ({"certificate": pem(SERVER), "key": key(SERVER)}, SERVER),
        ({"ca": pem(AUTHORITY), "caKey": key(AUTHORITY)}, AUTHORITY),
    ):
        graph = deploy(**given(**tls))
        text = key(pair).splitlines()[1]
        holders = [r for r in graph.resources if text in json.dumps(r.inputs)]
        assert holders
        for resource in holders:
            assert resource.secret_paths, resource.name
            open_ = json.loads(json.dumps(resource.inputs))
            for path in resource.secret_paths:
                *above, last = path.strip("/").split("/")
                place = open_
                for step in above:
                    place = place[step]
                place[last] = None
            assert text not in json.dumps(open_), resource.name
        assert text not in json.dumps(graph.outputs)


@pytest.mark.parametrize(
    ("tls", "sentence"),
    [
        ({"secretName": "a", "certificate": "b"}, "secretName and certificate each give a certificate"),
        ({"secretName": "A_b"}, "'A_b' is not a DNS name"),
        ({"certificate": pem(SERVER)}, "certificate comes without its key"),
        ({"key": key(SERVER)}, "key is that of a certificate, and there is none"),
        ({"caKey": key(AUTHORITY)}, "caKey is that of an authority, and there is none"),
        ({"certificate": "x", "key": key(SERVER)}, "certificate is not a certificate: give it as PEM"),
        ({"certificate": pem(SERVER), "key": "x"}, "key is not a private key: give it as PEM"),
        ({"certificate": pem(SERVER), "key": key(AUTHORITY)}, "key does not go with certificate"),
        (
            {"certificate": pem(SERVER) + key(SERVER), "key": key(SERVER)},
            "holds a private key, and is made public",
        ),
        ({"ca": pem(AUTHORITY) + key(AUTHORITY)}, "ca holds a private key, and is made public"),
        ({"ca": pem(AUTHORITY), "caKey": key(SERVER)}, "caKey goes with no certificate in ca"),
        ({"ca": pem(SERVER)}, "CN=server, which is not an authority"),
        ({"authorities": []}, "authorities is empty"),
        ({"authorities": [1, 1]}, "each once"),
        ({"authorities": [0]}, "whole numbers from 1"),
        ({"authorities": 2}, "give a list of whole numbers"),
        ({"colour": "red"}, "'colour' is not a key here"),
    ],
)
def test_what_is_wrong_is_told_without_a_word_of_a_key(tls: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=f"docker-registry:tls: .*{sentence}") as caught:
        read(**given(**tls))
    assert "BEGIN" not in str(caught.value).replace("its BEGIN and END lines", "")
    assert key(SERVER).splitlines()[1] not in str(caught.value)


@pytest.mark.parametrize("text", ['{"key": "s3cret"', '"s3cret"', '["s3cret"]', '{"a": {"s3cret": 1}} x'])
def test_json_that_is_none_is_not_quoted(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_args(program.PROJECT, {"tls": text})
    assert "s3cret" not in str(caught.value)


def test_a_certificate_that_lacks_a_host_is_refused(cluster: FakeCluster) -> None:
    tls = {"certificate": pem(SERVER), "key": key(SERVER)}
    with pytest.raises(SettingsError, match=r"certificate is not made for other.example.org, 192.0.2.11"):
        read(externalHosts=[*HOSTS, "other.example.org", "192.0.2.11"], tls=tls)
    with pytest.raises(SettingsError, match=r"is not made for a.b.example.com"):
        read(externalHosts=["a.b.example.com"], tls=tls)
    # Where the nodes' addresses are published, they are known only when the cluster is asked.
    with pytest.raises(ClusterError, match=r"certificate is not made for 10.0.0.1"):
        program.run({"tls": tls}, {})
    assert cluster.asked


def test_an_encrypted_or_ended_one_is_refused(tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    command = [
        "openssl",
        "genpkey",
        "-algorithm",
        "ed25519",
        "-aes256",
        "-pass",
        "pass:x",
        "-out",
        str(locked),
    ]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(SettingsError, match="key is encrypted, and nobody is there to type a passphrase"):
        read(**given(certificate=pem(SERVER), key=locked.read_text()))
    ended = _dated(-timedelta(days=2), -timedelta(days=1))
    with pytest.raises(SettingsError, match=r"certificate ended on .*: give a renewed one"):
        read(**given(certificate=pem(ended), key=key(ended)))
    coming = _dated(timedelta(days=1), timedelta(days=2))
    with pytest.raises(SettingsError, match="certificate is not valid before"):
        read(**given(certificate=pem(coming), key=key(coming)))


def _dated(begins: timedelta, ends: timedelta) -> Pair:
    """A certificate for other times; what else is in it is the server's."""
    now, like = datetime.now(UTC), SERVER.certificate
    builder = x509.CertificateBuilder(
        like.issuer, like.subject, SERVER.key.public_key(), 7, now + begins, now + ends, list(like.extensions)
    )
    return Pair(SERVER.key, builder.sign(AUTHORITY.key, hashes.SHA256()))


def secret(**files: str) -> dict[str, Any]:
    data = {name.replace("_", "."): base64.b64encode(text.encode()).decode() for name, text in files.items()}
    return {"kind": "Secret", "data": data}


SOUND = secret(tls_crt=pem(SERVER), tls_key=key(SERVER), ca_crt=pem(AUTHORITY))


def test_a_secret_that_others_keep_is_served_from_and_its_renewals_are_taken_up(cluster: FakeCluster) -> None:
    cluster.secrets["docker-registry/of-cert-manager"] = SOUND
    graph = program.run(given(secretName="of-cert-manager"), {})
    assert "registry-tls" not in {each.name for each in graph.all(SECRET)}
    assert graph.all(CA) == graph.all(LEAF) == []
    found = volumes(graph)
    assert found["tls"]["secret"]["secretName"] == "of-cert-manager"
    assert found["ca"]["secret"] == {
        "secretName": "of-cert-manager",
        "defaultMode": 0o444,
        "items": [{"key": "ca.crt", "path": "ca.crt"}],
        "optional": True,
    }
    assert variables(graph, "gc")["GC_RENEWALS"] == "true"
    assert ca_data(graph) == graph.outputs["caCertificate"] == pem(AUTHORITY)
    assert key(SERVER).splitlines()[1] not in json.dumps([each.inputs for each in graph.resources])


def test_a_secret_that_others_keep_is_for_one_pod() -> None:
    """Where the pruner is in a pod of its own, it restarts no registry."""
    claim = {"kind": "persistentVolumeClaim", "size": "1Gi", "accessModes": ["ReadWriteMany"]}
    with pytest.raises(SettingsError, match="tls: secretName needs the pruner beside the only registry"):
        read(replicas=2, storage=claim, cache="none", tls={"secretName": "s"})
    with pytest.raises(SettingsError, match="tls: secretName needs the pruner beside the only registry"):
        read(registryConfig={"proxy": {"remoteurl": "https://registry-1.docker.io"}}, tls={"secretName": "s"})


def test_what_the_stack_renews_itself_is_another_pod(deploy: Deploy) -> None:
    assert variables(deploy(), "gc")["GC_RENEWALS"] == "false"
    assert volumes(deploy())["ca"]["configMap"] == {"name": "docker-registry-ca", "defaultMode": 0o444}


def test_a_given_authority_goes_before_that_of_the_secret(cluster: FakeCluster) -> None:
    other = new_authority("another")
    cluster.secrets["docker-registry/s"] = SOUND
    assert ca_data(program.run(given(secretName="s", ca=pem(other)), {})) == pem(other)
    assert ca_data(program.run(given(secretName="s", ca=""), {})) == ""


def test_a_secret_without_an_authority_is_one_that_systems_trust(cluster: FakeCluster) -> None:
    cluster.secrets["docker-registry/s"] = secret(tls_crt=pem(SERVER), tls_key=key(SERVER), ca_crt="")
    assert ca_data(program.run(given(secretName="s"), {})) == ""


def test_a_secret_that_is_not_there_is_waited_for_if_it_is_known_whom_to_trust(cluster: FakeCluster) -> None:
    with pytest.raises(ClusterError, match="secretName is 's', which the namespace does not have"):
        program.run(given(secretName="s"), {})
    assert ca_data(program.run(given(secretName="s", ca=pem(AUTHORITY)), {})) == pem(AUTHORITY)
    assert "/api/v1/namespaces/docker-registry/secrets/s" in cluster.asked


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (secret(tls_crt=pem(SERVER)), "the Secret 's' has nothing in tls.key"),
        (secret(a="b"), "the Secret 's' has nothing in tls.crt and tls.key"),
        (secret(tls_crt="x", tls_key="y"), "s: tls.crt is not a certificate"),
        (
            secret(
                tls_crt=pem(issue(AUTHORITY, Subject("x", hosts=("x.example",)))), tls_key="y", ca_crt="z"
            ),
            "the Secret 's' is not made for registry.example.com, 192.0.2.10",
        ),
    ],
)
def test_a_secret_that_cannot_serve_is_refused(
    cluster: FakeCluster, found: dict[str, Any], sentence: str
) -> None:
    cluster.secrets["docker-registry/s"] = found
    with pytest.raises(ClusterError, match=f"tls: {sentence}"):
        program.run(given(secretName="s"), {})


def test_a_secret_that_cannot_be_read_is_not_one_that_is_missing(cluster: FakeCluster) -> None:
    cluster.refuse = "/api/v1/namespaces/docker-registry/secrets"
    with pytest.raises(ClusterError, match="refused to list"):
        program.run(given(secretName="s"), {})


def test_a_secret_behind_a_provider_of_the_program_needs_its_authority(cluster: FakeCluster) -> None:
    def declare(tls: Tls) -> Graph:
        def main() -> None:
            opts = pulumi.ResourceOptions(provider=k8s.Provider("mine"))
            DockerRegistry("images", DockerRegistryArgs(external_hosts=["a.example"], tls=tls), opts)

        return program.run({}, {}, main)

    with pytest.raises(ClusterError, match=r"set tls\.ca to whom clients are to trust"):
        declare(Tls(secret_name="s"))
    assert declare(Tls(secret_name="s", ca=pem(AUTHORITY))).one(CONFIG_MAP, "images-ca")
    assert cluster.asked == []


def test_what_another_resource_gives_is_checked_when_it_is_known(cluster: FakeCluster) -> None:
    assert cluster.nodes

    def declare(key_text: str) -> Graph:
        def main() -> None:
            certificate, private = pulumi.Output.from_input(pem(SERVER)), pulumi.Output.secret(key_text)
            tls = Tls(certificate=certificate, key=private)
            DockerRegistry("images", DockerRegistryArgs(external_hosts=["a.example.com"], tls=tls))

        return program.run({}, {}, main)

    made = declare(key(SERVER)).one(SECRET, "images-tls")
    assert made.inputs["stringData"] == {"tls.crt": pem(SERVER), "tls.key": key(SERVER)}
    with pytest.raises(ValueError, match="key does not go with certificate"):
        declare(key(AUTHORITY))
