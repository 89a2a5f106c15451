"""One call of a command: what it was asked, and what every command makes of that."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pruner.cli import output
from pruner.cli.commands import Command
from pruner.cli.console import progress
from pruner.clock import SystemClock
from pruner.errors import ConfigError
from pruner.observe.pulse import teller
from pruner.registry import config as registry_config
from pruner.registry.registries import Registries
from pruner.settings.table import TABLE, read_settings
from pruner.sweep.place import Place, Window
from pruner.sweep.store import open_storage

if TYPE_CHECKING:
    from pruner.decide.running import RunningImages

SERVED = "PRUNER_IS_SERVED"
"""Set in the environment of a command that `serve` started: its result is a log line, not a page."""


class Result(Protocol):
    """What a command found or did."""

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        ...

    def text(self) -> str:
        """As lines for a person."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """A command with its arguments, the environment and the clock."""

    command: Command
    arguments: argparse.Namespace
    environ: Mapping[str, str]
    clock: SystemClock

    @property
    def served(self) -> bool:
        """Whether `serve` started this process."""
        return SERVED in self.environ

    def progress(self) -> Callable[..., None]:
        """Shows how far the work is, and hears where it is long that the process was asked to end."""
        clock, shown, tell = self.clock, progress(), teller(self.environ)
        clock.waiting = shown.waiting

        def heard(phase: str, count: int, total: int = 0) -> None:
            if count:
                clock.sleep(0)
            shown(phase, count, total)
            tell(phase, count)

        return heard

    def place(self) -> Place:
        """Everything that a command works with. Raises ConfigError."""
        arguments, environ, clock = self.arguments, self.environ, self.clock
        table = tuple(setting for setting in TABLE if setting.part in self.command.SETTINGS)
        settings = read_settings({each.name: getattr(arguments, each.name) for each in table}, environ, table)
        given = arguments.config or environ.get("GC_CONFIG") or None
        try:
            config = registry_config.load(given, environ)
        except RecursionError:
            raise ConfigError(
                f"{given or 'the registry configuration'} is nested too deeply to be read: "
                "no registry's configuration is"
            ) from None

        def ask_cluster() -> RunningImages:
            from pruner.decide.running import running_images
            from pruner.kubernetes import KubernetesApi  # TLS is slow to import

            return running_images(KubernetesApi.of_pod(environ, clock))

        def registries(clock: SystemClock) -> Registries:
            elsewhere = None
            if settings.protect_running:
                from pruner.registry import pods  # only in a cluster

                elsewhere = pods.seen_by(environ, clock)
            return Registries(
                clock,
                ca=registry_config.ca_file(environ),
                restart=settings.restart,
                elsewhere=elsewhere,
                in_pod="KUBERNETES_SERVICE_HOST" in environ,
            )

        # Closing a window must not be cut short by the SIGTERM that ends the run: a clock that nobody stops.
        window = Window(config.path, environ, registries(SystemClock()))
        return Place(
            open_storage(config, environ, clock, settings.ops_per_second),
            config.root,
            config,
            settings,
            clock,
            registries(clock),
            window,
            ask_cluster if settings.protect_running else None,
            self.progress(),
            tuple(getattr(arguments, "repository", None) or ()),
        )

    def show(self, result: Result) -> None:
        """Print the result in the form that was asked for. Raises WriteError."""
        if self.arguments.output == "json":
            output.write(json.dumps(result.to_json(), indent=2 if output.is_terminal(sys.stdout) else None))
        else:
            output.page(result.text())
