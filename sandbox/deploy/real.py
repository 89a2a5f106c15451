"""The registry on a cluster of the user's: no more than `pulumi up` with the user's own Pulumi."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sandbox.deploy.engine import Engine
from sandbox.deploy.handover import Handover, words
from sandbox.deploy.workspace import CHECKOUT
from sandbox.errors import SandboxError
from sandbox.steps import Steps

CA_FILE = CHECKOUT / "build" / "registry-ca.crt"
NODE_TRUST = (
    "before pods can pull, each node's runtime must trust the CA: for containerd in its config_path,",
    "    HOST:PORT/ca.crt beside a HOST:PORT/hosts.toml; for CRI-O as for podman; for k3s in registries.yaml",
)


def engine(program: str | None, context: str, stack: str) -> Engine:
    """The user's own Pulumi on `stack`; raises SandboxError when there is none."""
    if program is None:
        raise SandboxError(
            f"the cluster {context} answers but there is no pulumi on PATH: install it"
            " (https://www.pulumi.com/docs/install), or run `make up SANDBOX=1` for a throw-away cluster"
        )
    return Engine(Path(program), CHECKOUT, dict(os.environ), stack)


def up(pulumi: Engine, config: Mapping[str, str], steps: Steps) -> None:
    """Deploy and say how to use it; a configuration that did not deploy is taken back."""
    pulumi.select()
    before = pulumi.config_file.read_bytes() if pulumi.config_file.exists() else None
    try:
        pulumi.configure(config)
        with steps.step(f"pulumi up, stack {pulumi.stack}"):
            pulumi.up()
    except SandboxError:
        if before is None:
            pulumi.config_file.unlink(missing_ok=True)
        else:
            pulumi.config_file.write_bytes(before)
        raise
    outputs = pulumi.outputs()
    CA_FILE.parent.mkdir(exist_ok=True)
    CA_FILE.write_text(outputs["caCertificate"])
    print(words(Handover(outputs["address"], tuple(outputs["addresses"]), CA_FILE, NODE_TRUST)))


def down(pulumi: Engine, _config: Mapping[str, str], steps: Steps) -> None:
    """Destroy the stack; the images stay where they are, and that is said."""
    pulumi.select()
    where = pulumi.outputs().get("data", "the storage that the stack was configured with")
    with steps.step(f"pulumi destroy, stack {pulumi.stack}"):
        pulumi.destroy()
    steps.note(f"the images stay: {where}")
