"""Values -> the page, as HTML that needs no script. Everything that anybody may have named is escaped."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from pruner.inspect.report import format_bytes
from pruner.observe import sections
from pruner.observe.html import repositories, sentence
from pruner.observe.sections import Shown
from pruner.observe.style import CSS
from pruner.observe.words import ago
from pruner.settings.durations import format_moment

_STYLE = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
CONTENT_TYPE = "text/html; charset=utf-8"

_SECTIONS = (
    ("storage", "Storage"),
    ("going", "The next run"),
    ("runs", "Last runs"),
    ("trash", "Trash"),
    ("health", "Certificate and disk"),
)


def page(shown: Shown) -> str:
    """The whole page."""
    body = [
        _state(shown),
        _tiles(shown),
        _section("storage", sections.storage(shown.record.snapshot)),
        _section("going", sections.going(shown)),
        _section("runs", sections.runs(shown)),
        _section("trash", sections.trash(shown)),
        _section("health", sections.health(shown)),
    ]
    links = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, title in _SECTIONS)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(shown.title)}</title>\n<link rel="icon" href="data:,">\n<style>{CSS}</style>\n'
        '</head>\n<body>\n<a class="skip" href="#content">To the content</a>\n<header>\n'
        f'<h1>{escape(shown.title)}</h1>\n<p class="lead">{escape(_lead(shown))}</p>\n'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n</header>\n<main id="content" tabindex="-1">\n'
        + "\n".join(body)
        + f"\n</main>\n<footer><p>As of {format_moment(shown.moment)}. This page shows what the last run "
        "wrote down and changes nothing; it does not reload by itself.</p></footer>\n</body>\n</html>\n"
    )


def _lead(shown: Shown) -> str:
    now = shown.now
    if now.activity == "running":
        done = f", {now.count:,} so far" if now.count else ""
        return (
            f"A run is at work since {ago(now.since, shown.moment).removesuffix(' ago')}; it is at "
            f"“{now.phase}” for {ago(now.phase_since, shown.moment).removesuffix(' ago')}{done}."
        )
    last = shown.record.last
    said = f"The last run ended {ago(last.end, shown.moment)}. " if last else "No run has ended yet. "
    return said + (f"The next begins {ago(now.next_run, shown.moment)}." if now.next_run else "")


def _state(shown: Shown) -> str:
    if not shown.concerns:
        word = "Everything is as it should be" if shown.record.last else "Nothing is wrong so far"
        return f'<div class="state good" role="status"><strong>{word}.</strong></div>'
    level = shown.concerns[0].level
    items = "".join(f"<li>{sentence(concern.sentence)}</li>" for concern in shown.concerns)
    title = "This needs someone" if level == "bad" else "Worth a look"
    return f'<div class="state {level}" role="status"><strong>{title}</strong><ul>{items}</ul></div>'


def _tiles(shown: Shown) -> str:
    found, disk = shown.record.snapshot, shown.around.disk
    tiles: list[tuple[str, str, str]] = []
    if found is not None:
        tiles.append(
            ("Stored", format_bytes(found.bytes), f"{found.blobs:,} blobs in {repositories(found.count)}")
        )
        tiles.append(("Saved by sharing", format_bytes(found.saved_bytes), "blobs that several need, once"))
        tiles.append(("A run would remove", format_bytes(found.reclaimable.bytes), "as of the last look"))
        tiles.append(("In the trash", format_bytes(found.trash.bytes), f"{found.trash.count:,} blobs"))
    freed = shown.record.totals.reclaimed_bytes
    tiles.append(("Freed so far", format_bytes(freed), f"by {sum(shown.record.totals.runs.values()):,} runs"))
    if disk is not None:
        tiles.append(("Free on the disk", format_bytes(disk.available), f"of {format_bytes(disk.size)}"))
    cards = "".join(
        f'<div class="tile"><dt>{escape(name)}</dt><dd><div class="figure">{escape(figure)}</div>'
        f'<div class="more">{escape(more)}</div></dd></div>'
        for name, figure, more in tiles
    )
    return f'<dl class="tiles">{cards}</dl>'


def _section(name: str, content: str) -> str:
    title = dict(_SECTIONS)[name]
    return (
        f'<section id="{name}" aria-labelledby="{name}-title">'
        f'<h2 id="{name}-title">{title}</h2>{content}</section>'
    )
