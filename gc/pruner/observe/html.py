"""Pieces of markup: tables, bars and the like. Whatever is not markup already is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from pruner.inspect.report import format_bytes
from pruner.observe.record import Run


class Html(str):
    """Text that is markup already; everything else is escaped."""


class Cell(NamedTuple):
    """A cell of a table: its content, and its class."""

    content: str
    kind: str = ""


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[Cell]], empty: str) -> str:
    """A table; a head may name its column's class after a bar. The first cell of a row is its header."""
    lines = list(rows)
    if not lines:
        return none(empty)
    columns = [(title, kind) for title, _, kind in (head.partition("|") for head in heads)]
    head = "".join(f'<th scope="col"{_class(kind)}>{escape(title)}</th>' for title, kind in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row"{_class(cell.kind)}>{_content(cell)}</th>'
            if number == 0
            else f"<td{_class(cell.kind)}>{_content(cell)}</td>"
            for number, cell in enumerate(cells)
        )
        + "</tr>"
        for cells in lines
    )
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _content(cell: Cell) -> str:
    return cell.content if isinstance(cell.content, Html) else escape(cell.content)


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def sentence(text: str) -> str:
    """A sentence with what stands between backquotes as code."""
    parts = text[:1].upper() + text[1:]
    pieces = parts.split("`")
    if len(pieces) % 2 == 0:
        return escape(parts)
    return "".join(
        f"<code>{escape(piece)}</code>" if number % 2 else escape(piece)
        for number, piece in enumerate(pieces)
    )


def none(said: str) -> str:
    """What stands where there is nothing to list."""
    return f'<p class="none">{escape(said)}</p>'


def digest(text: str) -> Html:
    """A digest as code."""
    return Html(f'<code class="digest">{escape(text)}</code>')


def repositories(count: int) -> str:
    """How many, in words."""
    return f"{count:,} {'repository' if count == 1 else 'repositories'}"


def bar(own: int, shared: int, most: int) -> Html:
    """Two parts of a bar that is as long as `most`; a picture of figures that stand beside it."""
    scale = 100 / most if most else 0.0
    return Html(
        '<svg class="use" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="ground" width="100" height="10" rx="1"/>'
        f'<rect class="also" width="{(own + shared) * scale:.2f}" height="10" rx="1"/>'
        f'<rect class="own" width="{own * scale:.2f}" height="10" rx="1"/></svg>'
    )


def growth(runs: Sequence[Run]) -> str:
    """The stored bytes after each run as bars, and in words; empty before there are two."""
    measured = [run for run in runs if run.stored_bytes]
    if len(measured) < 2:
        return ""
    most = max(run.stored_bytes for run in measured)
    width = 100 / len(measured)
    bars = "".join(
        f'<rect x="{number * width + width * 0.1:.2f}" width="{width * 0.8:.2f}" '
        f'y="{100 - 100 * run.stored_bytes / most:.2f}" height="{100 * run.stored_bytes / most:.2f}"/>'
        for number, run in enumerate(measured)
    )
    grown = measured[-1].stored_bytes - measured[0].stored_bytes
    said = (
        f"{'Grown' if grown >= 0 else 'Shrunk'} by {format_bytes(abs(grown))} over {len(measured)} runs, "
        f"from {format_bytes(measured[0].stored_bytes)} to {format_bytes(measured[-1].stored_bytes)}"
    )
    return (
        f"<p>{said}.</p>"
        f'<svg class="growth" viewBox="0 0 100 100" preserveAspectRatio="none" role="img" '
        f'aria-label="Stored bytes after each run. {said}.">{bars}</svg>'
    )


def command(words: str) -> str:
    """A command that can be copied."""
    return f'<pre tabindex="0" role="group" aria-label="Command"><code>{escape(words)}</code></pre>'
