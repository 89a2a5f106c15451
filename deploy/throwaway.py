"""The registry on a throw-away cluster of this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from deploy.engine import Engine, environment_with
from deploy.handover import Handover, words
from deploy.tools import Tools, sandbox_tools, to_build
from deploy.workspace import sandbox_workspace
from sandbox.cluster import bring_up, is_up
from sandbox.errors import SandboxError
from sandbox.golang import CLUSTER, begin_ahead, note_disk
from sandbox.images import PYTHON_REFERENCE, REGISTRY_REFERENCE
from sandbox.place import REGISTRY_STORAGE, Place
from sandbox.steps import Steps
from sandbox.teardown import take_down
from sandbox.trust import trust_registry

# The images that the sandbox has, in the place of those that a cluster with a way out would pull.
IMAGES = {"registryImage": REGISTRY_REFERENCE, "gcImage": PYTHON_REFERENCE}
STACK = "sandbox"
CLAIM = "registry-claim.json"
# What the engine says of the plugins that the sandbox gives it: no one else could do anything about it.
OF_ITS_PLUGINS = re.compile(
    r"^using pulumi-(language|resource)-\w+ from \$PATH|^resource plugin \w+ is expected to have version"
)


def up(place: Place, config: Mapping[str, str], steps: Steps) -> None:
    """Have a cluster and the registry on it, and say how to use them.

    A cluster that this call made goes again with a failure, so that nothing half-made is left.
    """
    clear_interrupted(place, steps)
    existed = is_up(place)
    try:
        begin_ahead([*to_build(), *CLUSTER])
        tools = sandbox_tools(steps)
        bring_up(place, steps)
        engine = sandbox_engine(place, tools, STACK)
        deploy(place, engine, config, steps)
    except SandboxError:
        if not existed:
            take_down(place)
        raise
    outputs = engine.outputs()
    ca_file = place.state / "registry-ca.crt"
    ca_file.write_text(outputs["caCertificate"])
    trust_registry(place, outputs["addresses"], outputs["caCertificate"])
    print(words(Handover(outputs, ca_file, _read_password(place), _extra(place))))
    note_disk(steps)
    steps.close("\nmake up: done")


def down(place: Place, steps: Steps) -> None:
    """Destroy the stack, and remove the cluster with its data; what is not there is not an error."""
    if is_up(place) and not _interrupted(place).exists():
        engine = sandbox_engine(place, sandbox_tools(steps), STACK)
        if STACK in engine.stacks():
            where = str(engine.outputs().get("data", REGISTRY_STORAGE))
            with steps.step("pulumi destroy"):
                engine.destroy()
            if not f"{where.partition(' ')[0]}/".startswith(f"{REGISTRY_STORAGE}/"):
                steps.note(f"images that are on this machine's own disk stay: {where}")
    with steps.step(f"remove the cluster {place.name!r}, its images and its data"):
        take_down(place)
    steps.note("nothing is left but the builds in the cache")


def deploy(place: Place, engine: Engine, config: Mapping[str, str], steps: Steps) -> None:
    """Run `pulumi up`; a configuration that did not deploy is taken back."""
    engine.select()
    before = engine.config_file.read_bytes()
    marker = _interrupted(place)
    marker.touch()
    try:
        engine.configure({**IMAGES, **config})
        with steps.step("pulumi up"):
            engine.up()
    except SandboxError:
        engine.config_file.write_bytes(before)
        marker.unlink()
        raise
    marker.unlink()


def clear_interrupted(place: Place, steps: Steps) -> None:
    """Remove a cluster whose deployment was cut short: what stands of it is known to nobody.

    The images that the registry holds are kept.
    """
    if _interrupted(place).exists():
        with steps.step("clear an interrupted deployment, keeping the registry's images"):
            take_down(place, keep_storage=True)
            # The next cluster is another one, and the images are to be the registry's that is deployed there.
            for claim in (*place.storage.glob(CLAIM), *place.storage.glob(f"*/{CLAIM}")):
                claim.unlink()


def sandbox_engine(place: Place, tools: Tools, stack: str, *, quiet: bool = False) -> Engine:
    """The engine on a stack of this sandbox."""
    workspace = sandbox_workspace(place, (*tools.folders, tools.program.parent, place.bin))
    environment = environment_with(workspace.environment, tools.folders)
    return Engine(tools.program, workspace.project, environment, stack, quiet, OF_ITS_PLUGINS)


def _interrupted(place: Place) -> Path:
    return place.state / "deployment-under-way"


def _read_password(place: Place) -> str:
    within = f". {place.state}/pulumi/environment && cd {place.state}/pulumi/project"
    return f"({within} && pulumi stack output password --show-secrets --stack {STACK})"


def _extra(place: Place) -> list[str]:
    return [
        "the cluster, with kubectl and pulumi (once in a shell):",
        f"    . {place.state}/pulumi/environment && cd {place.state}/pulumi/project",
        f"    kubectl get pods -A; pulumi preview --stack {STACK}",
        "this cluster answers on this machine alone, and its runtime trusts the registry already;",
        "`make down` removes all of it, images included",
    ]
