"""Policies + names + times -> which tags go, and how long an untagged manifest stays. Pure.

For a tag the first policy whose `repositories` and `tags` both match decides, for untagged manifests the
first whose `repositories` match and that says `untagged`. What no policy matches is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta

from pruner.settings.durations import format_duration
from pruner.settings.policies import Period, Policy, Version

_EPOCH = date(1970, 1, 1)
_DAY = 86400
_FIRST_DAY, _LAST_DAY = (date.min - _EPOCH).days, (date.max - _EPOCH).days


def dropped_tags(
    repository: str, tags: Iterable[tuple[str, float]], policies: tuple[Policy, ...], now: float
) -> dict[str, str]:
    """The tags of one repository that go, each with the reason.

    `tags` are names with the time (seconds since the epoch) at which each was last pushed.
    """
    matched: dict[int, list[tuple[str, float]]] = {}
    for tag, pushed in tags:
        number = decider(repository, tag, policies)
        if number is not None:
            matched.setdefault(number, []).append((tag, pushed))
    dropped: dict[str, str] = {}
    for number, members in matched.items():
        policy = policies[number]
        if not policy.has_limits:
            continue
        members.sort(key=lambda member: (-member[1], member[0]))
        kept = kept_tags(policy, members, now)
        reason = f"retention[{number}] keeps {_limits(policy)}"
        dropped.update((tag, reason) for tag, _ in members if tag not in kept)
    return dropped


def decider(repository: str, tag: str, policies: tuple[Policy, ...]) -> int | None:
    """The number of the policy that decides for a tag; None when none matches it."""
    for number, policy in enumerate(policies):
        if policy.covers_tag(repository, tag):
            return number
    return None


def kept_tags(policy: Policy, members: Sequence[tuple[str, float]], now: float) -> set[str]:
    """The tags that a policy with limits keeps of those it decides for, `members`, last pushed first."""
    kept: set[str] = set()
    if policy.keep_last is not None:
        kept.update(tag for tag, _ in members[: policy.keep_last])
    if policy.keep_within is not None:
        kept.update(tag for tag, pushed in members if now - pushed < policy.keep_within)
    for period, count in policy.keep_periods.items():
        kept.update(_last_of_each(period, count, members))
    if policy.keep_last_per_minor is not None:
        kept.update(_highest_per_minor(policy.keep_last_per_minor, members))
    return kept


def _last_of_each(period: Period, count: int, members: Sequence[tuple[str, float]]) -> Iterator[str]:
    """The last push of each of the last `count` periods (UTC) that have any, as restic counts them.

    While there are fewer, the oldest of all stays too, so that the history reaches back as far as it can.
    """
    last: object = None
    for place, (tag, pushed) in enumerate(members):
        if count == 0:
            return
        bucket = _bucket(period, pushed)
        if bucket != last or place == len(members) - 1:
            yield tag
            last = bucket
            count -= 1


def _bucket(period: Period, moment: float) -> object:
    # What a broken clock wrote may lie beyond the calendar: all of that is one day at its end.
    day = _EPOCH + timedelta(days=min(max(int(moment // _DAY), _FIRST_DAY), _LAST_DAY))
    if period == "day":
        return day
    if period == "week":
        return day.isocalendar()[:2]
    return (day.year, day.month) if period == "month" else day.year


def _highest_per_minor(count: int, members: Sequence[tuple[str, float]]) -> Iterator[str]:
    """Of each minor version the `count` highest; of equal ones (1.2.3 and v1.2.3) the last pushed."""
    minors: dict[tuple[int, int], list[tuple[Version, str]]] = {}
    for tag, _ in members:
        version = Version.of(tag)
        if version is not None:
            minors.setdefault((version.major, version.minor), []).append((version, tag))
    for versions in minors.values():
        versions.sort(key=lambda pair: pair[0], reverse=True)  # stable: equals stay last pushed first
        yield from (tag for _, tag in versions[:count])


def _limits(policy: Policy) -> str:
    limits: list[str] = []
    if policy.keep_last is not None:
        limits.append(f"the last {policy.keep_last}")
    if policy.keep_within is not None:
        limits.append(f"those of the last {format_duration(policy.keep_within)}")
    limits.extend(f"one of each of the last {count} {each}s" for each, count in policy.keep_periods.items())
    if policy.keep_last_per_minor is not None:
        limits.append(f"the {policy.keep_last_per_minor} highest versions of each minor")
    return " and ".join(limits)


def untagged_after(repository: str, policies: tuple[Policy, ...], default: float) -> float | None:
    """Seconds after which an untagged manifest of `repository` may go; None: never."""
    for policy in policies:
        if policy.untagged is not None and policy.covers(repository):
            return policy.untagged.after
    return default


def idle(policies: tuple[Policy, ...], tags: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """A sentence for each policy that matches nothing; `tags` are names by repository."""
    if not policies or not tags:
        return ()
    deciding = {decider(repository, tag, policies) for repository, names in tags.items() for tag in names}
    said: list[str] = []
    for number, policy in enumerate(policies):
        if not any(policy.covers(repository) for repository in tags):
            said.append(f"retention[{number}] matches no repository ({', '.join(policy.repositories)})")
        elif number not in deciding and policy.untagged is None:
            globs = ", ".join(policy.tags)
            said.append(
                f"retention[{number}] decides for no tag: none matches {globs}, or policies above it decide"
            )
    return tuple(said)
