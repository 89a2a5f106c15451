"""Retention policies as values: which tags stay, and how long an untagged manifest does.

A list of policies is read from the top; pruner.decide.retention says what they come to. Globs are shell globs
over the whole name: `*` matches `/` too.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from pruner.settings.durations import parse_duration
from pruner.settings.jsontext import parse_json

Period = Literal["day", "week", "month", "year"]
_PERIOD_KEYS: dict[str, Period] = {
    "keepDaily": "day",
    "keepWeekly": "week",
    "keepMonthly": "month",
    "keepYearly": "year",
}
_KEYS = ("repositories", "tags", "keepLast", "keepWithin", *_PERIOD_KEYS, "keepLastPerMinor", "untagged")
_LIST = ", ".join(_KEYS)
_NUMBER = r"(0|[1-9]\d*)"
_PART = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = rf"v?{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_PART}(?:\.{_PART})*))?"


@dataclass(frozen=True, slots=True)
class Untagged:
    """How long an untagged manifest stays: `after` seconds, or for ever (None)."""

    after: float | None


@dataclass(frozen=True, slots=True)
class Policy:
    """One entry of the list; a tag that it matches stays if any of its limits says so, or if it has none.

    `keep_last` counts tags by the time of their last push; `keep_within` is seconds; `keep_periods` has for a
    day, week, month or year of how many of them the last push stays; `keep_last_per_minor` counts versions.
    """

    repositories: tuple[str, ...]
    tags: tuple[str, ...]
    keep_last: int | None
    keep_within: float | None
    untagged: Untagged | None
    keep_periods: Mapping[Period, int] = field(default_factory=dict[Period, int])
    keep_last_per_minor: int | None = None

    @property
    def has_limits(self) -> bool:
        """Whether any tag may go by it."""
        limits = (self.keep_last, self.keep_within, self.keep_last_per_minor)
        return bool(self.keep_periods) or any(limit is not None for limit in limits)

    def covers(self, repository: str) -> bool:
        """Whether `repository` matches one of the globs."""
        return any(fnmatch.fnmatchcase(repository, glob) for glob in self.repositories)

    def covers_tag(self, repository: str, tag: str) -> bool:
        """Whether both names match; one that counts versions is about versions alone."""
        return (
            self.covers(repository)
            and any(fnmatch.fnmatchcase(tag, glob) for glob in self.tags)
            and (self.keep_last_per_minor is None or Version.of(tag) is not None)
        )


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A semantic version (semver.org, 2.0), ordered by precedence; `rest` sorts a pre-release before none."""

    major: int
    minor: int
    patch: int
    rest: tuple[tuple[int, int, str], ...]

    @staticmethod
    def of(tag: str) -> Version | None:
        """The version that a tag is, with or without a v in front; None for other tags."""
        match = re.fullmatch(_VERSION, tag, re.ASCII)
        if match is None:
            return None
        if match[4] is None:
            rest: tuple[tuple[int, int, str], ...] = ((3, 0, ""),)
        else:
            parts = match[4].split(".")
            rest = tuple((1, int(part), "") if part.isdigit() else (2, 0, part) for part in parts)
        return Version(int(match[1]), int(match[2]), int(match[3]), rest)


def parse_policies(value: object) -> tuple[Policy, ...]:
    """The policies in `value`: a list as in the stack configuration, or its JSON text.

    Raises ValueError with a sentence that names the entry, the key, the value and what is accepted.
    """
    if isinstance(value, str):
        value = parse_json(value, "the list of retention policies") if value.strip() else []
    try:
        if not isinstance(value, list):
            raise ValueError(f"retention is {value!r}: give a list of policies")
        return tuple(_policy(f"retention[{n}]", entry) for n, entry in enumerate(cast("list[object]", value)))
    except RecursionError:
        raise ValueError("the retention policies are nested too deeply: a policy is a flat object") from None


def _policy(where: str, entry: object) -> Policy:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where} is {entry!r}: give an object with some of {_LIST}")
    fields = cast("Mapping[str, Any]", entry)
    for key in fields:
        if key not in _KEYS:
            raise ValueError(f"{where} has the unknown key {key!r}: the keys are {_LIST}")
    if len(fields) == 0:
        raise ValueError(f"{where} is empty: give some of {_LIST}")
    periods: dict[Period, int] = {}
    for key, period in _PERIOD_KEYS.items():
        count = _count(where, key, fields.get(key))
        if count is not None:
            periods[period] = count
    return Policy(
        repositories=_globs(where, "repositories", fields.get("repositories", "*")),
        tags=_globs(where, "tags", fields.get("tags", "*")),
        keep_last=_count(where, "keepLast", fields.get("keepLast")),
        keep_within=_keep_within(where, fields.get("keepWithin")),
        untagged=_untagged(where, fields.get("untagged")),
        keep_periods=periods,
        keep_last_per_minor=_count(where, "keepLastPerMinor", fields.get("keepLastPerMinor")),
    )


def _globs(where: str, key: str, value: object) -> tuple[str, ...]:
    globs: list[object] = cast("list[object]", value) if isinstance(value, list) else [value]
    if not globs or not all(isinstance(glob, str) and glob for glob in globs):
        raise ValueError(f"{where}.{key} is {value!r}: give a glob such as team/* or a list of them")
    return tuple(cast("list[str]", globs))


def _count(where: str, key: str, value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # numbers in JSON and in a stack's configuration may come as 5.0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{where}.{key} is {value!r}: give a whole number, 0 or more")
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
