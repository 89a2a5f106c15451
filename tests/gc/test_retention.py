"""Retention policies, untagged delays and running images: which tags and manifests are roots."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pruner.decide.retention import dropped_tags, idle, untagged_after
from pruner.decide.running import RunningImages
from pruner.errors import ClusterError
from pruner.settings.policies import parse_policies
from tests.gc.images import Image, artifact, cosign_tag, digest_of, image, index, layer
from tests.gc.inprocess import GRACE, Pruner

NOW = 1_000_000.0
DAY = 86400.0
TAGS = [(f"v{number}", NOW - number * DAY) for number in range(6)]  # v0 is pushed last


def dropped(policies: list[dict[str, Any]], repository: str = "team/app") -> set[str]:
    return set(dropped_tags(repository, TAGS, parse_policies(policies), NOW))


@pytest.mark.parametrize(
    ("policies", "gone"),
    [
        ([], ""),
        ([{"repositories": "team/*"}], ""),  # no limit: everything stays
        ([{"keepLast": 2}], "2345"),
        ([{"keepLast": 0}], "012345"),
        ([{"keepLast": 99}], ""),
        ([{"keepWithin": "2d"}], "2345"),
        ([{"keepWithin": "2d1s"}], "345"),
        ([{"keepWithin": 0}], "012345"),
        ([{"keepLast": 1, "keepWithin": "3d"}], "345"),  # either reason is enough to stay
        ([{"keepLast": 4, "keepWithin": "1d"}], "45"),
        ([{"tags": "v[3-9]", "keepLast": 1}], "45"),  # counted among those it matches
        ([{"tags": ["v1", "v5"], "keepLast": 0}], "15"),
        ([{"repositories": "other", "keepLast": 0}], ""),
        ([{"repositories": ["other", "team/*"], "keepLast": 5}], "5"),
        ([{"repositories": "team", "keepLast": 0}], ""),  # a glob is over the whole name
        ([{"repositories": "*", "keepLast": 5}], "5"),  # and * matches a slash
        # The first that matches decides, even if it says nothing.
        ([{"tags": "v5"}, {"keepLast": 1}], "1234"),
        ([{"tags": "v0", "keepLast": 1}, {"keepLast": 1}], "2345"),
        ([{"repositories": "team/*", "keepLast": 5}, {"keepLast": 0}], "5"),
    ],
)
def test_tags_that_a_policy_drops(policies: list[dict[str, Any]], gone: str) -> None:
    assert dropped(policies) == {f"v{digit}" for digit in gone}


YEARS = [
    (f"d{number}", 1_700_000_000.0 - number * 20 * 3600) for number in range(800)
]  # every 20 hours for almost two years


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ({"keepDaily": 0}, []),
        ({"keepDaily": 3}, ["d0", "d2", "d3"]),
        ({"keepDaily": 7}, ["d0", "d2", "d3", "d4", "d5", "d6", "d8"]),  # d1 is of the same day as d0
        ({"keepWeekly": 2}, ["d0", "d3"]),  # 14 November 2023 is a Tuesday: the week before ends at d3
        ({"keepMonthly": 2}, ["d0", "d17"]),
        ({"keepYearly": 1}, ["d0"]),
        ({"keepYearly": 2}, ["d0", "d382"]),
        ({"keepYearly": 9}, ["d0", "d382", "d799"]),  # the oldest, as fewer years are there than asked for
        ({"keepLast": 2, "keepYearly": 2}, ["d0", "d1", "d382"]),
        ({"keepDaily": 1, "keepMonthly": 2}, ["d0", "d17"]),
    ],
)
def test_one_of_each_period_stays(policy: dict[str, Any], kept: list[str]) -> None:
    gone = dropped_tags("app", YEARS, parse_policies([policy]), NOW)
    assert [tag for tag, _ in YEARS if tag not in gone] == kept


def test_times_beyond_the_calendar_are_of_its_last_and_first_day() -> None:
    tags = [("far", 1e18), ("further", 1e300), ("before", -1e300), ("now", NOW)]
    policies = parse_policies([{"keepDaily": 9, "keepWeekly": 9, "keepMonthly": 9, "keepYearly": 9}])
    assert set(dropped_tags("app", tags, policies, NOW)) == {"far"}


VERSIONS = [
    *("1.2.0", "1.2.10", "1.2.9", "v1.2.9", "1.3.0-rc.1", "1.3.0", "1.3.0-rc.2"),
    *("2.0.0-alpha", "2.0.0-alpha.1", "2.0.0-1"),
    *("1.2", "latest", "1.2.3.4", "01.2.3", "1.02.3", "1.2.3-", "v", "1.2.3-01"),
]


@pytest.mark.parametrize(
    ("count", "gone"),
    [
        (1, "1.2.0 1.2.9 v1.2.9 1.3.0-rc.1 1.3.0-rc.2 2.0.0-alpha 2.0.0-1"),
        (2, "1.2.0 v1.2.9 1.3.0-rc.1 2.0.0-1"),
        (3, "1.2.0"),
        (9, ""),
    ],
)
def test_the_highest_versions_of_each_minor_stay_and_what_is_no_version_is_not_looked_at(
    count: int, gone: str
) -> None:
    tags = [(name, NOW - number) for number, name in enumerate(VERSIONS)]
    policies = parse_policies([{"keepLastPerMinor": count}])
    assert set(dropped_tags("app", tags, policies, NOW)) == set(gone.split())
    # What the policy is not about, the next one decides on.
    policies = parse_policies([{"keepLastPerMinor": count}, {"keepLast": 0}])
    rest = set(VERSIONS[10:])
    assert set(dropped_tags("app", tags, policies, NOW)) == set(gone.split()) | rest


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        ([{"keepLast": 1}], []),
        ([{"repositories": "teem/*", "keepLast": 1}], ["retention[0] matches no repository (teem/*)"]),
        ([{"tags": "w*", "keepLast": 1}], ["retention[0] decides for no tag: none matches w*"]),
        ([{"keepLast": 1}, {"tags": "v1"}], ["retention[1] decides for no tag"]),
        ([{"keepLast": 1}, {"untagged": "keep"}], []),
        ([{"keepLastPerMinor": 1}], ["retention[0] decides for no tag"]),
    ],
)
def test_a_policy_that_matches_nothing_is_said(policies: list[dict[str, Any]], said: list[str]) -> None:
    sentences = idle(parse_policies(policies), {"team/app": [name for name, _ in TAGS]})
    assert len(sentences) == len(said)
    assert all(sentence.startswith(start) for sentence, start in zip(sentences, said, strict=True))
    assert idle(parse_policies(policies), {}) == (), "an empty tree says nothing about policies"


def test_equal_ages_are_decided_the_same_way_each_time() -> None:
    tags = [(name, NOW) for name in ("c", "a", "b")]
    for given in (tags, tags[::-1]):
        assert set(dropped_tags("app", given, parse_policies([{"keepLast": 1}]), NOW)) == {"b", "c"}


def test_reasons_name_the_policy() -> None:
    reasons = dropped_tags(
        "app", TAGS, parse_policies([{"tags": "x"}, {"keepLast": 1, "keepWithin": "2d"}]), NOW
    )
    assert reasons["v5"] == "retention[1] keeps the last 1 and those of the last 2d"


@pytest.mark.parametrize(
    ("policies", "after"),
    [
        ([], 5.0),
        ([{"keepLast": 1}], 5.0),
        ([{"untagged": "keep"}], None),
        ([{"untagged": "after 2h"}], 7200.0),
        ([{"untagged": "after 0"}], 0.0),
        ([{"repositories": "other", "untagged": "keep"}], 5.0),
        ([{"repositories": "app", "keepLast": 1}, {"untagged": "keep"}], None),
        ([{"untagged": "after 1s"}, {"untagged": "keep"}], 1.0),
    ],
)
def test_how_long_untagged_manifests_stay(policies: list[dict[str, Any]], after: float | None) -> None:
    assert untagged_after("app", parse_policies(policies), 5.0) == after


WRONG: list[tuple[object, str]] = [
    ({"keepLast": 1}, "give a list"),
    ("[{", "not JSON"),
    ("7", "give a list"),
    (["x"], r"retention\[0\] is 'x'"),
    ([{}], r"retention\[0\] is empty"),
    ([{"keepLast": 1}, {"keepfirst": 1}], r"retention\[1\] has the unknown key 'keepfirst'"),
    ([{"keepLast": -1}], "keepLast is -1"),
    ([{"keepLast": True}], "keepLast is True"),
    ([{"keepLast": 1.5}], "keepLast is 1.5"),
    ([{"keepLast": "3"}], "keepLast is '3'"),
    ([{"keepWithin": "soon"}], r"keepWithin: 'soon' is not a duration"),
    ([{"untagged": "never"}], "untagged is 'never'"),
    ([{"untagged": "after soon"}], "untagged: 'soon'"),
    ([{"repositories": []}], r"repositories is \[\]"),
    ([{"repositories": ""}], "repositories is ''"),
    ([{"tags": ["a", 1]}], "tags is"),
    ([{"keepDaily": -1}], "keepDaily is -1"),
    ([{"keepYearly": "1"}], "keepYearly is '1'"),
    ([{"keepLastPerMinor": 0.5}], "keepLastPerMinor is 0.5"),
    ('[{"keepLast": 1, "keepLast": 0}]', "the key 'keepLast' twice"),
    ('[{"keepLast": NaN}]', "NaN, which is not a number"),
    ("[" * 100_000, "nested too deeply"),
    ('[{"tags":' * 1000 + "1" + "}]" * 1000, "nested too deeply|tags is"),
    ([{"keepWithin": "1e300d"}], "keepWithin"),
]


@pytest.mark.parametrize(("value", "words"), WRONG)
def test_what_is_no_policy_is_refused_by_name(value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_policies(value)


def test_numbers_may_come_as_json_writes_them() -> None:
    assert parse_policies('[{"keepLast": 2.0}]')[0].keep_last == 2
    assert parse_policies("") == parse_policies([]) == ()


# In a run


def test_a_policy_that_matches_nothing_is_in_the_report(pruner: Pruner) -> None:
    push(pruner, "v1", "v1", 1)
    policies = parse_policies([{"repositories": "ap", "keepLast": 1}])
    sentence = "retention[0] matches no repository (ap)"
    assert sentence in pruner.plan(retention=policies).notes
    assert sentence in pruner.run(retention=policies).notes


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    return Pruner(tmp_path)


def simple(name: str) -> Image:
    return image([layer("base"), layer(name)], name)


def push(pruner: Pruner, name: str, tag: str | None, days: float, repository: str = "app") -> Image:
    pushed = simple(name)
    digest = pruner.tree.push(repository, pushed, *([tag] if tag else []))
    moment = pruner.clock.now() - days * DAY
    paths = [pruner.tree.revision_path(repository, digest)]
    if tag:
        paths += [pruner.tree.tag_path(repository, tag), pruner.tree.tag_index_path(repository, tag, digest)]
    for path in paths:
        os.utime(path, (moment, moment))
    for blob in pushed.blobs:
        for path in (
            pruner.tree.layer_path(repository, digest_of(blob)),
            pruner.tree.blob_path(digest_of(blob)),
        ):
            os.utime(path, (moment, moment))
    os.utime(pruner.tree.blob_path(digest), (moment, moment))
    return pushed


def tags_of(pruner: Pruner, repository: str = "app") -> set[str]:
    folder = pruner.tree.repository(repository) / "_manifests/tags"
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_a_run_drops_tags_with_everything_that_was_theirs(pruner: Pruner) -> None:
    images = [push(pruner, f"v{number}", f"v{number}", number + 1) for number in range(4)]
    pruner.tree.push("app", artifact("signature"), cosign_tag(images[3].digest))
    pruner.tree.push("app", artifact("kept signature"), cosign_tag(images[0].digest))
    for path in pruner.tree.repository("app").rglob("link"):
        if path.stat().st_mtime > pruner.clock.now():
            os.utime(path, (1, 1))
    for blob in pruner.tree.top.rglob("data"):
        os.utime(blob, (1, 1))
    report = pruner.run(retention=parse_policies([{"keepLast": 2}]))
    assert tags_of(pruner) == {"v0", "v1", cosign_tag(images[0].digest)}
    assert not {images[2].digest, images[3].digest} & pruner.blobs()
    reasons = {removal.tag: removal.reason for removal in report.removals if removal.kind == "tag"}
    assert reasons["v2"] == "retention[0] keeps the last 2"
    assert "its subject" in reasons[cosign_tag(images[3].digest)]
    assert pruner.verify().problems == ()
    assert pruner.run().removals == ()


def test_a_digest_stays_while_one_of_its_tags_does(pruner: Pruner) -> None:
    shared = push(pruner, "shared", "old", 9)
    pruner.tree.link_tag("app", "release", shared.digest)
    pruner.old()
    pruner.run(retention=parse_policies([{"tags": "release"}, {"keepLast": 0}]))
    assert tags_of(pruner) == {"release"}
    assert shared.digest in pruner.blobs()


def test_a_tag_younger_than_the_grace_stays_whatever_a_policy_says(pruner: Pruner) -> None:
    push(pruner, "young", "young", (GRACE - 1) / DAY)
    push(pruner, "old", "old", 1)
    pruner.run(grace=GRACE, retention=parse_policies([{"keepLast": 0}]))
    assert tags_of(pruner) == {"young"}


def test_a_tag_that_is_being_pushed_stays(pruner: Pruner) -> None:
    """A push writes the history of a tag first, and what the tag names right after that."""
    push(pruner, "old", "moving", 9)
    push(pruner, "other", "other", 9)
    pushed = push(pruner, "new", None, 0)
    pruner.tree.link_tag("app", "moving", pushed.digest, current=False)
    now = pruner.clock.now()
    os.utime(pruner.tree.tag_index_path("app", "moving", pushed.digest), (now, now))
    pruner.run(grace=GRACE, retention=parse_policies([{"keepLast": 0}]))
    assert tags_of(pruner) == {"moving"}


def test_untagged_manifests_go_after_their_time_by_repository(pruner: Pruner) -> None:
    for repository in ("app", "kept/app", "short"):
        push(pruner, f"{repository} three hours", None, 3 / 24, repository)
        push(pruner, f"{repository} ten hours", None, 10 / 24, repository)
        push(pruner, f"{repository} tagged", "v1", 10, repository)
    pruner.run(
        untagged_after=5 * 3600.0,
        retention=parse_policies(
            [
                {"repositories": "kept/*", "untagged": "keep"},
                {"repositories": "short", "untagged": "after 1h"},
            ]
        ),
    )
    stays = {"app three hours", "app tagged", "kept/app three hours", "kept/app ten hours", "kept/app tagged"}
    stays.add("short tagged")
    for repository in ("app", "kept/app", "short"):
        for name in ("three hours", "ten hours", "tagged"):
            whole = f"{repository} {name}"
            assert (simple(whole).digest in pruner.blobs()) == (whole in stays), whole


# What the cluster runs


def test_running_images_stay_by_digest_and_by_tag(pruner: Pruner) -> None:
    multi = index([simple("platform")])
    pruner.tree.push("app", multi)
    pruner.tree.push("app", simple("by digest"))
    pruner.tree.push("app", simple("by tag"), "v1")
    pruner.tree.push("app", simple("dropped"), "v2")
    pruner.tree.push("other", simple("dropped there"), "v1")
    pruner.tree.push("app", simple("untagged"))
    pruner.old()
    running = RunningImages(
        tags=frozenset({("app", "v1")}), digests=frozenset({simple("by digest").digest, multi.digest})
    )
    pruner.ask = lambda: running
    pruner.run(retention=parse_policies([{"keepLast": 0}]))
    kept = {simple(name).digest for name in ("by digest", "by tag", "platform")} | {multi.digest}
    assert kept <= pruner.blobs()
    assert not {simple(name).digest for name in ("dropped", "dropped there", "untagged")} & pruner.blobs()
    assert tags_of(pruner) == {"v1"}
    pruner.ask = None
    pruner.run(override=frozenset({"no-tags"}))
    assert pruner.blobs() == set()


def test_item_7_an_image_that_runs_by_the_digest_of_its_config_stays(pruner: Pruner) -> None:
    """Some runtimes give the config's digest for imageID."""
    pruner.tree.push("app", simple("runs"))
    pruner.tree.push("app", simple("runs, tagged"), "v1")
    pruner.tree.push("app", index([simple("platform")]), "v2")
    pruner.tree.push("app", simple("stopped"), "v3")
    pruner.old()
    names = ("runs", "runs, tagged", "platform")
    configs = frozenset(json.loads(simple(name).content)["config"]["digest"] for name in names)
    pruner.ask = lambda: RunningImages(digests=configs | {digest_of(b"of another registry")})
    pruner.run_as_planned(retention=parse_policies([{"keepLast": 0}]))
    for name in names:
        assert {digest_of(blob) for blob in simple(name).blobs} <= pruner.blobs(), name
        assert simple(name).digest in pruner.blobs(), name
    assert simple("stopped").digest not in pruner.blobs()
    assert tags_of(pruner) == {"v1"}


def test_when_the_cluster_cannot_be_asked_nothing_untagged_and_no_tag_goes(pruner: Pruner) -> None:
    pruner.tree.push("app", simple("tagged"), "v1")
    pruner.tree.push("app", simple("untagged"))
    pruner.tree.blob(b"of nobody")
    pruner.old()

    def silent() -> RunningImages:
        raise ClusterError("the cluster's API did not answer")

    pruner.ask = silent
    report = pruner.run(retention=parse_policies([{"keepLast": 0}]))
    assert {simple("tagged").digest, simple("untagged").digest} <= pruner.blobs()
    assert tags_of(pruner) == {"v1"}
    assert any("did not answer" in note for note in report.notes)
    assert digest_of(b"of nobody") not in pruner.blobs(), "what no manifest names is no image"


def test_an_image_that_starts_to_run_while_a_run_waits_comes_back(pruner: Pruner) -> None:
    pruner.tree.push("app", simple("tagged"), "v1")
    pruner.tree.push("app", simple("started"))
    pruner.old()
    answers = [RunningImages(), RunningImages(digests=frozenset({simple("started").digest}))]
    pruner.ask = lambda: answers[0] if len(answers) == 1 else answers.pop(0)
    pruner.run(grace=GRACE)
    assert simple("started").digest in pruner.blobs()
    assert pruner.verify().problems == ()
