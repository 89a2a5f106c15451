"""A bucket as the storage: what is accepted, what is declared for it, and what its server says beforehand."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

import pytest

from docker_registry_stack import bundle
from docker_registry_stack.bucket import Bucket
from docker_registry_stack.bucketcheck import BucketError, check
from docker_registry_stack.config import read_args
from docker_registry_stack.settings import SettingsError
from pruner.registry import config as registry_config_of_pruner
from sandbox.pki import Subject, issue, new_authority
from sandbox.s3 import S3, s3_server
from tests.unit import program
from tests.unit.conftest import Deploy
from tests.unit.fakecluster import FakeCluster
from tests.unit.parts import (
    ACCOUNT,
    CONFIG_MAP,
    DEPLOYMENT,
    NAMESPACE,
    SECRET,
    assert_hidden,
    mounts,
    registry_config,
    variables,
)
from tests.unit.program import Graph, read

SECRET_KEY = "a very secret key/+="
# A name of the cluster's, which nobody asks from here.
THEIRS = {
    "kind": "s3",
    "bucket": "images",
    "endpoint": "http://minio.storage.svc:9000",
    "accessKey": "registry",
    "secretKey": SECRET_KEY,
}
PRIVATE = {**THEIRS, "endpoint": "https://minio.storage.svc:9000"}
AUTHORITY = new_authority("of the tests").certificate_pem.decode()
AMAZONS = {"kind": "s3", "bucket": "images", "region": "eu-central-1"}
ROLE = {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/registry"}


def understood(graph: Graph) -> registry_config_of_pruner.RegistryConfig:
    """What the pruner makes of the configuration."""
    return registry_config_of_pruner.parse(json.dumps(registry_config(graph)).encode(), "config.yml", {})


@pytest.mark.parametrize(
    ("storage", "told"),
    [
        ({"kind": "s3"}, "bucket is missing: give its name"),
        ({"kind": "s3", "bucket": "images"}, "region is missing: give the bucket's, or the endpoint"),
        ({**AMAZONS, "bucket": "Images"}, "bucket is 'Images': give its name"),
        ({**AMAZONS, "region": "eu central"}, "region is 'eu central'"),
        ({**AMAZONS, "size": "5Gi"}, "size is of a persistentVolumeClaim: leave it out"),
        ({**AMAZONS, "path": "/srv"}, "path is of a hostPath: leave it out"),
        ({"bucket": "images"}, "bucket is of a s3: leave it out, or set kind to that"),
        ({**THEIRS, "endpoint": "minio:9000"}, "endpoint is 'minio:9000': give http:// or https://"),
        ({**THEIRS, "endpoint": "https://minio/path"}, "endpoint is 'https://minio/path'"),
        ({**AMAZONS, "accessKey": "a"}, "accessKey and secretKey need each other"),
        ({**AMAZONS, "secretKey": SECRET_KEY}, "accessKey and secretKey need each other"),
        ({**THEIRS, "existingSecret": "keys"}, "existingSecret is in place of accessKey and secretKey"),
        ({**AMAZONS, "encryption": "yes"}, "'yes' is not known: give none or AES256 or aws:kms"),
        (
            {**AMAZONS, "caCertificate": AUTHORITY},
            "caCertificate is of a server of your own: give its endpoint",
        ),
        (
            {**THEIRS, "caCertificate": AUTHORITY},
            "caCertificate is of a server of your own: give its endpoint, https://",
        ),
        ({**PRIVATE, "caCertificate": "hidden"}, "caCertificate is not a certificate: give it as PEM"),
        (
            {**PRIVATE, "caCertificate": f"{AUTHORITY}-----BEGIN PRIVATE KEY-----"},
            "caCertificate holds a private key",
        ),
        ({**AMAZONS, "encryption": "aws:kms"}, "kmsKey and encryption aws:kms need each other"),
        ({**AMAZONS, "kmsKey": "k"}, "kmsKey and encryption aws:kms need each other"),
        ({**AMAZONS, "rootDirectory": "a/../b"}, "rootDirectory is 'a/../b': give a prefix of keys"),
        ({**AMAZONS, "redirect": "maybe"}, "'maybe' is not known: give true or false"),
        ({**AMAZONS, "serviceAccountAnnotations": {"a": 1}}, "'a' is 1, which is not text"),
    ],
)
def test_what_is_wrong_is_told(storage: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        read(storage=storage)
    assert f"storage: {told}" in str(refusal.value)


def test_what_version_2_cannot_do_is_refused() -> None:
    for storage, told in [
        ({**AMAZONS, "serviceAccountAnnotations": ROLE}, "the role of a service account"),
        ({**THEIRS, "forcePathStyle": False}, "forcePathStyle: false with an endpoint"),
    ]:
        assert read(storage=storage, registryImage="registry:3.1")
        with pytest.raises(SettingsError, match=f"version 2 of the registry does not know {told}"):
            read(storage=storage, registryImage="registry:2.8.3")


@pytest.mark.parametrize("text", ['{"secretKey": "hidden",}', '{"kind": "s3", "secretKey": {"hidden": 1}}'])
def test_no_sentence_quotes_the_key(text: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        read_args(program.PROJECT, {"storage": text})
    assert "hidden" not in str(refusal.value)


def test_registry_and_pruner_find_the_same_bucket(deploy: Deploy) -> None:
    graph = deploy(storage={**THEIRS, "rootDirectory": "/registries/one/"})
    config = registry_config(graph)
    assert config["storage"]["s3"] == {
        "bucket": "images",
        "region": "us-east-1",
        "forcepathstyle": True,
        "regionendpoint": "http://minio.storage.svc:9000",
        "rootdirectory": "registries/one",
    }
    assert "filesystem" not in config["storage"]
    found = understood(graph).s3
    assert found is not None
    assert (found.bucket, found.root, found.path_style) == ("images", "registries/one", True)
    assert found.endpoint == "http://minio.storage.svc:9000"
    assert found.access_key == "", "its variables bring it"
    assert graph.outputs["data"] == "s3://images/registries/one at http://minio.storage.svc:9000"


def test_encryption_is_asked_as_the_driver_takes_it(deploy: Deploy) -> None:
    plain = registry_config(deploy(storage={**THEIRS, "encryption": "AES256"}))["storage"]["s3"]
    assert plain["encrypt"] is True
    assert "keyid" not in plain
    own = registry_config(deploy(storage={**THEIRS, "encryption": "aws:kms", "kmsKey": "abc"}))["storage"][
        "s3"
    ]
    assert (own["encrypt"], own["keyid"]) == (True, "abc")


def test_clients_are_led_to_the_bucket_where_they_trust_it(deploy: Deploy) -> None:
    for storage, redirects in [
        (AMAZONS, True),
        (THEIRS, False),
        ({**THEIRS, "redirect": True}, True),
        ({**AMAZONS, "redirect": False}, False),
    ]:
        assert registry_config(deploy(storage=storage))["storage"]["redirect"] == {"disable": not redirects}


def test_the_key_is_a_variable_of_whoever_asks_the_server(deploy: Deploy) -> None:
    graph = deploy(storage=THEIRS)
    secret = graph.one(SECRET, "registry-s3")
    assert secret.inputs["stringData"] == {"accessKey": "registry", "secretKey": SECRET_KEY}
    assert secret.inputs["immutable"] is True
    assert "name" not in secret.inputs["metadata"], "another key rolls the pods"
    for container in ("registry", "gc", "claim"):
        found = {entry["name"]: entry.get("valueFrom") for entry in graph.container(container)["env"]}
        for name, key in (("AWS_ACCESS_KEY_ID", "accessKey"), ("AWS_SECRET_ACCESS_KEY", "secretKey")):
            assert found[name] == {"secretKeyRef": {"name": "registry-s3-0a1b2c3d", "key": key}}
    assert_hidden(graph, SECRET_KEY)


def test_the_key_may_lie_in_a_secret_of_somebodys_or_be_the_pods_role(deploy: Deploy) -> None:
    graph = deploy(storage={**AMAZONS, "existingSecret": "keys"})
    found = {entry["name"]: entry.get("valueFrom") for entry in graph.container("registry")["env"]}
    assert found["AWS_ACCESS_KEY_ID"] == {"secretKeyRef": {"name": "keys", "key": "accessKey"}}
    graph = deploy(storage={**AMAZONS, "serviceAccountAnnotations": ROLE})
    assert "AWS_ACCESS_KEY_ID" not in {entry["name"] for entry in graph.container("registry")["env"]}
    assert graph.one(ACCOUNT).inputs["metadata"]["annotations"] == ROLE
    assert graph.pod()["serviceAccountName"] == "registry-pruner-account-0a1b2c3d"


def test_who_signs_for_the_server_is_trusted_by_whoever_asks_it(deploy: Deploy) -> None:
    graph = deploy(storage={**PRIVATE, "caCertificate": AUTHORITY})
    published = graph.one(CONFIG_MAP, "registry-s3-ca")
    assert published.inputs["data"] == {"ca.crt": AUTHORITY}
    assert published.inputs["immutable"] is True
    for container in ("registry", "gc", "claim"):
        assert mounts(graph, container)["/etc/s3-ca"] == ("s3-ca", True)
        assert variables(graph, container)["SSL_CERT_DIR"] == "/etc/ssl/certs:/etc/s3-ca"
        assert "AWS_CA_BUNDLE" not in variables(graph, container)
    assert "SSL_CERT_DIR" not in variables(deploy(storage=PRIVATE), "registry")
    with pytest.raises(SettingsError, match=r"SSL_CERT_DIR.*storage\.caCertificate"):
        read(storage=PRIVATE, pod={"registry": {"environment": {"SSL_CERT_DIR": "/x"}}})


def test_nothing_of_a_disk_is_mounted_and_nobody_is_root(deploy: Deploy) -> None:
    graph = deploy(storage=THEIRS)
    pod = graph.pod()
    assert "data" not in {volume["name"] for volume in pod["volumes"]}
    assert "/var/lib/registry" not in mounts(graph, "registry")
    assert pod["securityContext"]["runAsNonRoot"] is True
    labels = graph.one(NAMESPACE).inputs["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert "affinity" not in pod


def test_the_client_of_the_server_is_mounted_where_the_pruner_runs_and_only_then(deploy: Deploy) -> None:
    graph = deploy(storage=THEIRS)
    for container in ("gc", "claim"):
        assert mounts(graph, container)["/opt/prune/lib/s3"] == ("prune-s3", True)
        assert mounts(graph, container)["/tmp"] == ("scratch", False), "its data is unpacked there"
        assert variables(graph, container)["PYTHONPATH"] == "/opt/prune/lib/s3/library.zip"
    content = graph.one(CONFIG_MAP, "registry-pruner-s3").inputs["binaryData"]["library.zip"]
    assert base64.b64decode(content) == bundle.archive("s3")
    assert not [each for each in deploy().all(CONFIG_MAP) if each.name == "registry-pruner-s3"]
    assert "PYTHONPATH" not in variables(deploy(), "gc")
    both = variables(deploy(storage=THEIRS, cache="redis"), "gc")["PYTHONPATH"]
    assert both == "/opt/prune/lib/redis/library.zip:/opt/prune/lib/s3/library.zip"


def test_it_may_hold_a_lease_where_no_lock_of_a_file_is(deploy: Deploy) -> None:
    def resources(graph: Graph) -> list[str]:
        role = graph.one("kubernetes:rbac.authorization.k8s.io/v1:Role").inputs
        return [resource for rule in role["rules"] for resource in rule["resources"]]

    assert "leases" in resources(deploy(storage=THEIRS))
    assert "leases" not in resources(deploy())


def test_several_pods_share_a_bucket(deploy: Deploy) -> None:
    graph = deploy(storage=THEIRS, replicas=2, cache="redis")
    assert graph.one(DEPLOYMENT, "registry").inputs["spec"]["replicas"] == 2
    for deployment in ("registry", "registry-pruner"):
        volumes = {volume["name"] for volume in graph.pod(deployment)["volumes"]}
        assert volumes == graph.mounted(deployment)


# What its server says beforehand


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        (running.data / "images").mkdir()
        yield running


def test_a_server_with_a_private_authority_is_asked_by_it(cluster: FakeCluster, tmp_path: Path) -> None:
    assert cluster.nodes
    ours, other = new_authority("of the tests"), new_authority("of another")
    with s3_server(tmp_path, identity=issue(ours, Subject("s3", hosts=("127.0.0.1",)))) as running:
        (running.data / "images").mkdir()
        both = (other.certificate_pem + ours.certificate_pem).decode()
        assert run(running, caCertificate=both).all(DEPLOYMENT)
        with pytest.raises(BucketError, match="is not to be trusted by caCertificate"):
            run(running, caCertificate=other.certificate_pem.decode())
        with pytest.raises(BucketError, match="there is no bucket another"):
            run(running, caCertificate=both, bucket="another")


def run(server: S3, **other: object) -> Graph:
    storage = {
        "kind": "s3",
        "bucket": "images",
        "endpoint": server.endpoint,
        "accessKey": server.access_key,
        "secretKey": server.secret_key,
    }
    return program.run({"storage": {**storage, **other}}, {})


def test_a_bucket_that_answers_is_taken(cluster: FakeCluster, server: S3) -> None:
    assert cluster.nodes
    assert run(server).all(DEPLOYMENT)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"bucket": "another"}, "there is no bucket another: make it"),
        ({"secretKey": "wrong"}, r"does not know the key \(SignatureDoesNotMatch\)"),
        ({"accessKey": "stranger"}, r"does not know the key \(XAdminUserNotFound\)"),
        (
            {"region": "eu-west-7"},
            "the bucket images is in the region us-east-1, not in eu-west-7: set region to its own",
        ),
    ],
)
def test_what_the_server_refuses_is_told_before_anything_is_declared(
    cluster: FakeCluster, server: S3, other: dict[str, str], told: str
) -> None:
    assert cluster.nodes
    with pytest.raises(BucketError, match=told):
        run(server, **other)


@contextmanager
def refusing(status: int, code: str, more: str = "") -> Generator[str]:
    """A server that answers every request with one error, as Amazon's words them."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer()

        def do_HEAD(self) -> None:
            self.answer()

        def answer(self) -> None:
            content = f"<Error><Code>{code}</Code>{more}</Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "code", "more", "told"),
    [
        (
            400,
            "AuthorizationHeaderMalformed",
            "<Region>eu-west-1</Region>",
            "the bucket images is in the region eu-west-1, not in us-east-1: set region to its own",
        ),
        (403, "AccessDenied", "", "the key may not list the bucket images: it needs s3:ListBucket"),
        (403, "RequestTimeTooSkewed", "", "has another time than this machine: set its clock"),
        (503, "SlowDown", "", r"the bucket images cannot be listed \(SlowDown\)"),
    ],
)
def test_what_amazons_server_says_is_told_in_words(status: int, code: str, more: str, told: str) -> None:
    with refusing(status, code, more) as endpoint, pytest.raises(BucketError, match=told):
        check(cast("Bucket", read(storage={**THEIRS, "endpoint": endpoint}).storage))


def test_a_server_that_is_not_reached_from_here_is_only_told(cluster: FakeCluster) -> None:
    assert cluster.nodes
    graph = program.run({"storage": {**THEIRS, "endpoint": "http://127.0.0.1:9"}}, {})
    assert graph.all(DEPLOYMENT), "the cluster may reach it"
