"""Who may come in: the file of the users, the password that is made, the Secrets to pull with."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import bcrypt
import pulumi
import pytest

from docker_registry_stack import ClusterError, DockerRegistry, DockerRegistryArgs, PullSecrets, SettingsError
from docker_registry_stack.logins import htpasswd
from tests.unit import program
from tests.unit.conftest import Deploy
from tests.unit.fakecluster import FakeCluster
from tests.unit.parts import ADDRESS, DEPLOYMENT, KEY, SECRET, mounts, registry_config, volumes
from tests.unit.program import Graph

KEYS = json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "x": "a", "y": "b"}]})
BUNDLE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
SERVER = {"realm": "https://auth.example.com/token", "service": "images", "issuer": "example"}


def file_of(graph: Graph) -> dict[str, str]:
    """User -> hash, as the file has it."""
    lines = graph.one(SECRET, "registry-logins").inputs["stringData"]["htpasswd"].splitlines()
    return dict(line.split(":") for line in lines)


def matches(password: str, hashed: str) -> bool:
    return bcrypt.checkpw(password.encode(), hashed.encode())


def docker_config(secret: program.Resource) -> dict[str, Any]:
    return json.loads(secret.inputs["stringData"][".dockerconfigjson"])["auths"]


def test_by_default_there_is_one_user_with_a_password_that_is_made(deploy: Deploy) -> None:
    graph = deploy()
    assert (graph.outputs["auth"], graph.outputs["user"]) == ("htpasswd", "admin")
    assert "password" in graph.secret_outputs
    password = graph.outputs["password"]
    assert len(bytes.fromhex(password)) == 16
    assert file_of(graph).keys() == {"admin"}
    assert matches(password, file_of(graph)["admin"])
    assert registry_config(graph)["auth"] == {
        "htpasswd": {"realm": "registry", "path": "/etc/registry-auth/htpasswd"}
    }
    assert graph.one(ADDRESS).inputs["spec"]["auth"] == "htpasswd"


def test_the_file_changes_in_place_and_the_pod_has_all_of_its_folder(deploy: Deploy) -> None:
    graph = deploy()
    secret = graph.one(SECRET, "registry-logins")
    assert secret.inputs["metadata"]["name"] == "registry-logins"
    assert "immutable" not in secret.inputs
    assert secret.secret_paths == {"/stringData"}
    assert graph.one("pulumi:providers:kubernetes").inputs["enableSecretMutable"] == "true"
    assert mounts(graph, "registry")["/etc/registry-auth"] == ("auth", True)
    assert "/etc/registry-auth" not in mounts(graph, "gc")
    assert volumes(graph)["auth"]["secret"] == {
        "secretName": "registry-logins",
        "defaultMode": 0o400,
        "items": [{"key": "htpasswd", "path": "htpasswd"}],
    }
    assert "subPath" not in json.dumps(graph.pod())
    deployment = graph.one(DEPLOYMENT)
    assert secret.urn in deployment.dependencies, "made first"
    assert secret.urn not in deployment.property_dependencies, (
        "a Secret that is replaced replaces no Deployment"
    )


def test_another_password_is_no_other_pod(deploy: Deploy) -> None:
    first, again, second = deploy(), deploy(passwordGeneration=1), deploy(passwordGeneration=2)
    assert first.outputs["password"] == again.outputs["password"] != second.outputs["password"]
    assert file_of(first) == file_of(again) != file_of(second)
    assert first.one(DEPLOYMENT).inputs == second.one(DEPLOYMENT).inputs
    keys = [{key.name for key in graph.all(KEY)} for graph in (first, second)]
    assert keys[0] ^ keys[1] == {"registry-password-1", "registry-password-2"}, "made anew, not derived"


def test_the_users_are_those_that_are_given(deploy: Deploy) -> None:
    graph = deploy(users={"bert": "second", "anna": "first \u00e9"})
    assert list(file_of(graph)) == ["anna", "bert"]
    assert matches("first \u00e9", file_of(graph)["anna"])
    assert matches("second", file_of(graph)["bert"])
    assert (graph.outputs["user"], graph.outputs["password"]) == (None, None)
    assert not [key.name for key in graph.all(KEY) if "password" in key.name]
    assert deploy(users={"anna": "x"}).one(DEPLOYMENT).inputs == graph.one(DEPLOYMENT).inputs


def test_a_hash_is_another_one_only_with_another_password_or_name() -> None:
    assert htpasswd({"anna": "a", "bert": "b"}, "key") == htpasswd({"bert": "b", "anna": "a"}, "key")
    of = {
        (user, password, key): htpasswd({user: password}, key).partition(":")[2]
        for user in ("anna", "bert")
        for password in ("a", "b")
        for key in ("key", "other")
    }
    assert len(set(of.values())) == len(of), "nobody sees by the hashes that two have one password"
    assert all(hashed.startswith("$2b$05$") for hashed in of.values())


def test_a_password_of_72_bytes_is_taken_whole() -> None:
    password = "\u00e9" * 36
    hashed = htpasswd({"anna": password}, "key").partition(":")[2].strip()
    assert matches(password, hashed)
    assert not matches(password[:-1] + "e", hashed)


@pytest.mark.parametrize(
    ("password", "sentence"),
    [
        (
            "\u00e9" * 36 + "!",
            "the password of anna is longer than the 72 bytes that bcrypt takes: give a shorter one",
        ),
        ("", "the password of anna is empty or has a control character: give another"),
        ("hush\n", "the password of anna is empty or has a control character: give another"),
        (4711, "the password of anna is not text: put it in quotes"),
        (["hush"], "the password of anna is not text: put it in quotes"),
    ],
)
def test_a_password_that_will_not_do_is_not_quoted(password: object, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        program.read(users={"anna": password})
    assert caught.value.problems == [f"docker-registry:users: {sentence}"]


@pytest.mark.parametrize(
    "text",
    [
        '{"anna:hush": "hush"}',
        '{"": "hush"}',
        '{"#hush": "hush"}',
        '"hush"',
        '["hush"]',
        "hush",
        '{"anna": "hush"',
    ],
)
def test_users_that_will_not_do_are_not_quoted(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        program.read(users=text)
    (problem,) = caught.value.problems
    assert problem.startswith("docker-registry:users: ")
    assert "hush" not in problem


def test_nobodys_password_is_in_what_settings_look_like() -> None:
    args = DockerRegistryArgs(users={"anna": "hush"})
    assert "hush" not in repr(args)
    assert "hush" not in repr(program.read(users={"anna": "hush"}))


def test_users_and_passwords_may_come_from_elsewhere(cluster: FakeCluster) -> None:
    assert cluster.nodes

    def main(users: Any) -> DockerRegistry:
        return DockerRegistry("registry", DockerRegistryArgs(users=users))

    for users in ({"anna": pulumi.Output.from_input("first")}, pulumi.Output.from_input({"anna": "first"})):
        graph = program.run({}, {}, lambda users=users: main(users))
        assert matches("first", file_of(graph)["anna"])
        facade = graph.one("docker-registry:index:DockerRegistry")
        assert "/users" in facade.secret_paths
    with pytest.raises(ValueError, match="the password of anna is longer than"):
        program.run({}, {}, lambda: main({"anna": pulumi.Output.from_input("x" * 73)}))


def test_a_file_of_somebody_elses_is_mounted_by_its_name(deploy: Deploy) -> None:
    graph = deploy(htpasswd={"secretName": "logins"})
    assert volumes(graph)["auth"]["secret"]["secretName"] == "logins"
    assert registry_config(graph)["auth"]["htpasswd"]["path"] == "/etc/registry-auth/htpasswd"
    assert not [secret.name for secret in graph.all(SECRET) if secret.name == "registry-logins"]
    assert (graph.outputs["auth"], graph.outputs["user"], graph.outputs["password"]) == (
        "htpasswd",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("keys", "files", "options"),
    [
        (
            {"rootCertBundle": BUNDLE},
            {"root-certificates.pem": BUNDLE},
            {"rootcertbundle": "/etc/registry-auth/root-certificates.pem"},
        ),
        ({"jwks": KEYS}, {"jwks.json": KEYS}, {"jwks": "/etc/registry-auth/jwks.json"}),
        ({"jwks": json.loads(KEYS)}, {"jwks.json": KEYS}, {"jwks": "/etc/registry-auth/jwks.json"}),
    ],
)
def test_tokens_are_checked_by_what_is_given(
    deploy: Deploy, keys: dict[str, Any], files: dict[str, str], options: dict[str, str]
) -> None:
    graph = deploy(auth="token", token={**SERVER, **keys})
    assert registry_config(graph)["auth"] == {"token": {**SERVER, **options}}
    secret = graph.one(SECRET, "registry-token-keys")
    assert secret.inputs["stringData"] == files
    assert secret.inputs["immutable"] is True, "read once, so other keys are another pod"
    assert [item["key"] for item in volumes(graph)["auth"]["secret"]["items"]] == list(files)
    assert (graph.outputs["auth"], graph.outputs["user"]) == ("token", None)


def test_none_is_written_down_and_demands_nothing(deploy: Deploy) -> None:
    graph = deploy(auth="none")
    assert "auth" not in registry_config(graph)
    assert "auth" not in volumes(graph)
    assert graph.one(ADDRESS).inputs["spec"]["auth"] == graph.outputs["auth"] == "none"
    assert graph.outputs["user"] is None


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"auth": "basic"}, "auth: 'basic' is not known: give htpasswd or token or none"),
        ({"auth": "none", "users": {"anna": "hush"}}, "auth: users is set, and not of auth none"),
        (
            {"auth": "none", "htpasswd": {"secretName": "logins"}},
            "auth: htpasswd is set, and not of auth none",
        ),
        ({"token": {**SERVER, "jwks": KEYS}}, "auth: token is set, and not of auth htpasswd"),
        ({"auth": "token"}, "auth: token is missing: give realm"),
        ({"auth": "token", "token": {"realm": "https://a", "service": "s"}}, "token: issuer is missing"),
        ({"auth": "token", "token": SERVER}, "token: it has neither rootCertBundle nor jwks"),
        (
            {"auth": "token", "token": {**SERVER, "realm": "auth", "jwks": KEYS}},
            "token: realm is 'auth': give the address",
        ),
        (
            {"auth": "token", "token": {**SERVER, "rootCertBundle": "hush"}},
            "token: rootCertBundle is not a bundle",
        ),
        ({"auth": "token", "token": {**SERVER, "jwks": "hush"}}, "token: jwks is not a set of keys"),
        (
            {"auth": "token", "token": {**SERVER, "jwks": {"keys": [{"d": "hush"}]}}},
            "token: jwks has a private key",
        ),
        *(
            (
                {"registryImage": image, "auth": "token", "token": {**SERVER, "jwks": KEYS}},
                "token: version 2 of the registry does not know jwks: leave it out, or use version 3",
            )
            for image in (
                "registry:2",
                "registry:2.8.3",
                "registry:2-alpine",
                f"a.example:5000/r:2.8@sha256:{'0a' * 32}",
            )
        ),
        (
            {"users": {"anna": "hush"}, "htpasswd": {"secretName": "logins"}},
            "auth: users and htpasswd are both set",
        ),
        ({"passwordGeneration": 0}, "passwordGeneration: '0' is not a generation"),
        ({"htpasswd": {"secretName": "no name"}}, "htpasswd: 'no name' is not a DNS name"),
        ({"pullSecrets": {"name": "x"}}, "pullSecrets: namespaces is missing"),
        ({"pullSecrets": {"namespaces": ["A"]}}, "pullSecrets: 'A' is not a namespace"),
        ({"pullSecrets": {"namespaces": ["default"], "user": "x"}}, "pullSecrets: user is one of users"),
        ({"auth": "none", "pullSecrets": {"namespaces": ["default"]}}, "pullSecrets: auth is none"),
        (
            {"htpasswd": {"secretName": "logins"}, "pullSecrets": {"namespaces": ["default"]}},
            "pullSecrets: the passwords are not known here",
        ),
        (
            {"users": {"bert": "hush", "anna": "hush"}, "pullSecrets": {"namespaces": ["default"]}},
            "pullSecrets: user is missing: give the one whose login it is to be, of anna, bert",
        ),
        (
            {"users": {"anna": "hush"}, "pullSecrets": {"namespaces": ["default"], "user": "bert"}},
            "pullSecrets: user is 'bert', which users does not have",
        ),
    ],
)
def test_what_contradicts_itself_is_refused_in_a_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        program.read(**given)
    (problem,) = caught.value.problems
    assert problem.startswith(f"docker-registry:{sentence}")
    assert "hush" not in str(caught.value)


OWN_FILE = {"htpasswd": {"secretName": "own"}}


def deployed(cluster: FakeCluster) -> None:
    """Has the cluster know the registry's address resource."""
    cluster.definitions = [
        {"metadata": {"name": "registryaddresses.docker-registry.internal", "annotations": {}}, "spec": {}}
    ]
    cluster.addresses = {"docker-registry": ["10.0.0.1:32000"]}


def test_a_file_that_is_not_there_is_waited_for_where_nobody_could_have_made_it(
    cluster: FakeCluster, said: list[str]
) -> None:
    assert cluster.nodes
    program.run(OWN_FILE, {})
    (warning,) = said
    assert warning.startswith("warning: the Secret 'own' of htpasswd.secretName is not there: the registry")
    assert "in the namespace docker-registry, with a file of bcrypt hashes in its key htpasswd" in warning


@pytest.mark.parametrize("config", [{}, {"createNamespace": False}])
def test_a_file_that_is_not_there_is_refused_where_it_could_be(
    cluster: FakeCluster, config: dict[str, object]
) -> None:
    """A registry that runs would end, for a pod that waits."""
    if config:
        cluster.namespaces["docker-registry"] = {}
    else:
        deployed(cluster)
    told = "htpasswd.secretName is 'own', which the namespace docker-registry does not have: make it first"
    with pytest.raises(ClusterError, match=told):
        program.run({**OWN_FILE, **config}, {})
    cluster.secrets["docker-registry/own"] = {"data": {"htpasswd": "aHVzaA=="}}
    program.run({**OWN_FILE, **config}, {})


@pytest.mark.parametrize("data", [None, {}, {"htpasswd": ""}, {"auth": "aHVzaA=="}])
def test_a_secret_without_a_file_is_refused_and_not_quoted(
    cluster: FakeCluster, data: dict[str, str] | None
) -> None:
    cluster.secrets["docker-registry/own"] = {"data": data}
    with pytest.raises(
        ClusterError,
        match=r"the Secret 'own' of htpasswd.secretName has nothing in its key htpasswd: give it",
    ) as caught:
        program.run(OWN_FILE, {})
    assert "aHVz" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_not_one_that_is_missing(cluster: FakeCluster) -> None:
    cluster.refuse = "/api/v1/namespaces/docker-registry/secrets"
    with pytest.raises(ClusterError, match="refused to list"):
        program.run(OWN_FILE, {})


@pytest.mark.parametrize("image", ["registry:3", "registry:23", f"registry@sha256:{'2a' * 32}", "registry"])
def test_keys_as_jwks_are_taken_where_the_image_does_not_say_that_it_is_of_version_2(image: str) -> None:
    program.read(registryImage=image, auth="token", token={**SERVER, "jwks": KEYS})


# -- Secrets to pull with


def test_each_namespace_gets_a_secret_for_every_address(deploy: Deploy) -> None:
    graph = deploy(
        externalHosts=["registry.example.com", "2001:db8::7"],
        pullSecrets={"namespaces": ["default", "kube-system"]},
    )
    for namespace in ("default", "kube-system"):
        secret = graph.one(SECRET, f"registry-pull-{namespace}")
        assert secret.inputs["type"] == "kubernetes.io/dockerconfigjson"
        assert secret.inputs["metadata"]["namespace"] == namespace
        assert secret.inputs["metadata"]["name"] == "docker-registry-pull"
        assert secret.secret_paths == {"/stringData"}
        auths = docker_config(secret)
        assert list(auths) == [
            "registry.example.com:32000",
            "[2001:db8::7]:32000",
            "registry.docker-registry.svc:5000",
        ]
        for login in auths.values():
            both = f"admin:{graph.outputs['password']}"
            assert (
                base64.b64decode(login["auth"]).decode() == both == f"{login['username']}:{login['password']}"
            )


def test_the_login_to_pull_with_is_the_chosen_users(deploy: Deploy) -> None:
    users = {"anna": "first", "bert": "second"}
    graph = deploy(users=users, pullSecrets={"namespaces": ["default"], "user": "bert", "name": "images"})
    secret = graph.one(SECRET, "registry-pull-default")
    assert secret.inputs["metadata"]["name"] == "images"
    assert {(login["username"], login["password"]) for login in docker_config(secret).values()} == {
        ("bert", "second")
    }


def test_the_registrys_own_namespace_may_pull_too(deploy: Deploy) -> None:
    assert deploy(pullSecrets={"namespaces": ["docker-registry"]}).one(
        SECRET, "registry-pull-docker-registry"
    )


def test_a_namespace_that_is_not_there_is_refused_beforehand(cluster: FakeCluster) -> None:
    assert cluster.nodes
    args = DockerRegistryArgs(pull_secrets=PullSecrets(namespaces=["default", "team"]))
    with pytest.raises(ClusterError, match=r"pullSecrets.namespaces has 'team', .* make it first"):
        program.run({}, {}, lambda: DockerRegistry("registry", args))


# -- what is said


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Warnings and infos of the program."""
    lines: list[str] = []

    def saying(severity: str) -> Callable[[str], None]:
        return lambda text: lines.append(f"{severity}: {text}")

    monkeypatch.setattr("pulumi.log.warn", saying("warning"))
    monkeypatch.setattr("pulumi.log.info", saying("info"))
    return lines


@pytest.mark.parametrize(
    ("there", "auth", "warned"),
    [
        (None, "htpasswd", False),
        ({}, "htpasswd", True),
        ({"docker-registry": "none"}, "htpasswd", True),
        ({"docker-registry": "htpasswd"}, "htpasswd", False),
        ({}, "none", False),
    ],
)
def test_a_stack_without_a_login_is_warned_that_one_is_now_demanded(
    cluster: FakeCluster, said: list[str], there: dict[str, str] | None, auth: str, warned: bool
) -> None:
    deployed(cluster)
    if there is None:
        cluster.addresses = {}
    else:
        cluster.auths = there
    program.run({}, {}, lambda: DockerRegistry("registry", DockerRegistryArgs(auth=auth)))
    assert (
        bool([line for line in said if line.startswith("warning: a login is demanded from now on")]) is warned
    )
    assert bool([line for line in said if "auth is none: whoever reaches" in line]) is (auth == "none")


def test_a_password_in_plain_text_in_the_stacks_file_is_warned_of(
    cluster: FakeCluster, said: list[str]
) -> None:
    assert cluster.nodes
    program.run({"users": {"anna": "hush"}}, {})
    assert [line for line in said if "docker-registry:users stands in the stack's file for everybody" in line]
    assert "hush" not in " ".join(said)
    said.clear()
    program.run({"users": {"anna": "hush"}}, {}, secret_keys=["users"])
    assert said == []
