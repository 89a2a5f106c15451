"""What a plugin is to the gRPC server: plain calls with plain values, and errors that are sentences."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sandbox.plugins.differences import Change
from sandbox.plugins.values import Properties


class PluginError(Exception):
    """An operation failed; the text is a sentence for the person who runs `pulumi`."""


class NotReady(PluginError):
    """The object exists now, but did not become what it should in time.

    The engine keeps `state` under `resource_id` (and `inputs`, after a read), shows `reasons`, and tries an
    update on the next run.
    """

    def __init__(
        self,
        message: str,
        resource_id: str,
        state: Properties,
        reasons: Sequence[str],
        inputs: Properties | None = None,
    ) -> None:
        super().__init__(message)
        self.resource_id = resource_id
        self.state = state
        self.reasons = (message, *reasons)
        self.inputs = inputs


class Log(Protocol):
    """Where a plugin's messages go: the engine's display."""

    def connect(self, address: str) -> None:
        """Send to the engine at host:port from now on."""
        ...

    def warning(self, message: str, urn: str = "") -> None:
        """A line among the run's diagnostics."""
        ...

    def status(self, message: str, urn: str) -> None:
        """What the resource's line shows until the next status."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One request about one resource.

    `state` is what the last operation returned, `inputs` what the program asks for now, `old_inputs` what it
    asked for then. `timeout` is in seconds, 0 for the plugin's own. `seed` and `proposed_name` serve naming;
    `autonaming` is False when the person turned generated names off.
    """

    urn: str
    type: str
    name: str
    id: str = ""
    inputs: Properties = field(default_factory=Properties)
    old_inputs: Properties = field(default_factory=Properties)
    state: Properties = field(default_factory=Properties)
    preview: bool = False
    timeout: float = 0.0
    seed: bytes = b""
    proposed_name: str = ""
    autonaming: bool = True


@dataclass(frozen=True, slots=True)
class Checked:
    """The inputs as the plugin takes them, and what is wrong with them: (property, sentence)."""

    inputs: Properties
    failures: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """What an update would change; with one name for both, a replacement deletes the old object first."""

    changes: Sequence[Change]
    delete_before_replace: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A resource as it is: its id, its state, and the inputs that would make it so."""

    id: str
    state: Properties
    inputs: Properties


class Plugin(ABC):
    """One provider: a name and version as its SDK's, and the operations on its resources.

    Each raises PluginError (or NotReady) with a sentence for the person at the terminal.
    """

    name: str
    version: str

    @abstractmethod
    def configure(self, variables: Mapping[str, str], log: Log) -> None:
        """Take the provider's configuration; keys are bare names (`kubeconfig`), values strings."""

    def config_replaces(self, old: Properties, new: Properties) -> Sequence[str]:
        """The configuration keys whose change makes every resource of the provider another one."""
        del old, new
        return ()

    @abstractmethod
    def check(self, call: Call) -> Checked:
        """Fill in and validate the inputs."""

    @abstractmethod
    def diff(self, call: Call) -> Difference:
        """Compare the inputs with the last ones."""

    @abstractmethod
    def create(self, call: Call) -> tuple[str, Properties]:
        """Make the resource; its id and state. In a preview, what can be told beforehand."""

    @abstractmethod
    def read(self, call: Call) -> Found | None:
        """Look at the resource; None when it is gone."""

    @abstractmethod
    def update(self, call: Call) -> Properties:
        """Bring the resource to the inputs; its state."""

    @abstractmethod
    def delete(self, call: Call) -> None:
        """Remove the resource and wait until it is gone."""

    def cancel(self) -> None:
        """Stop waiting: the person interrupted the run."""
        return
