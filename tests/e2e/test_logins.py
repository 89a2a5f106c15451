"""Who may come in: with the login that is made, with others, with none; and that no secret is to be seen."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from sandbox.archive import ImageConfig, pack
from sandbox.errors import SandboxError
from sandbox.images import PAUSE_REFERENCE, build_image, images
from sandbox.trust import trust_registry
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import FAST, SecureClient, Stack, until

# What Secrets hold that is no secret.
PUBLIC = {"tls.crt", "ca.crt", "config.yml"}


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack) -> Stack:
    stack = make_stack("logins", **FAST, **{"pullSecrets.namespaces[0]": "e2e-logins"})
    stack.up()
    return stack


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    (folder / "rootfs").mkdir()
    (folder / "rootfs" / "file").write_bytes(b"logins")
    pack(folder / "rootfs", ImageConfig("localhost/logins:1"), folder / "image.tar")
    return folder / "image.tar"


def status(stack: Stack, login: tuple[str, str] | None) -> int:
    with SecureClient(stack.address_resource()["address"], stack.ca_file(), login) as client:
        return client.request("GET", "/v2/_catalog", 200, 401).status_code


def takes_up(stack: Stack, login: tuple[str, str], said: str) -> None:
    """Wait until the registry lets that login in; a pod that is touched gets its files at once."""
    stack.kubectl("annotate", "pod", stack.pod()["metadata"]["name"], f"touched={said}", "--overwrite")
    until(lambda: status(stack, login) == 200, f"the registry lets {login[0]} in")


def test_the_made_login_comes_in_and_no_other(stack: Stack) -> None:
    login = stack.login()
    assert login and login[0] == "admin"
    stack.client().ping()
    assert status(stack, login) == 200
    for wrong in (None, ("admin", "wrong"), ("anna", login[1]), ("admin", "")):
        with SecureClient(stack.address_resource()["address"], stack.ca_file(), wrong) as client:
            for method, path in (
                ("GET", "/v2/"),
                ("GET", "/v2/_catalog"),
                ("GET", "/v2/a/tags/list"),
                ("POST", "/v2/a/blobs/uploads/"),
                ("DELETE", "/v2/a/manifests/latest"),
            ):
                client.request(method, path, 401)
            client.request("GET", "/", 200)


def test_the_kubelet_pulls_with_the_secret_and_not_without(stack: Stack) -> None:
    resource = stack.address_resource()
    trust_registry(stack.place, resource["addresses"], resource["caBundle"])
    (pause,) = [made for made in images() if made.config.reference == PAUSE_REFERENCE]
    stack.skopeo_push(build_image(pause), "service:v1")
    run = ("run", "--restart=Never", f"--image={resource['address']}/service:v1")
    stack.kubectl(*run, "without")
    until(
        lambda: any(
            word in stack.kubectl("get", "events", "--output=yaml") for word in ("401", "basic auth")
        ),
        "the pull without it is refused",
    )
    stack.kubectl("delete", "pod", "without", "--now", "--wait=false")
    stack.pull_by_default()
    stack.kubectl(*run, "with")
    stack.kubectl("wait", "pod", "with", "--for=condition=Ready", "--timeout=60s")
    stack.kubectl("delete", "pod", "with", "--now", "--wait=false")


def test_another_password_rolls_no_pod(stack: Stack) -> None:
    old, pod = stack.login(), stack.pod()
    assert old
    said = stack.up(passwordGeneration="2")
    new = stack.login()
    assert new and new[1] != old[1]
    takes_up(stack, new, "generation-2")
    assert status(stack, old) == 401
    assert stack.pod()["metadata"]["uid"] == pod["metadata"]["uid"]
    assert stack.restarts() == {"registry": 0, "gc": 0}
    assert "Deployment" not in said, "nothing to roll"
    (pulling,) = [
        found for found in stack.objects("secrets") if found["metadata"]["name"] == "e2e-logins-pull"
    ]
    assert new[1] in base64.b64decode(pulling["data"][".dockerconfigjson"]).decode()


def test_a_provider_that_replaces_secrets_rolls_no_pod_either(stack: Stack) -> None:
    """As one that a program brings along does by default: the Secret goes and comes under the same name."""
    pod = stack.pod()["metadata"]["uid"]
    (before,) = [
        found for found in stack.objects("secrets") if found["metadata"]["name"] == "registry-logins"
    ]
    stack.up(**{"kubernetes:enableSecretMutable": "false", "passwordGeneration": "3"})
    login = stack.login()
    assert login
    takes_up(stack, login, "generation-3")
    (after,) = [found for found in stack.objects("secrets") if found["metadata"]["name"] == "registry-logins"]
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert stack.pod()["metadata"]["uid"] == pod


def secrets_of(stack: Stack) -> Iterator[tuple[str, str]]:
    """What is in the namespace's Secrets, and what that is derived from, each with its name."""
    login = stack.login()
    assert login
    yield "the password", login[1]
    for found in stack.objects("secrets"):
        for key, encoded in found.get("data", {}).items():
            content = base64.b64decode(encoded).decode()
            if key in PUBLIC:
                continue
            name = f"{found['metadata']['name']}/{key}"
            yield name, encoded
            # What is quoted in JSON or YAML is broken at ends of lines.
            yield from ((name, line) for line in content.splitlines() if "-----" not in line)
            if key == ".dockerconfigjson":
                for entry in json.loads(content)["auths"].values():
                    yield name, entry["auth"]
            if key == "htpasswd":
                yield name, content.strip().partition(":")[2]


def test_no_secret_is_to_be_seen_outside_of_secrets(stack: Stack) -> None:
    kinds = stack.kubectl("api-resources", "--verbs=list", "--output=name").split()
    readable = [kind for kind in kinds if kind not in ("secrets", "componentstatuses")]
    seen = {
        "objects": stack.kubectl("get", ",".join(readable), "--all-namespaces", "--output=yaml"),
        "outputs": json.dumps(stack.engine.outputs()),
        "a preview": stack.engine.preview(),
        **{
            name: stack.kubectl("logs", "deployment/registry", f"--container={name}", "--tail=-1")
            for name in ("registry", "gc")
        },
    }
    assert "registry-logins" in seen["objects"], "where it is mounted"
    assert "user failed to authenticate" in seen["registry"], "the wrong ones from above"
    known = list(secrets_of(stack))
    assert {name.partition("/")[2] for name, _ in known} >= {
        "htpasswd",
        "tls.key",
        "secret",
        ".dockerconfigjson",
    }
    for place, text in seen.items():
        for name, secret in known:
            assert len(secret) > 8, name
            assert secret not in text, f"{name} is in {place}"


def test_users_of_ones_own_come_in_without_another_pod(stack: Stack, archive: Path) -> None:
    pod, made = stack.pod()["metadata"]["uid"], stack.login()
    assert made
    said = stack.up(
        **{"users.anna": "first of them", "users.bert": "second of them"}, **{"pullSecrets.user": "bert"}
    )
    assert "of them" not in said
    assert "of them" not in stack.engine.config_file.read_text(), "encrypted"
    takes_up(stack, ("anna", "first of them"), "users")
    assert status(stack, ("bert", "second of them")) == 200
    assert status(stack, made) == 401
    assert stack.pod()["metadata"]["uid"] == pod
    assert stack.engine.outputs().get("user") is None
    with pytest.raises(SandboxError, match="longer than the 72 bytes") as caught:
        stack.up(**{"users.anna": "x" * 73})
    assert "xxx" not in str(caught.value)
    stack.engine.configure({"users.anna": "first of them"})
    stack.skopeo_push(archive, "team/app:1", login=("anna", "first of them"))
    with pytest.raises(SandboxError, match=r"authentication required|unauthorized"):
        stack.skopeo_push(archive, "team/app:1", login=("anna", "second of them"))


def test_a_file_of_ones_own_is_taken_up(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "htpasswd"
    file.write_text(f"carl:{bcrypt.hashpw(b'third', bcrypt.gensalt(5)).decode()}\n")
    stack.kubectl("create", "secret", "generic", "own", f"--from-file={file}")
    stack.up(**{"users": "{}", "pullSecrets": "{}", "htpasswd.secretName": "own"})
    # Another Secret is another volume, and so another pod.
    with SecureClient(stack.address_resource()["address"], stack.ca_file(), ("carl", "third")) as client:
        until(client.answers, "the registry lets carl in")
    assert status(stack, ("anna", "first of them")) == 401


def test_none_is_said_and_lets_everybody_in(stack: Stack) -> None:
    said = stack.up(auth="none", htpasswd="{}")
    assert "auth is none: whoever reaches the registry may push and delete" in said
    assert stack.address_resource()["auth"] == "none"
    stack.client().ping()
    assert "none" in stack.kubectl("get", "registryaddresses")
