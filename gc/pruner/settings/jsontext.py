"""JSON that people write: read strictly, so that a slip is a sentence and not a surprise."""

from __future__ import annotations

import json


def parse_json(text: str, what: str) -> object:
    """The value of `text`. Raises ValueError with a sentence about `what`, also for a doubled key."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError:
        raise ValueError(f"{what} is not JSON that can be read: it is nested too deeply") from None
    except _SlipError as slip:
        raise ValueError(f"{what} has {slip}") from None
    except ValueError as error:
        raise ValueError(f"{what} is not JSON ({error})") from None


class _SlipError(ValueError):
    """Something that JSON's grammar lets pass."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made: dict[str, object] = {}
    for key, value in pairs:
        if key in made:
            raise _SlipError(f"the key {key!r} twice in one object: keep one of them")
        made[key] = value
    return made


def _constant(name: str) -> object:
    raise _SlipError(f"{name}, which is not a number of JSON")
