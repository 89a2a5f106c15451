"""What the engine works with on a sandbox: state, passphrase and stack configuration of the sandbox's own.

Nothing of the user's Pulumi is read or written: neither its state, nor its login, nor the checkout.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.cache import cache_root
from sandbox.pki import write_private
from sandbox.place import Place

CHECKOUT = Path(__file__).resolve().parent.parent
# The program and what it reads; the stack's own configuration file comes to lie beside the links.
PROGRAM = ("Pulumi.yaml", "__main__.py", "docker_registry_stack", "pruner", ".venv")


@dataclass(frozen=True, slots=True)
class Workspace:
    """One folder in which the engine runs, and the environment that it runs in."""

    project: Path
    environment: Mapping[str, str]


def sandbox_workspace(place: Place, folders: tuple[Path, ...]) -> Workspace:
    """The workspace of a sandbox, made if need be; `folders` come first on the engine's PATH."""
    root = place.state / "pulumi"
    project = root / "project"
    for folder in (root, project, root / "backend"):
        folder.mkdir(mode=0o700, exist_ok=True)
    for name in PROGRAM:
        link = project / name
        link.unlink(missing_ok=True)
        link.symlink_to(CHECKOUT / name)
    passphrase = root / "passphrase"
    if not passphrase.exists():
        write_private(passphrase, secrets.token_urlsafe(32).encode())
    environment = {
        "KUBECONFIG": str(place.kubeconfig),
        "PULUMI_HOME": str(engine_home()),
        "PULUMI_BACKEND_URL": f"file://{root / 'backend'}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()]
    lines.append(f"export PATH={shlex.quote(':'.join(map(str, folders)))}:$PATH\n" if folders else "")
    write_private(root / "environment", "".join(lines).encode())
    return Workspace(project, environment)


def engine_home() -> Path:
    """Where the engine keeps its plugins for every sandbox; made if need be."""
    home = cache_root() / "pulumi-home"
    home.mkdir(parents=True, exist_ok=True)
    return home
