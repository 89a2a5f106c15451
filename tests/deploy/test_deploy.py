from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.check import check_config
from deploy.engine import Engine
from deploy.handover import Handover, words
from deploy.real import engine
from deploy.target import choose_target
from sandbox.__main__ import need_root
from sandbox.errors import SandboxError
from tests.unit import fakecluster


def test_the_defaults_are_good() -> None:
    check_config({})


def test_values_are_checked_with_the_programs_own_rules() -> None:
    check_config({"nodePort": "32767", "gcPeriod": "90s", "cache": "inmemory"})
    with pytest.raises(SandboxError, match=r"'32768' is not a NodePort.*'disk' is not known"):
        check_config({"nodePort": "32768", "cache": "disk"})


def test_a_path_into_an_object_is_left_to_the_program() -> None:
    check_config({"storage.path": "/srv/registry"})


def handover(**outputs: str | None) -> str:
    addresses = ["10.0.0.1:32000", "10.0.0.2:32000"]
    given = {"address": addresses[0], "addresses": addresses, "namespace": "docker-registry", **outputs}
    return words(Handover(given, Path("/ca.crt"), "READ", ["extra"]))


def test_the_handover_says_where_and_how() -> None:
    text = handover(auth="htpasswd", user="admin", password="[secret]")
    for needed in (
        "https://10.0.0.1:32000",
        "also at:      10.0.0.2:32000",
        "/etc/docker/certs.d/10.0.0.1:32000/ca.crt",
        "docker push 10.0.0.1:32000/IMAGE",
        "podman push IMAGE 10.0.0.1:32000/IMAGE",
        "skopeo copy",
        "kubectl run NAME --image=10.0.0.1:32000/IMAGE",
        "READ |\n        docker login 10.0.0.1:32000 --username admin --password-stdin",
        '{"imagePullSecrets": [{"name": "docker-registry-pull"}]}',
        "extra",
    ):
        assert needed in text


def test_the_handover_says_how_to_log_in_where_the_stack_made_no_password() -> None:
    text = handover(auth="htpasswd", user=None)
    assert "docker login 10.0.0.1:32000 --username NAME" in text
    assert "READ" not in text
    text = handover(auth="none", user=None)
    assert "auth is none: whoever reaches it may push and delete" in text
    assert "docker login" not in text
    assert "imagePullSecrets" not in text


def test_what_is_never_shown_is_configured_as_a_secret(tmp_path: Path) -> None:
    program = tmp_path / "pulumi"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/words\n')
    program.chmod(0o755)
    engine = Engine(program, tmp_path, {"PATH": os.environ["PATH"]}, "dev")
    engine.configure({"users.anna": "hush", "nodePort": "32000", "pullSecrets.user": "anna"})
    given = (tmp_path / "words").read_text().split()
    assert [given[at - 1] for at in map(given.index, ("users.anna=hush", "nodePort=32000"))] == [
        "--secret",
        "--plaintext",
    ]
    assert given[given.index("pullSecrets.user=anna") - 1] == "--plaintext"


def test_a_cluster_without_pulumi_is_told(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    with fakecluster.running() as cluster:
        path.write_text(cluster.kubeconfig())
        target = choose_target({"KUBECONFIG": str(path)}, tmp_path, sandbox=False)
        with pytest.raises(SandboxError, match=r"context fake\) answers but there is no pulumi on PATH"):
            engine(None, target, "dev")
    with pytest.raises(SandboxError, match="no cluster answers"):
        engine(None, target, "dev")


def test_without_root_there_is_no_cluster_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(SandboxError, match="needs root: run `sudo make up`"):
        need_root("make up")
