"""The pruner's settings: `GC_*` variables named after the stack keys, each also an option."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pruner.errors import ConfigError
from pruner.settings.durations import parse_duration
from pruner.settings.policies import Policy, parse_policies

_OBJECT = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?/[a-z0-9]([a-z0-9.-]*[a-z0-9])?"

FUSES = ("fraction", "no-tags", "not-a-registry", "pull-through-cache", "gitlab-database", "other-registries")
"""Names of the fuses, as an override names them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run does; times are seconds, `max_fraction` is of the number of blobs (0 to 1), and 0
    `ops_per_second` are no limit."""

    period: float = 7 * 86400
    initial_delay: float = 120
    grace: float = 3600
    untagged_after: float = 86400
    uploads_after: float = 86400
    trash: float = 86400
    mode: Literal["online", "readonly"] = "online"
    max_fraction: float = 0.5
    ops_per_second: int = 0
    retention: tuple[Policy, ...] = ()
    protect_running: bool = False
    dangling_tags: Literal["keep", "remove"] = "keep"
    restart: Literal["auto", "allowed", "never"] = "auto"
    renewals: bool = False
    override: frozenset[str] = frozenset()
    metrics_port: int = 0
    page_port: int = 0
    repository_metrics: bool = False
    address: str = ""
    deployment: str = ""


Part = Literal["serve", "run", "look", "trash", "storage", "observe"]
"""What a setting is about: the loop, a whole run, a look at the tree, the trash, where the storage is,
or what can be seen of the pruner."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How one setting is read: `parse` raises ValueError with a sentence; `part` says what it concerns."""

    name: str
    parse: Callable[[str], Any]
    metavar: str
    help: str
    part: Part = "run"

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return "GC_" + self.name.upper()

    @property
    def option(self) -> str:
        """Its option on the command line."""
        return "--" + self.name.replace("_", "-")


def _above_zero(text: str) -> float:
    seconds = parse_duration(text)
    if seconds == 0:
        raise ValueError("0 would prune without a pause: give a duration above 0, such as 7d")
    return seconds


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise ValueError(f"{text!r} is not a fraction: give a number above 0 and up to 1, such as 0.5")
    return value


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(f"{text!r} is not a number of operations: give 1 or more, or 0 for no limit")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise ValueError(f"{text!r} is not a port: give a number from 1 to 65535, or 0 for none")
    return int(text)


def _object(text: str) -> str:
    if text and not re.fullmatch(_OBJECT, text):
        raise ValueError(f"{text!r} does not name an object: give NAMESPACE/NAME")
    return text


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{text!r} is not known: give {' or '.join(choices)}")
        return text

    return parse


def _overrides(text: str) -> frozenset[str]:
    names = frozenset(part.strip() for part in text.split(",") if part.strip())
    for name in sorted(names):
        if name not in FUSES:
            raise ValueError(f"{name!r} is not a fuse: give some of {', '.join(FUSES)}, with commas")
    return names


TABLE = (
    Setting("period", _above_zero, "DURATION", "pause between two runs of serve (default 7d)", "serve"),
    Setting(
        "initial_delay", parse_duration, "DURATION", "serve waits this long first (default 120s)", "serve"
    ),
    Setting(
        "grace",
        parse_duration,
        "DURATION",
        "nothing younger is ever touched, and a run waits this long between its two marks; longer than a "
        "push may take from its first upload to its manifest (default 1h; 0: at once)",
        "look",
    ),
    Setting(
        "untagged_after",
        parse_duration,
        "DURATION",
        "an untagged manifest pushed longer ago may go (default 24h)",
        "look",
    ),
    Setting(
        "uploads_after",
        parse_duration,
        "DURATION",
        "an upload unchanged for so long is abandoned (default 24h)",
        "look",
    ),
    Setting(
        "trash",
        parse_duration,
        "DURATION",
        "removed blobs stay restorable for so long (default 24h)",
        "trash",
    ),
    Setting(
        "mode",
        _choice("online", "readonly"),
        "MODE",
        "online, or readonly: the registry takes no pushes during a run, and the run waits for nothing "
        "(default online)",
        "look",
    ),
    Setting(
        "max_fraction",
        _fraction,
        "FRACTION",
        "refuse to remove more than this part of the blobs of a tree of 50 or more (default 0.5)",
    ),
    Setting(
        "ops_per_second",
        _count,
        "NUMBER",
        "list, read, rename or remove at most so many things a second, so that a busy disk has time for the "
        "registry (default 0: no limit)",
        "storage",
    ),
    Setting("retention", parse_policies, "JSON", "retention policies, as in the stack key retention", "look"),
    Setting(
        "protect_running",
        _flag,
        "true|false",
        "keep every image that a pod of the cluster runs or a workload names (default false; a stack: true)",
        "look",
    ),
    Setting(
        "dangling_tags",
        _choice("keep", "remove"),
        "keep|remove",
        "what becomes of tags that name no manifest (default keep: they are reported)",
        "look",
    ),
    Setting(
        "metrics_port",
        _port,
        "PORT",
        "serve metrics at /metrics and the liveness at /healthz on this port (default 0: not)",
        "observe",
    ),
    Setting(
        "page_port",
        _port,
        "PORT",
        "serve a page for people on this port of 127.0.0.1 (default 0: not)",
        "observe",
    ),
    Setting(
        "repository_metrics",
        _flag,
        "true|false",
        "have metrics of each repository, the 200 largest (default false)",
        "observe",
    ),
    Setting(
        "address",
        _object,
        "NAMESPACE/NAME",
        "the RegistryAddress whose status tells what the pruner does (default: none)",
        "observe",
    ),
    Setting(
        "deployment",
        _object,
        "NAMESPACE/NAME",
        "the Deployment this pod is of: it gets Events, and the page names it (default: none)",
        "observe",
    ),
    Setting(
        "restart",
        _choice("auto", "allowed", "never"),
        "WHEN",
        "whether a registry with its cache in memory may be ended, as something starts it again: "
        "auto where that is seen (the kubelet, systemd, runit, s6), allowed, or never (default auto)",
    ),
    Setting(
        "renewals",
        _flag,
        "true|false",
        "between two runs, restart a registry whose certificate's file was renewed in place, as it would not "
        "read it again (default false)",
        "serve",
    ),
    Setting("override", _overrides, "FUSES", f"go on although a fuse refuses: {', '.join(FUSES)}", "storage"),
)


def read_settings(
    options: Mapping[str, str | None], environ: Mapping[str, str], table: tuple[Setting, ...] = TABLE
) -> Settings:
    """The settings of `table` from options (by name, None: not given) and `GC_*` variables; an option wins.

    Raises ConfigError with a sentence that names the option or variable, the value and what is accepted.
    """
    values: dict[str, Any] = {}
    for setting in table:
        text = options.get(setting.name)
        source = setting.option
        if text is None:
            text = environ.get(setting.variable)
            source = setting.variable
        if text is None or (text == "" and source == setting.variable):
            continue
        try:
            values[setting.name] = setting.parse(text)
        except ValueError as error:
            raise ConfigError(f"{source}: {error}") from None
    return Settings(**values)
