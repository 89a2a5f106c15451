"""Python sources without what nobody runs: strings that stand alone, as docstrings do.

Every statement keeps its line and column, so that tracebacks of the one are true of the other.
"""

from __future__ import annotations

import ast


def lean(source: bytes) -> bytes:
    """The source, in UTF-8, with an empty string for each that stands alone."""
    lines = source.splitlines(keepends=True)
    for text in _alone(ast.parse(source).body):
        first, last = text.lineno - 1, (text.end_lineno or text.lineno) - 1
        rest = lines[last][text.end_col_offset :]
        if rest.strip():
            continue  # another statement or a comment follows
        start = lines[first][: text.col_offset]
        lines[first : last + 1] = [start + b'""\n', *[b"\n"] * (last - first)]
    return b"".join(lines)


def _alone(body: list[ast.stmt]) -> list[ast.Constant]:
    found: list[ast.Constant] = []
    bodies = [body]
    for each in bodies:
        for statement in each:
            bodies.append(getattr(statement, "body", []))
            match statement:
                case ast.Expr(value=ast.Constant(value=str()) as text):
                    found.append(text)
                case _:
                    pass
    return found
