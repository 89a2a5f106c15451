from __future__ import annotations

from pathlib import Path

import pytest

from deploy.target import Target, choose_target
from sandbox.errors import SandboxError
from sandbox.pki import Subject, issue, kubeconfig, new_authority
from sandbox.place import Place

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
    with pytest.raises(SandboxError, match=r"https://127\.0\.0\.1:1 .*context far-away.*SANDBOX=1"):
        choose_target({"KUBECONFIG": str(dead)}, tmp_path, sandbox=False)


def test_the_kubeconfig_of_the_home_folder_counts(tmp_path: Path, dead: Path) -> None:
    (tmp_path / ".kube").mkdir()
    dead.rename(tmp_path / ".kube" / "config")
    with pytest.raises(SandboxError, match="no cluster answers"):
        choose_target({}, tmp_path, sandbox=False)


@pytest.mark.parametrize("content", [None, "", "{", "just text"])
def test_a_kubeconfig_that_is_named_and_of_no_use_is_told(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "useless"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SandboxError, match=f"{path} is of no use"):
        choose_target({"KUBECONFIG": str(path)}, tmp_path, sandbox=False)
