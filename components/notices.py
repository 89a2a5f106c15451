"""Who in the cluster is given notice of the registry: what is accepted of it."""

from __future__ import annotations

import re
from typing import cast

from . import accepted


def namespaces(value: object, own: object) -> tuple[str, ...]:
    """Namespaces of others, each once, and not the registry's `own`. Raises ValueError."""
    found: list[str] = []
    for entry in [] if value is None else cast("list[object]", value) if isinstance(value, list) else [value]:
        if not isinstance(entry, str) or not accepted.LABEL.fullmatch(entry):
            raise ValueError(f"{entry!r} is not a namespace: give a list of those that are to have it")
        if entry == own or entry in found:
            raise ValueError(f"{entry!r} has it already: name it once, and not the registry's own")
        found.append(entry)
    return tuple(found)


def link(value: object) -> str:
    """A link to what people are to read, or `none`. Raises ValueError."""
    if value == "none" or (isinstance(value, str) and re.fullmatch(r"https?://[^\s/]+(/\S*)?", value)):
        return cast("str", value)
    raise ValueError(f"{value!r} is not a link: give one that begins with https://, or none")
