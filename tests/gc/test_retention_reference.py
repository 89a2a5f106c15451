"""What retention keeps, against a reference that counts in another way: by comparing every pair of tags."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from pruner.decide.retention import dropped_tags
from pruner.settings.policies import Version, parse_policies

NOW = 1_700_000_000.0
PERIODS = {"keepDaily": "%Y-%j", "keepWeekly": "%G-%V", "keepMonthly": "%Y-%m", "keepYearly": "%Y"}
TAGS = st.dictionaries(
    st.one_of(
        st.sampled_from(["latest", "a", "b", "c", "main", "1.2", "v1"]),
        st.builds(
            "{}1.{}.{}{}".format,
            st.sampled_from(["", "v"]),
            st.integers(0, 2),
            st.integers(0, 12),
            st.sampled_from(["", "-rc.1", "-rc.2", "-alpha"]),
        ),
    ),
    st.one_of(st.integers(int(NOW) - 40 * 86400, int(NOW)), st.integers(0, int(NOW))).map(float),
    max_size=14,
)
COUNT = st.integers(0, 5)
POLICY = st.fixed_dictionaries(
    {},
    optional={
        "tags": st.sampled_from(["*", "1.*", "v*", ["a", "b"]]),
        "keepLast": COUNT,
        "keepWithin": st.integers(0, 50).map("{}d".format),
        "keepDaily": COUNT,
        "keepWeekly": COUNT,
        "keepMonthly": COUNT,
        "keepYearly": COUNT,
        "keepLastPerMinor": COUNT,
    },
).filter(bool)


def newer(tags: dict[str, float], tag: str) -> list[str]:
    """The tags that come before one: pushed later, or at the same time and earlier in the alphabet."""
    return [other for other in tags if (-tags[other], other) < (-tags[tag], tag)]


def stays(policy: dict[str, Any], tags: dict[str, float], tag: str) -> bool:
    """Whether a tag among those that a policy decides for (`tags`) stays."""
    before = newer(tags, tag)
    reasons = [key for key in policy if key.startswith("keep")]
    if not reasons:
        return True
    for key in reasons:
        count = policy[key]
        if key == "keepLast" and len(before) < count:
            return True
        if key == "keepWithin" and tags[tag] > NOW - 86400 * int(count[:-1]):
            return True
        if key in PERIODS:
            name = {each: time.strftime(PERIODS[key], time.gmtime(tags[each])) for each in tags}
            later = {name[other] for other in before}
            if name[tag] not in later and len(later) < count:
                return True
            if len(before) == len(tags) - 1 and len(later) < count:
                return True  # the oldest, where fewer periods are there than asked for
        if key == "keepLastPerMinor":
            mine = parts(tag)
            higher = [
                other
                for other in tags
                if parts(other)[:2] == mine[:2]
                and (parts(other) > mine or (parts(other) == mine and other in before))
            ]
            if len(higher) < count:
                return True
    return False


def parts(tag: str) -> tuple[int, int, int, str]:
    number, _, rest = tag.removeprefix("v").partition("-")
    major, minor, patch = number.split(".")
    return int(major), int(minor), int(patch), rest or "~"  # sorts behind every letter


def is_about(policy: dict[str, Any], tag: str) -> bool:
    if "keepLastPerMinor" in policy and tag.count(".") < 2:
        return False
    globs = policy.get("tags", "*")
    if isinstance(globs, list):
        return tag in globs
    return tag.startswith(globs[:-1])


@given(TAGS, st.lists(POLICY, max_size=3))
@example({"a": 0.0, "b": 86400.0}, [{"keepDaily": 3}])
def test_what_goes_is_what_the_reference_says(tags: dict[str, float], policies: list[dict[str, Any]]) -> None:
    expected: set[str] = set()
    decided: dict[int, dict[str, float]] = {}
    for tag, pushed in tags.items():
        for number, policy in enumerate(policies):
            if is_about(policy, tag):
                decided.setdefault(number, {})[tag] = pushed
                break
    for number, members in decided.items():
        expected.update(tag for tag in members if not stays(policies[number], members, tag))
    assert set(dropped_tags("app", tags.items(), parse_policies(policies), NOW)) == expected


@given(TAGS, st.lists(POLICY, max_size=3), st.randoms())
def test_the_order_of_the_listing_does_not_matter(
    tags: dict[str, float], policies: list[dict[str, Any]], random: Any
) -> None:
    shuffled = list(tags.items())
    random.shuffle(shuffled)
    parsed = parse_policies(policies)
    assert dropped_tags("app", shuffled, parsed, NOW) == dropped_tags("app", tags.items(), parsed, NOW)


@given(TAGS, POLICY, st.integers(1, 3))
def test_a_larger_number_never_drops_more(tags: dict[str, float], policy: dict[str, Any], more: int) -> None:
    larger = {key: value + more if isinstance(value, int) else value for key, value in policy.items()}
    gone = dropped_tags("app", tags.items(), parse_policies([policy]), NOW)
    assert set(dropped_tags("app", tags.items(), parse_policies([larger]), NOW)) <= set(gone)


def test_versions_in_the_order_of_the_specification() -> None:
    order = [
        *("1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11"),
        *("1.0.0-rc.1", "1.0.0", "1.0.1", "1.1.0", "1.10.0", "2.0.0"),
    ]
    versions = [Version.of(each) for each in order]
    assert all(versions)
    assert sorted(versions, key=lambda each: each or Version(0, 0, 0, ())) == versions
    assert Version.of("v1.0.0") == Version.of("1.0.0")
