from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from deploy.target import Target, choose_target, stack_target
from sandbox.errors import SandboxError
from sandbox.pki import Subject, issue, kubeconfig, new_authority
from sandbox.place import Place
from tests.unit import fakecluster

THROW_AWAY = Target(None)


@pytest.fixture
def dead(tmp_path: Path) -> Path:
    authority = new_authority("authority")
    client = issue(authority, Subject("someone"))
    path = tmp_path / "dead"
    path.write_bytes(kubeconfig("far-away", "https://127.0.0.1:1", authority, client))
    return path


def test_without_a_kubeconfig_a_throw_away_cluster_is_meant(tmp_path: Path) -> None:
    assert choose_target({}, tmp_path, sandbox=False) == THROW_AWAY


def test_the_sandboxs_own_kubeconfig_means_the_sandbox(tmp_path: Path) -> None:
    environment = {"KUBECONFIG": str(Place("local").kubeconfig)}
    assert choose_target(environment, tmp_path, sandbox=False) == THROW_AWAY


def test_one_can_insist_on_a_throw_away_cluster(tmp_path: Path, dead: Path) -> None:
    assert choose_target({"KUBECONFIG": str(dead)}, tmp_path, sandbox=True) == THROW_AWAY


def test_a_cluster_that_does_not_answer_is_told_with_ways_out(tmp_path: Path, dead: Path) -> None:
    named = choose_target({"KUBECONFIG": str(dead)}, tmp_path, sandbox=False)
    with pytest.raises(SandboxError, match=r"https://127\.0\.0\.1:1 .*context far-away.*SANDBOX=1"):
        named.need_answer()


def test_the_kubeconfig_of_the_home_folder_counts(tmp_path: Path, dead: Path) -> None:
    (tmp_path / ".kube").mkdir()
    dead.rename(tmp_path / ".kube" / "config")
    assert choose_target({}, tmp_path, sandbox=False).server == "https://127.0.0.1:1"


@pytest.mark.parametrize("one_line", [True, False])
def test_the_stacks_own_cluster_goes_before_the_kubeconfigs(
    tmp_path: Path, dead: Path, *, one_line: bool
) -> None:
    named = choose_target({"KUBECONFIG": str(dead)}, tmp_path, sandbox=False)
    with fakecluster.running() as cluster:
        text = cluster.kubeconfig()
        if one_line:
            text = json.dumps(yaml.safe_load(text))
        own = stack_target(named, {"kubernetes:kubeconfig": text}, {})
        own.need_answer()
        assert str(own) == f"http://127.0.0.1:{cluster.port} (context fake)"
        assert fakecluster.TOKEN not in repr(own)
    with pytest.raises(SandboxError, match="of the stack's kubernetes:kubeconfig") as refused:
        own.need_answer()
    assert fakecluster.TOKEN not in str(refused.value)


def test_a_context_of_the_stack_is_one_of_the_kubeconfig(tmp_path: Path, dead: Path) -> None:
    with fakecluster.running() as cluster:
        path = tmp_path / "kubeconfig"
        path.write_text(cluster.kubeconfig(broken_default=True))
        environment = {"KUBECONFIG": str(path)}
        named = choose_target(environment, tmp_path, sandbox=False)
        assert named.context == "nowhere"
        own = stack_target(named, {"kubernetes:context": "fake"}, environment)
        own.need_answer()
        assert own.context == "fake"
        assert stack_target(own, {}, {"KUBECONFIG": str(dead)}) == own


def test_no_secret_is_told_of_a_kubeconfig_that_cannot_be_read() -> None:
    with pytest.raises(SandboxError, match="kubernetes:kubeconfig is of no use") as refused:
        stack_target(THROW_AWAY, {"kubernetes:kubeconfig": "token: {secret-token\n:"}, {})
    assert "secret-token" not in str(refused.value)


@pytest.mark.parametrize("content", [None, "", "{", "just text"])
def test_a_kubeconfig_that_is_named_and_of_no_use_is_told(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "useless"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SandboxError, match=f"{path} is of no use"):
        choose_target({"KUBECONFIG": str(path)}, tmp_path, sandbox=False)
