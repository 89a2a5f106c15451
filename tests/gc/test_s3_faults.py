"""A bucket whose server, network, keys or clock are not as they should be."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import botocore.auth
import pytest

from pruner.errors import ConfigError, NotARegistry, PrunerError, ReadError, Refused, WriteError
from pruner.storage.s3.errors import error_of, refuse_another_region
from pruner.storage.s3.keys import Key
from pruner.tree import layout
from tests.gc.faultproxy import Fault, FaultProxy
from tests.gc.images import image, layer
from tests.gc.s3place import S3Place, s3_place
from tests.gc.treebuilder import TreeBuilder

APP = f"{layout.REPOSITORIES}/app"


@pytest.fixture
def place(tmp_path: Path) -> Generator[S3Place]:
    with s3_place("versitygw", tmp_path) as place:
        yield place


@pytest.fixture
def tree(place: S3Place, tmp_path: Path) -> S3Place:
    """Two tags that stay, an old push of one, and an image that no tag names."""
    builder = TreeBuilder(tmp_path / "tree")
    for name, tag in (("one", "v1"), ("old", "v2"), ("two", "v2")):
        builder.push("app", image([layer("shared"), layer(name)], name), tag)
    place.upload(tmp_path / "tree")
    time.sleep(1.1)
    return place


def test_hazard_37_a_run_on_a_bucket_whose_server_fails_now_and_then(tree: S3Place) -> None:
    """Throttled, reset, cut within an answer, done without an answer: a run does what it planned."""
    plan = tree.plan()
    faults: list[Fault] = ["503", "reset", "cut", "lost"]
    with FaultProxy(tree.parameters.endpoint).running() as proxy:
        proxy.fault = lambda _method, _path, number: faults[number // 5 % 4] if number % 5 == 0 else ""
        before = tree.keys()
        report = tree.through(proxy.endpoint).run()
        assert len(proxy.requests) > 40
    assert report.removals == plan.removals
    gone = {removal.path for removal in report.removals if removal.kind not in ("folder", "repository")}
    assert tree.keys() == before - gone
    assert tree.run().removals == ()


def test_deletions_that_fail_key_by_key_are_sent_again(tree: S3Place) -> None:
    bucket = tree.bucket()
    client = bucket._client  # pyright: ignore[reportPrivateUsage]
    answers = [
        {"Errors": [{"Key": "b", "Code": "InternalError"}, {"Key": "c", "Code": "SlowDown"}]},
        {"Errors": [{"Key": "c", "Code": "InternalError", "Message": "again"}]},
        {},
    ]
    asked: list[list[str]] = []

    def delete_objects(**given: object) -> Mapping[str, object]:
        asked.append([each["Key"] for each in given["Delete"]["Objects"]])  # pyright: ignore
        return answers[len(asked) - 1]

    client.delete_objects = delete_objects
    assert bucket.delete_many(["a", "b", "c"]) == {}
    assert asked == [["a", "b", "c"], ["b", "c"], ["c"]]
    asked.clear()
    answers[:] = [{"Errors": [{"Key": "b", "Code": "AccessDenied"}, {"Key": "c", "Code": "NoSuchKey"}]}]
    failed = bucket.delete_many(["a", "b", "c"])
    assert list(failed) == ["b"]
    assert "s3:DeleteObject" in str(failed["b"])


@pytest.mark.parametrize(
    ("part", "method"),
    [("delete", "POST"), ("uploads", "GET"), ("pruner/probe", "PUT"), ("list-type", "GET")],
)
def test_a_right_that_is_missing_is_found_before_anything_is_removed(
    tree: S3Place, part: str, method: str
) -> None:
    before = tree.keys()
    with FaultProxy(tree.parameters.endpoint).running() as proxy:
        proxy.fault = lambda asked, path, _number: "denied" if asked == method and part in path else ""
        with pytest.raises(PrunerError, match=r"AccessDenied: give the pruner's key .*s3:DeleteObject"):
            tree.through(proxy.endpoint).run()
    assert tree.keys() == before


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"access_key": "nobody"}, "the server does not know this access key"),
        ({"secret_key": "wrong"}, "the secret key is wrong"),
        ({"bucket": "elsewhere"}, "no bucket has this name"),
        ({"endpoint": "http://127.0.0.1:1"}, "the server cannot be reached"),
    ],
)
def test_what_is_wrong_with_the_way_to_a_bucket_is_said_in_a_sentence(
    tree: S3Place, changes: dict[str, str], sentence: str
) -> None:
    before = tree.keys()
    wrong = replace(tree, parameters=replace(tree.parameters, **changes))
    for verb in (wrong.plan, wrong.run):
        with pytest.raises((ReadError, WriteError), match=sentence) as error:
            verb()
        assert tree.parameters.secret_key not in str(error.value)
    assert tree.keys() == before


def test_a_bucket_of_another_region_is_refused_with_its_region(tree: S3Place) -> None:
    """The registry does not follow there, so it is not pruned there: a name may stand for two buckets."""
    before = tree.keys()
    other = replace(tree, parameters=replace(tree.parameters, region="eu-west-7"))
    told = "s3://images lies in the region us-east-1, not in eu-west-7: correct storage.s3.region"
    for verb in (other.plan, other.run):
        with pytest.raises(ConfigError, match=told):
            verb()
    assert tree.keys() == before


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (301, "PermanentRedirect", {"header": "eu-west-1"}),
        (400, "AuthorizationHeaderMalformed", {"body": "eu-west-1"}),
        (400, "400", {"header": "eu-west-1"}),
        (307, "TemporaryRedirect", {}),
        (400, "IllegalLocationConstraintException", {}),
    ],
)
def test_amazons_ways_to_say_that_a_bucket_is_elsewhere(status: int, code: str, told: dict[str, str]) -> None:
    answer = {
        "Error": {"Code": code} | ({"Region": told["body"]} if "body" in told else {}),
        "ResponseMetadata": {
            "HTTPHeaders": {"x-amz-bucket-region": told["header"]} if "header" in told else {}
        },
    }
    where = "the region eu-west-1" if told else "another region"
    with pytest.raises(ConfigError, match=f"lies in {where}, not in us-east-1"):
        refuse_another_region(answer, status, "images", "us-east-1")


def test_an_error_of_the_bucket_in_its_own_region_says_nothing_of_regions() -> None:
    for code in ("400", "AccessDenied"):
        answer = {
            "Error": {"Code": code},
            "ResponseMetadata": {"HTTPHeaders": {"x-amz-bucket-region": "us-east-1"}},
        }
        refuse_another_region(answer, 400, "images", "us-east-1")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("PermanentRedirect", "the bucket lies in another region: correct storage.s3.region"),
        ("ExpiredToken", "the credentials ran out"),
        ("AllAccessDisabled", "the bucket's owner has switched it off"),
        ("Unheard", "the server says Unheard: of it"),
    ],
)
def test_what_a_server_says_has_a_sentence(code: str, sentence: str) -> None:
    assert sentence in str(error_of(code, "of it", "s3://b/k"))


def test_a_listing_that_fails_ends_the_look_with_a_sentence(tree: S3Place) -> None:
    before = tree.keys()
    storage = tree.storage()
    bucket = storage._bucket  # pyright: ignore[reportPrivateUsage]

    def fail(prefix: str, after: str = "", until: str = "") -> Iterator[list[Key]]:
        del after, until
        raise OSError(5, "the server cannot be reached", prefix)

    bucket.pages = fail
    with pytest.raises(ReadError, match="the server cannot be reached"):
        tree.place(storage).look()
    assert tree.keys() == before


def test_a_clock_that_is_twenty_minutes_off_is_said_to_be(
    tree: S3Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(**_: object) -> datetime:
        return datetime.now(UTC) - timedelta(minutes=20)

    monkeypatch.setattr(botocore.auth, "get_current_datetime", late)
    with pytest.raises(ReadError, match="more than 15 minutes off the server's: set the clock"):
        tree.plan()


def test_a_bucket_that_holds_something_else_is_refused(place: S3Place) -> None:
    place.put("photos/2020/holiday.jpg")
    for verb in (place.plan, place.run):
        with pytest.raises(NotARegistry, match=r"s3://images/registry holds no registry \(photos is there"):
            verb()
    assert place.keys("photos") == {"photos/2020/holiday.jpg"}


def test_a_server_that_does_not_list_what_it_has_is_refused(tree: S3Place) -> None:
    storage = tree.storage()
    bucket = storage._bucket  # pyright: ignore[reportPrivateUsage]

    def nothing(prefix: str, most: int = 1) -> list[Key]:
        del prefix, most
        return []

    bucket.first = nothing
    with pytest.raises(Refused, match="read-after-write"), storage.lock("lock", "me"):
        pass


def test_a_bucket_with_versions_says_what_a_removal_frees(tmp_path: Path) -> None:
    with s3_place("moto", tmp_path) as place:
        client = place.bucket()._client  # pyright: ignore[reportPrivateUsage]
        client.put_bucket_versioning(Bucket="images", VersioningConfiguration={"Status": "Enabled"})
        place.put(f"{layout.BLOBS}/sha256/ab/{'ab' * 32}/data", b"bytes")
        place.put(f"{APP}/_manifests/tags/v1/current/link", b"sha256:" + b"cd" * 32)
        report = place.run()
        assert any("goes on taking room until a lifecycle rule" in note for note in report.notes)
