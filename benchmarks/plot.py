"""Bars as an SVG that reads well on light and dark pages, drawn without a library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH, _LABELS, _ROW, _GAP, _TITLE = 760, 270, 24, 18, 30  # pixels
_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.ours { fill: #1a7f64 } .theirs { fill: #8c959f } .floor { fill: #bf8700 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .ours { fill: #3fb68b } .theirs { fill: #6e7681 } .floor { fill: #d29922 }
}"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; `kind` is `ours`, `theirs` or `floor`."""

    label: str
    value: float
    kind: str


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars on one scale."""

    title: str
    bars: Sequence[Bar]


def draw(panels: Sequence[Panel], unit: str) -> str:
    """The panels, one below the other; values are shown with the `unit`."""
    parts: list[str] = []
    top = 0
    for panel in panels:
        parts.append(f'<text class="title" x="0" y="{top + 19}">{escape(panel.title)}</text>')
        top += _TITLE
        most = max(bar.value for bar in panel.bars)
        for bar in panel.bars:
            length = max(1.0, (_WIDTH - _LABELS - 80) * bar.value / most)
            middle = top + _ROW / 2 + 4
            parts.append(
                f'<text x="{_LABELS - 8}" y="{middle}" text-anchor="end">{escape(bar.label)}</text>'
                f'<rect class="{bar.kind}" x="{_LABELS}" y="{top + 3}" width="{length:.1f}" '
                f'height="{_ROW - 6}" rx="2"/>'
                f'<text x="{_LABELS + length + 6:.1f}" y="{middle}">{bar.value:.2f} {escape(unit)}</text>'
            )
            top += _ROW
        top += _GAP
    height = top - _GAP
    said = escape("; ".join(panel.title for panel in panels))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" role="img" aria-label="{said}">'
    )
    return "\n".join([head, f"<style>{_STYLE}</style>", *parts, "</svg>", ""])
