"""A stack that an earlier program deployed goes on with this one: authority, address and images stay.

The registry is of version 3 in the one, and of version 2, on the same kind of storage, in the other.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.workspace import CHECKOUT
from sandbox.images import REGISTRY_2_REFERENCE, REGISTRY_REFERENCE
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import FAST, SecureClient, Stack
from tests.gc.images import image, layer

# Out of this repository's own history.
BEFORE_ONE_COMPONENT = "04747a0af0ca3d30ab8f939bfece7b3d10cda3bb"
BEFORE_LOGINS = "87849c32ffb0fb10f1f5742473daf99fd02a6d9e"
# What the stack is called, which program deployed it, and the registry's image.
FORMER = {
    "upgrade": (BEFORE_ONE_COMPONENT, REGISTRY_REFERENCE),
    "upgrade-of-2": (BEFORE_LOGINS, REGISTRY_2_REFERENCE),
}
PROGRAM = ("Pulumi.yaml", "__main__.py", "components", "gc")
IMAGE = image([layer("upgrade", 1 << 16)], "upgrade")
Upgraded = tuple[dict[str, str], SecureClient]
KEPT = ("namespaces", "deployments", "services", "registryaddresses")


def former_program(commit: str, folder: Path) -> None:
    """The program as it was, with today's packages."""
    packed = subprocess.run(
        ["git", "archive", commit, *PROGRAM], cwd=CHECKOUT, stdout=subprocess.PIPE, check=False
    )
    assert packed.returncode == 0, "this clone lacks the history: `git fetch --unshallow`, then try again"
    subprocess.run(["tar", "-x", "-C", folder], input=packed.stdout, check=True)
    (folder / ".venv").symlink_to(CHECKOUT / ".venv")
    # It looked for the pruner at the end of its path, where this checkout's comes first in a sandbox.
    (folder / "pruner").symlink_to("gc/pruner")
    (folder / "docker_registry_stack").symlink_to("components")


@pytest.fixture(scope="module", params=FORMER)
def stack(make_stack: MakeStack, request: pytest.FixtureRequest) -> Stack:
    return make_stack(request.param, registryImage=FORMER[request.param][1], **FAST)


@pytest.fixture(scope="module")
def upgraded(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    """Deployed by the former program, pushed to, and deployed by this one: what was before."""
    folder = tmp_path_factory.mktemp("former")
    former_program(FORMER[stack.engine.stack][0], folder)
    shutil.copy(stack.engine.config_file, folder)
    before = replace(stack, engine=replace(stack.engine, project=folder))
    before.up()
    client = before.client()
    client.push("team/app", IMAGE, "1")
    was = {**identities(before), **before.engine.outputs()}
    preview = stack.engine.preview()
    assert "a login is demanded from now on" in preview, preview
    stack.up()
    client.request("GET", "/v2/", 401)
    client.session.auth = stack.login()
    yield was, client


def identities(stack: Stack) -> dict[str, str]:
    """Kind -> what the cluster knows the one object of this kind by, which another object would not have."""
    return {
        kind: found["metadata"]["uid"]
        for kind in KEPT
        for found in stack.objects(kind)
        if stack.namespace in (found["metadata"]["name"], found["metadata"].get("namespace"))
    }


def test_the_objects_are_the_same_and_so_is_what_was_published(stack: Stack, upgraded: Upgraded) -> None:
    was, _ = upgraded
    now = {**identities(stack), **stack.engine.outputs()}
    assert {key: now[key] for key in was} == was
    assert set(KEPT) <= set(was)


def test_a_client_of_before_pulls_what_it_pushed(
    upgraded: Upgraded,
) -> None:
    _, client = upgraded
    client.check("team/app", "1", IMAGE)


@pytest.mark.usefixtures("upgraded")
def test_what_selects_the_pod_is_what_it_was_and_the_labels_are_the_standard_ones(stack: Stack) -> None:
    (deployment,) = stack.objects("deployments")
    assert deployment["spec"]["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": "docker-registry",
        "app.kubernetes.io/component": "registry",
    }
    labels = stack.pod()["metadata"]["labels"]
    assert labels["app.kubernetes.io/instance"] == stack.namespace
    assert labels["app.kubernetes.io/part-of"] == "docker-registry"


@pytest.mark.usefixtures("upgraded")
def test_a_second_up_changes_nothing(stack: Stack) -> None:
    summary = stack.up().partition("Resources:")[2]
    assert "unchanged" in summary
    for change in ("created", "updated", "replaced", "deleted"):
        assert f" {change}" not in summary, summary
