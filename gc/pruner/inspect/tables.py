"""Tables and lines of text that names chosen by anybody cannot break."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def one_line(text: str) -> str:
    """`text` without what would break a line or command a terminal; bytes that are not UTF-8 stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or "\udc80" <= c <= "\udcff" else ascii(c)[1:-1] for c in text)


def table(rows: Iterable[Sequence[str]], *, right: frozenset[int] | set[int] = frozenset()) -> list[str]:
    """Rows of cells as lines, two spaces between the columns; those numbered in `right` end flush."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
