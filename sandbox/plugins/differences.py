"""What differs between two objects, and where: the ground of every plugin's `Diff`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias, cast

from sandbox.plugins.values import UNKNOWN, Properties, reveal

Path: TypeAlias = tuple[str | int, ...]
Equal: TypeAlias = Callable[[Path, Any, Any], bool]


class Kind(Enum):
    """How a value differs."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs; `replace` says that the resource cannot follow in place."""

    path: Path
    kind: Kind
    replace: bool = False


def _plainly_equal(_: Path, old: Any, new: Any) -> bool:
    return old == new


def changes(old: Properties, new: Properties, equal: Equal = _plainly_equal) -> list[Change]:
    """Every leaf in which `new` differs from `old`. Secrets are compared by their value, null is absent.

    A value that is still unknown counts as changed. `equal` decides for two leaves that are both known.
    """
    return list(_differences((), reveal(old), reveal(new), equal))


def _differences(path: Path, old: Any, new: Any, equal: Equal) -> Iterator[Change]:
    if old is None and new is None:
        return
    if old is None:
        yield Change(path, Kind.ADD)
    elif new is None:
        yield Change(path, Kind.DELETE)
    elif new is UNKNOWN:
        yield Change(path, Kind.UPDATE)
    elif isinstance(old, dict) and isinstance(new, dict):
        before, after = cast("Properties", old), cast("Properties", new)
        for key in sorted(before.keys() | after.keys()):
            yield from _differences((*path, key), before.get(key), after.get(key), equal)
    elif isinstance(old, list) and isinstance(new, list):
        earlier, later = cast("list[Any]", old), cast("list[Any]", new)
        for index in range(max(len(earlier), len(later))):
            one = earlier[index] if index < len(earlier) else None
            other = later[index] if index < len(later) else None
            yield from _differences((*path, index), one, other, equal)
    elif not equal(path, old, new):
        yield Change(path, Kind.UPDATE)


def touches(change: Change, pattern: Path, old: Properties, new: Properties) -> bool:
    """Whether the change lies at or under `pattern`, or adds or removes something that holds it.

    "*" in the pattern stands for any list index.
    """
    for at, step in zip(change.path, pattern, strict=False):
        if step != at and not (step == "*" and isinstance(at, int)):
            return False
    rest = pattern[len(change.path) :]
    return any(holds(_at(side, change.path), rest) for side in (old, new)) if rest else True


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = reveal(value)
        if isinstance(value, dict) and isinstance(step, str):
            value = cast("Properties", value).get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(cast("list[Any]", value)):
            value = cast("list[Any]", value)[step]
        else:
            return None
    return value


def holds(value: Any, path: Path) -> bool:
    """Whether there is something at the path ("*" for any element of a list)."""
    value = reveal(value)
    if not path:
        return value is not None
    step, rest = path[0], path[1:]
    if step == "*":
        return isinstance(value, list) and any(holds(item, rest) for item in cast("list[Any]", value))
    return isinstance(value, dict) and holds(cast("Properties", value).get(str(step)), rest)


def render(path: Iterable[str | int]) -> str:
    """A property path as the engine writes it: `spec.ports[0].nodePort`, `data["config.yml"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif any(character in step for character in '."[]'):
            quoted = step.replace('"', '\\"')
            text += f'["{quoted}"]'
        else:
            text += f".{step}" if text else step
    return text
