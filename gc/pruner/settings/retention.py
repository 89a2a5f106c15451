"""Retention policies: which tags stay, and how long an untagged manifest does.

A policy list is read from the top; for a tag the first policy whose `repositories` and `tags` both match
decides, for untagged manifests the first whose `repositories` match and that says `untagged`. Globs are
shell globs over the whole name: `*` matches `/` too. What no policy matches is kept.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pruner.settings.durations import format_duration, parse_duration

_KEYS = ("repositories", "tags", "keepLast", "keepWithin", "untagged")


@dataclass(frozen=True, slots=True)
class Untagged:
    """How long an untagged manifest stays: `after` seconds, or for ever (None)."""

    after: float | None


@dataclass(frozen=True, slots=True)
class Policy:
    """One entry of the list; without `keep_last` and `keep_within` (seconds) every tag it matches stays."""

    repositories: tuple[str, ...]
    tags: tuple[str, ...]
    keep_last: int | None
    keep_within: float | None
    untagged: Untagged | None

    def covers(self, repository: str) -> bool:
        """Whether `repository` matches one of the globs."""
        return any(fnmatch.fnmatchcase(repository, glob) for glob in self.repositories)

    def covers_tag(self, repository: str, tag: str) -> bool:
        """Whether both names match."""
        return self.covers(repository) and any(fnmatch.fnmatchcase(tag, glob) for glob in self.tags)


def parse_policies(value: object) -> tuple[Policy, ...]:
    """The policies in `value`: a list as in the stack configuration, or its JSON text.

    Raises ValueError with a sentence that names the entry, the key, the value and what is accepted.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else []
        except ValueError as error:
            raise ValueError(f"the retention policies are not JSON ({error})") from None
    if not isinstance(value, list):
        raise ValueError(f"retention is {value!r}: give a list of policies")
    return tuple(_policy(f"retention[{n}]", entry) for n, entry in enumerate(cast("list[object]", value)))


def _policy(where: str, entry: object) -> Policy:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where} is {entry!r}: give an object with some of {', '.join(_KEYS)}")
    fields = cast("Mapping[str, Any]", entry)
    for key in fields:
        if key not in _KEYS:
            raise ValueError(f"{where} has the unknown key {key!r}: the keys are {', '.join(_KEYS)}")
    if len(fields) == 0:
        raise ValueError(f"{where} is empty: give some of {', '.join(_KEYS)}")
    return Policy(
        repositories=_globs(where, "repositories", fields.get("repositories", "*")),
        tags=_globs(where, "tags", fields.get("tags", "*")),
        keep_last=_keep_last(where, fields.get("keepLast")),
        keep_within=_keep_within(where, fields.get("keepWithin")),
        untagged=_untagged(where, fields.get("untagged")),
    )


def _globs(where: str, key: str, value: object) -> tuple[str, ...]:
    globs: list[object] = cast("list[object]", value) if isinstance(value, list) else [value]
    if not globs or not all(isinstance(glob, str) and glob for glob in globs):
        raise ValueError(f"{where}.{key} is {value!r}: give a glob such as team/* or a list of them")
    return tuple(cast("list[str]", globs))


def _keep_last(where: str, value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # numbers in JSON and in a stack's configuration may come as 5.0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{where}.keepLast is {value!r}: give a whole number of tags, 0 or more")
    return value


def _keep_within(where: str, value: object) -> float | None:
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        raise ValueError(f"{where}.keepWithin: {error}") from None


def _untagged(where: str, value: object) -> Untagged | None:
    if value is None:
        return None
    if value == "keep":
        return Untagged(None)
    if isinstance(value, str) and value.startswith("after "):
        try:
            return Untagged(parse_duration(value.removeprefix("after ")))
        except ValueError as error:
            raise ValueError(f"{where}.untagged: {error}") from None
    raise ValueError(f"{where}.untagged is {value!r}: give 'keep' or 'after DURATION', such as 'after 24h'")


def dropped_tags(
    repository: str, tags: Iterable[tuple[str, float]], policies: tuple[Policy, ...], now: float
) -> dict[str, str]:
    """The tags of one repository that go, each with the reason.

    `tags` are names with the time (seconds since the epoch) at which each was last pushed.
    """
    matched: dict[int, list[tuple[str, float]]] = {}
    for tag, pushed in tags:
        for number, policy in enumerate(policies):
            if policy.covers_tag(repository, tag):
                matched.setdefault(number, []).append((tag, pushed))
                break
    dropped: dict[str, str] = {}
    for number, members in matched.items():
        policy = policies[number]
        if policy.keep_last is None and policy.keep_within is None:
            continue
        members.sort(key=lambda member: (-member[1], member[0]))
        for rank, (tag, pushed) in enumerate(members):
            in_last = policy.keep_last is not None and rank < policy.keep_last
            in_time = policy.keep_within is not None and now - pushed < policy.keep_within
            if not in_last and not in_time:
                dropped[tag] = f"retention[{number}] keeps {_limits(policy)}"
    return dropped


def _limits(policy: Policy) -> str:
    limits: list[str] = []
    if policy.keep_last is not None:
        limits.append(f"the last {policy.keep_last}")
    if policy.keep_within is not None:
        limits.append(f"those of the last {format_duration(policy.keep_within)}")
    return " and ".join(limits)


def untagged_after(repository: str, policies: tuple[Policy, ...], default: float) -> float | None:
    """Seconds after which an untagged manifest of `repository` may go; None: never."""
    for policy in policies:
        if policy.untagged is not None and policy.covers(repository):
            return policy.untagged.after
    return default
