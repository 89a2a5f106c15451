"""The page as markup: what it shows, that stored text stays text, and that nothing comes from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pruner.observe.board import Now
from pruner.observe.page import HEADERS, page
from pruner.observe.record import Kept, Record, Run
from pruner.observe.sections import Shown
from pruner.observe.surroundings import Disk, Surroundings
from pruner.observe.words import concerns
from tests.gc.observed import DAY, GIB, HOSTILE, NOW, a_record, surroundings, waiting

PERIOD = 7 * DAY
COMMAND = "kubectl -n registry exec deploy/registry -c gc -- prune"


def shown(
    record: Record | None = None, now: Now | None = None, around: Surroundings | None = None, hangs: str = ""
) -> Shown:
    record = a_record() if record is None else record
    now = now or waiting()
    around = around or surroundings()
    found = concerns(record, now, around, NOW, PERIOD, hangs)
    return Shown(record, now, around, found, NOW, "Registry main in registry", COMMAND)


class Reader(HTMLParser):
    """The page's text, its elements, and whether each is closed."""

    VOID = frozenset({"meta", "link", "rect", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag, "elements are nested"

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_it_shows_what_is_stored_what_would_go_the_runs_and_the_trash() -> None:
    record = a_record()
    snapshot = record.snapshot
    assert snapshot is not None
    text = Reader(page(shown(record))).text
    assert "Registry main in registry" in text
    for repository in snapshot.repositories:
        assert repository.name in text
    for blob in (*snapshot.shared, *snapshot.trashed):
        assert blob.digest in text
    for tag in (*snapshot.largest, *snapshot.oldest):
        assert f"{tag.repository}:{tag.tag}" in text
    for going in snapshot.going:
        assert going.reason in text
    assert "younger than the grace 14" in text
    assert "data/notebooks manifest missing" in text
    assert "ci/cache:old" in text
    assert f"{COMMAND} trash restore {snapshot.trashed[0].digest}" in text
    assert f"{COMMAND} plan" in text
    assert "Grown by" in text
    assert record.runs[-1].message in text
    assert "wait the grace 1h" in text
    assert "168.0 GiB of 400.0 GiB" in text
    assert "ends in 410d" in text


def test_stored_text_is_escaped_wherever_it_stands() -> None:
    record = a_record()
    snapshot = record.snapshot
    assert snapshot is not None
    bad = "<img src=x onerror=alert(1)>\"'`<b>`&"
    spoilt = replace(
        snapshot,
        kept_whole=(Kept(bad, bad, bad),),
        dangling=(bad,),
        notes=(bad,),
        spared={bad: 1},
        repositories=tuple(replace(each, name=bad) for each in snapshot.repositories),
        largest=tuple(replace(each, tag=bad) for each in snapshot.largest),
        going=tuple(replace(each, reason=bad) for each in snapshot.going),
        trashed=tuple(replace(each, digest=bad) for each in snapshot.trashed),
        shared=tuple(replace(each, digest=bad) for each in snapshot.shared),
    )
    runs = (*record.runs[:-1], replace(record.runs[-1], ended="failed", message=bad, phases={bad: 1.0}))
    now = Now("running", NOW, None, bad, NOW)
    text = page(shown(replace(record, runs=runs, snapshot=spoilt), now, surroundings(trouble=bad), bad))
    tags = {tag for tag, _ in Reader(text).elements}
    assert not tags & {"img", "b", "script"}
    assert HOSTILE.partition("/")[2] not in page(shown())


def test_nothing_runs_and_nothing_comes_from_elsewhere() -> None:
    reader = Reader(page(shown()))
    for tag, attributes in reader.elements:
        assert tag not in ("script", "iframe", "object", "form", "base", "img")
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert (attributes.get("href") or "#").startswith(("#", "data:,"))
        assert "src" not in attributes
    policy = HEADERS["Content-Security-Policy"]
    (style,) = re.findall(r"<style>(.*?)</style>", page(shown()), re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{allowed}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "http" not in style
    assert "@import" not in style


def test_tables_have_headers_captions_and_names() -> None:
    reader = Reader(page(shown()))
    tables = sum(tag == "table" for tag, _ in reader.elements)
    assert tables > 8
    assert sum(tag == "caption" for tag, _ in reader.elements) == tables
    assert all("scope" in attributes for tag, attributes in reader.elements if tag == "th")
    ids = [attributes["id"] for _, attributes in reader.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))


def test_before_the_first_run_it_says_so() -> None:
    text = Reader(page(shown(Record(), Now("waiting", NOW, NOW + 120)))).text
    assert "No run has ended yet. The next begins in 2m." in text
    assert "Nothing has been looked at yet" in text


def test_a_run_at_work_shows_its_phase_and_since_when() -> None:
    now = Now("running", NOW - 1800, None, "wait the grace", NOW - 1700, 0)
    text = Reader(page(shown(now=now))).text
    assert "A run is at work since 30m; it is at “wait the grace” for 28m 20s." in text


@pytest.mark.parametrize(
    ("around", "hangs", "said"),
    [
        (
            {"trouble": "it answers with status 503"},
            "",
            "does not answer as it should: it answers with status 503",
        ),
        ({}, "the loop has given no sign of life", "no sign of life: its container is about to be restarted"),
        (
            {"disk": Disk(400 * GIB, 20 * GIB)},
            "",
            "20.0 GiB of 400.0 GiB are free; at the pace of the last runs",
        ),
        ({"disk": Disk(400 * GIB, 3 * GIB)}, "", "lie in the trash, more than is free"),
        ({"certificate": NOW + 20 * DAY}, "", "server's certificate ends in 20d: run"),
        ({"certificate": NOW - 1}, "", "server's certificate has ended"),
        ({"authority": NOW + DAY}, "", "authority's certificate ends in 1d"),
    ],
)
def test_what_needs_someone_is_said_at_the_top(around: dict[str, object], hangs: str, said: str) -> None:
    text = Reader(page(shown(around=surroundings(**around), hangs=hangs))).text
    assert said in text
    assert text.index(said) < text.index("Saved by sharing")


def test_a_run_that_failed_or_is_overdue_is_said_at_the_top() -> None:
    record = a_record()
    refused = record.plus(Run(NOW - 60, 5, "refused", 6, "a fuse: look at `prune plan`"))
    text = Reader(page(shown(refused))).text
    assert "The last run was refused: a fuse: look at prune plan" in text
    late = replace(record, totals=replace(record.totals, last_success=NOW - 3 * PERIOD))
    assert "the last run that went well ended 21d ago" in Reader(page(shown(late))).text.lower()


def test_all_is_well() -> None:
    record = a_record()
    snapshot = record.snapshot
    assert snapshot is not None
    text = Reader(page(shown(replace(record, snapshot=replace(snapshot, troubles={}))))).text
    assert "Everything is as it should be." in text
