"""What every stand-in says and asks: that this is the sandbox, and nothing else."""

from __future__ import annotations

import os

from sandbox.plugins.protocol import Log

# The path of the sandbox's kubeconfig, set by whatever starts the engine for the sandbox.
KUBECONFIG_VARIABLE = "DOCKER_REGISTRY_SANDBOX_KUBECONFIG"


def announce(name: str, version: str, log: Log) -> None:
    """Say in the run's diagnostics what serves the provider."""
    log.warning(
        f"the sandbox's stand-in serves in the place of the official {name} plugin {version}: "
        "right for the sandbox, refused for any other cluster"
    )


def sandbox_kubeconfig() -> str | None:
    """The path of the sandbox's kubeconfig; None outside of a sandbox's run."""
    return os.environ.get(KUBECONFIG_VARIABLE) or None


def refusal(name: str, why: str) -> str:
    """The sentence for a run that is not the sandbox's."""
    return (
        f"the sandbox's stand-in for the {name} plugin serves the sandbox's cluster alone: {why}; "
        f"take its plugins off PATH and install the official one (`pulumi plugin install resource {name}`)"
    )
