"""The page in a real browser: under its own policy, light and dark, on a phone, and for who cannot see it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pruner.observe.page import CONTENT_TYPE, HEADERS, page
from pruner.observe.record import Record
from pruner.observe.web import Answer, Server, listen
from tests.gc.browser import ROOT, ask_page, pixel, screenshot
from tests.gc.observed import HOSTILE, a_record, surroundings
from tests.gc.realregistry import free_port
from tests.gc.test_page import shown

KEPT = ROOT / "docs" / "images"
"""The pictures of the documentation: this file's tests with --keep-screenshots make them anew."""

WIDE, PHONE = 1200, 390
CASES = {
    "as usual": page(shown()),
    "in trouble": page(shown(around=surroundings(trouble="it answers with status 503"), hangs="it hangs")),
    "at the start": page(shown(Record())),
}


@pytest.fixture(scope="module")
def server() -> Server:
    record = a_record()
    snapshot = record.snapshot
    assert snapshot is not None
    named = tuple(each for each in snapshot.repositories if each.name != HOSTILE)
    pictured = page(shown(replace(record, snapshot=replace(snapshot, repositories=named))))
    answer = Answer(pictured.encode(), CONTENT_TYPE, headers=HEADERS)
    server = listen(free_port(), {"/": lambda: answer}, "the page", own_machine_only=True)
    assert server is not None
    return server


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_under_its_own_policy_it_is_drawn_with_its_style(
    server: Server, tmp_path: Path, dark: bool, request: pytest.FixtureRequest
) -> None:
    name = "page-dark.png" if dark else "page.png"
    picture = tmp_path / name
    url = f"http://localhost:{server.port}/"
    screenshot(url, picture, tmp_path, dark=dark, size=(WIDE, 1500))
    ground = (0x12, 0x16, 0x1C) if dark else (0xF6, 0xF7, 0xF9)
    assert pixel(picture, 2, 2) == ground, "the policy lets the style sheet in"
    if request.config.getoption("--keep-screenshots"):
        KEPT.mkdir(exist_ok=True)
        (KEPT / name).write_bytes(picture.read_bytes())


@pytest.mark.parametrize(("width", "dark"), [(WIDE, True), (PHONE, False)], ids=["wide dark", "phone light"])
@pytest.mark.parametrize("case", CASES)
def test_axe_finds_nothing(case: str, width: int, dark: bool, tmp_path: Path) -> None:
    found = ask_page(
        CASES[case],
        "{ const found = await axe.run(frame.document);"
        "return {passes: found.passes.length, dark: frame.matchMedia('(prefers-color-scheme: dark)').matches,"
        "violations: found.violations.map(each => [each.id, each.nodes.map(node => node.html)]),"
        "incomplete: found.incomplete.map(each => [each.id, each.nodes.map(node => node.html)])}; }",
        tmp_path,
        dark=dark,
        width=width,
    )
    assert found["dark"] == dark, "the colours that were asked for are the ones that were checked"
    assert found["violations"] == []
    # Cells that are scrolled away cannot be seen, so nothing can be said of their contrast.
    unseen = {"color-contrast"} if width == PHONE else set[str]()
    assert {name for name, _ in found["incomplete"]} <= unseen
    assert found["passes"] > 20, "it was really looked at"


def test_axe_would_find_something(tmp_path: Path) -> None:
    spoilt = (
        CASES["as usual"].replace('<html lang="en">', "<html>").replace("--soft: #55606e", "--soft: #ccc")
    )
    found = ask_page(
        spoilt,
        "{ const found = await axe.run(frame.document); return found.violations.map(each => each.id); }",
        tmp_path,
        dark=False,
        width=WIDE,
    )
    assert {"html-has-lang", "color-contrast"} <= set(found)


@pytest.mark.parametrize("width", [WIDE, 320])
def test_nothing_sticks_out_at_the_side(width: int, tmp_path: Path) -> None:
    found = ask_page(
        CASES["as usual"],
        "{ const root = frame.document.documentElement; return [frame.innerWidth, root.scrollWidth]; }",
        tmp_path,
        dark=False,
        width=width,
    )
    assert found == [width, width]


def test_all_that_can_be_used_is_reached_by_the_keyboard_and_shows_it(tmp_path: Path) -> None:
    found = ask_page(
        CASES["as usual"],
        "{ const all = [...frame.document.querySelectorAll('a, [tabindex=\"0\"]')]; const said = [];"
        "for (const each of all) { each.focus({focusVisible: true});"
        "const style = frame.getComputedStyle(each);"
        "said.push([each === frame.document.activeElement, each.tabIndex, style.outlineStyle]); }"
        "const scrolls = [...frame.document.querySelectorAll('*')].filter(each =>"
        "each.scrollWidth > each.clientWidth + 1 && ['auto', 'scroll'].includes("
        "frame.getComputedStyle(each).overflowX) && each.tabIndex < 0);"
        "return {said, scrolls: scrolls.map(each => each.outerHTML.slice(0, 100)),"
        "first: all[0].textContent}; }",
        tmp_path,
        dark=False,
        width=PHONE,
    )
    assert found["first"] == "To the content", "the menu can be skipped"
    assert len(found["said"]) > 10
    for reached, index, outline in found["said"]:
        assert (reached, index, outline) == (True, 0, "solid")
    assert found["scrolls"] == [], "what scrolls can be scrolled by keyboard"
