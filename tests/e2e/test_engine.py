"""The engine on a program without a cluster: what it shows, what it asks, and what a no leaves behind."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy import real
from deploy.confirm import Confirmation
from deploy.engine import Engine, environment_with
from deploy.target import Target, choose_target
from deploy.throwaway import OF_ITS_PLUGINS
from deploy.tools import Tools
from deploy.workspace import engine_home
from sandbox.errors import SandboxError
from sandbox.steps import Steps
from tests.unit import fakecluster

PROGRAM = """
import pulumi, pulumi_tls
key = pulumi_tls.PrivateKey("key", algorithm=pulumi.Config("own").require("algorithm"))
pulumi.log.warn("mind the step")
pulumi.export("address", "10.1.2.3:32000")
pulumi.export("addresses", ["10.1.2.3:32000"])
pulumi.export("caCertificate", key.public_key_pem)
pulumi.export("data", "/somewhere")
pulumi.export("auth", "none")
pulumi.export("namespace", "own")
"""
CONFIG = {"own:algorithm": "ED25519"}


@pytest.fixture
def engine(tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(real, "CA_FILE", tmp_path / "ca.crt")
    project = tmp_path / "project"
    project.mkdir()
    (project / "Pulumi.yaml").write_text("name: own\nruntime: python\n")
    (project / "__main__.py").write_text(PROGRAM)
    (tmp_path / "state").mkdir()
    own = {
        "PULUMI_HOME": str(engine_home()),
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/state",
        "PULUMI_CONFIG_PASSPHRASE": "for the test alone",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    return Engine(
        tools.program, project, environment_with(own, tools.folders), "dev", quiet=True, hush=OF_ITS_PLUGINS
    )


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    """A cluster that answers, and of which no more is asked: the program has nothing on it."""
    path = tmp_path / "kubeconfig"
    with fakecluster.running() as cluster:
        path.write_text(cluster.kubeconfig())
        yield choose_target({"KUBECONFIG": str(path)}, tmp_path, sandbox=False)


@pytest.fixture
def no() -> Iterator[Confirmation]:
    """Somebody on a terminal who says no."""
    keyboard, terminal = os.openpty()
    with os.fdopen(terminal) as answers:
        os.write(keyboard, b"n\n")
        yield Confirmation("make up", given=False, answers=answers)
    os.close(keyboard)


YES = Confirmation("make up", given=True)


def test_a_life_is_told_a_line_a_resource(engine: Engine) -> None:
    engine.select()
    engine.configure(CONFIG)
    assert "to create   PrivateKey key" in engine.preview()
    lines = engine.up().splitlines()
    # What takes a second or longer is told with its time, and a busy machine takes that for a key.
    assert any(line.startswith("created     PrivateKey key") for line in lines)
    assert "warning: mind the step" in lines
    assert lines[-1] == "Resources: 1 created"
    assert not [line for line in lines if "$PATH" in line or "version" in line]
    assert "Resources: 1 unchanged" in engine.up()
    engine.configure({"own:algorithm": "RSA"})
    assert "to replace  PrivateKey key" in engine.preview()
    assert "to delete   PrivateKey key" in engine.preview_destroy()
    assert "deleted     PrivateKey key" in engine.destroy()


def test_warnings_about_plugins_are_kept_from_nobody_who_chose_them(engine: Engine) -> None:
    engine.select()
    engine.configure(CONFIG)
    assert "from $PATH" in replace(engine, hush=None).up()


def test_what_goes_wrong_is_told_whether_there_were_events_or_not(engine: Engine) -> None:
    engine.select()
    engine.configure({"own:algorithm": "ROT13"})
    with pytest.raises(SandboxError, match=r"`pulumi up` on stack dev failed: .*ROT13"):
        engine.up()
    with pytest.raises(SandboxError, match=r"`pulumi up` on stack other failed: .*no stack named 'other'"):
        replace(engine, stack="other").up()


def test_a_no_takes_back_the_stack_and_its_configuration(
    engine: Engine, target: Target, no: Confirmation, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SandboxError, match="not confirmed; nothing was changed"):
        real.up(replace(engine, quiet=False), target, CONFIG, no, Steps())
    said = capsys.readouterr().out
    assert f"stack dev on the cluster {target}" in said
    assert "to create   PrivateKey key" in said
    assert not engine.exists()
    assert not engine.config_file.exists()


def test_a_no_leaves_a_stack_that_was_there_as_it_was(
    engine: Engine, target: Target, no: Confirmation
) -> None:
    real.up(engine, target, CONFIG, YES, Steps())
    before = (engine.config_file.read_text(), engine.outputs())
    with pytest.raises(SandboxError, match="not confirmed"):
        real.up(engine, target, {"own:algorithm": "RSA"}, no, Steps())
    assert (engine.config_file.read_text(), engine.outputs()) == before


def test_a_no_to_a_destroy_destroys_nothing(
    engine: Engine, target: Target, no: Confirmation, capsys: pytest.CaptureFixture[str]
) -> None:
    real.down(engine, target, {}, YES, Steps())
    assert "there is no stack dev: nothing to remove" in capsys.readouterr().out
    real.up(engine, target, CONFIG, YES, Steps())
    with pytest.raises(SandboxError, match="not confirmed"):
        real.down(engine, target, {}, no, Steps())
    assert engine.outputs()["address"] == "10.1.2.3:32000"
    real.down(engine, target, {}, YES, Steps())
    assert "the images stay: /somewhere" in capsys.readouterr().out
    assert engine.outputs() == {}


def test_a_stack_that_names_its_cluster_goes_there_whatever_the_kubeconfig_says(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with fakecluster.running() as gone:
        path = tmp_path / "gone"
        path.write_text(gone.kubeconfig())
        dead = choose_target({"KUBECONFIG": str(path)}, tmp_path, sandbox=False)
    with pytest.raises(SandboxError, match=f"no cluster answers at {dead.server}"):
        real.up(engine, dead, CONFIG, YES, Steps())
    assert not engine.exists()
    engine.select()
    with fakecluster.running() as cluster:
        command = [engine.program, "config", "set", "--stack=dev", "--secret", "kubernetes:kubeconfig"]
        subprocess.run(
            [*command, cluster.kubeconfig()], cwd=engine.project, env=engine.environment, check=True
        )
        real.up(engine, dead, CONFIG, YES, Steps())
        real.down(engine, dead, {}, YES, Steps())
        said = capsys.readouterr().out
        assert said.count(f"stack dev on the cluster http://127.0.0.1:{cluster.port} (context fake)") == 2
        assert fakecluster.TOKEN not in said
        assert "/version/" in cluster.asked
