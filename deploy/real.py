"""The registry on a cluster of the user's: no more than `pulumi up` with the user's own Pulumi."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from deploy.confirm import Confirmation
from deploy.engine import Engine
from deploy.handover import Handover, words
from deploy.target import Target, stack_target
from deploy.workspace import CHECKOUT
from sandbox.errors import SandboxError
from sandbox.steps import Steps

CA_FILE = CHECKOUT / "build" / "registry-ca.crt"
NODE_TRUST = (
    "before pods can pull, each node's runtime must trust the CA: for containerd in its config_path,",
    "    HOST:PORT/ca.crt beside a HOST:PORT/hosts.toml; for CRI-O as for podman; for k3s in registries.yaml",
)


def engine(program: str | None, target: Target, stack: str) -> Engine:
    """The user's own Pulumi on `stack`; raises SandboxError when there is none."""
    if program is None:
        target.need_answer()
        raise SandboxError(
            f"the cluster {target} answers but there is no pulumi on PATH: install it"
            " (https://www.pulumi.com/docs/install), or run `make up SANDBOX=1` for a throw-away cluster"
        )
    return Engine(Path(program), CHECKOUT, dict(os.environ), stack)


def up(
    pulumi: Engine, target: Target, config: Mapping[str, str], confirmation: Confirmation, steps: Steps
) -> None:
    """Deploy once the user has seen what that means, and say how to use it.

    A stack and a configuration that did not come to be deployed are taken back.
    """
    existed = pulumi.exists()
    confirmation.check(_settled(pulumi, target) if existed else target)
    before = pulumi.config_file.read_bytes() if pulumi.config_file.exists() else None
    pulumi.select()
    try:
        pulumi.configure(config)
        target = _settled(pulumi, target)
        target.need_answer()
        steps.note(f"stack {pulumi.stack} on the cluster {target}")
        with steps.step("pulumi preview"):
            pulumi.preview()
        confirmation.ask("Deploy this?")
    except (SandboxError, KeyboardInterrupt):
        if not existed:
            pulumi.remove()
        _put_back(pulumi.config_file, before)
        raise
    try:
        with steps.step("pulumi up"):
            pulumi.up()
    except SandboxError:
        _put_back(pulumi.config_file, before)
        raise
    outputs = pulumi.outputs()
    CA_FILE.parent.mkdir(exist_ok=True)
    CA_FILE.write_text(outputs["caCertificate"])
    read_password = f"pulumi stack output password --show-secrets --stack {pulumi.stack}"
    print(words(Handover(outputs, CA_FILE, read_password, NODE_TRUST)))


def down(
    pulumi: Engine, target: Target, _config: Mapping[str, str], confirmation: Confirmation, steps: Steps
) -> None:
    """Destroy the stack once the user has seen what goes; the images stay, and where is said."""
    if not pulumi.exists():
        confirmation.check(target)
        steps.note(f"there is no stack {pulumi.stack}: nothing to remove")
        return
    target = _settled(pulumi, target)
    confirmation.check(target)
    target.need_answer()
    steps.note(f"stack {pulumi.stack} on the cluster {target}")
    where = pulumi.outputs().get("data", "the storage that the stack was configured with")
    with steps.step("pulumi destroy, previewed"):
        pulumi.preview_destroy()
    confirmation.ask("Remove all this?")
    with steps.step("pulumi destroy"):
        pulumi.destroy()
    steps.note(f"the images stay: {where}")


def _settled(pulumi: Engine, target: Target) -> Target:
    """Not every stack is meant for the cluster of the kubeconfig."""
    return stack_target(target, pulumi.settings(), pulumi.environment)


def _put_back(file: Path, content: bytes | None) -> None:
    if content is None:
        file.unlink(missing_ok=True)
    else:
        file.write_bytes(content)
