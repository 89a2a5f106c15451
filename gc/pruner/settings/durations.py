"""Durations as people write them: `90`, `90s`, `15m`, `24h`, `7d`, `2w`, `1h30m`."""

from __future__ import annotations

import math
import re
import time

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_ACCEPTED = "a number of seconds, or a duration such as 90s, 15m, 24h, 7d or 1h30m"
LONGEST = 36525 * 86400
"""Seconds: a hundred years. What is longer is a slip, and times it is added to would leave the calendar."""


def parse_duration(value: object) -> float:
    """Seconds of a duration given as a number of seconds or as text.

    Raises ValueError, with a sentence that says what is accepted, for anything else:
    negative, not finite, a boolean, an unknown unit.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{value!r} is not a duration: give {_ACCEPTED}")
    if isinstance(value, str):
        text = value.strip()
        parts = _PART.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            return _checked(sum(float(number) * _UNITS[unit] for number, unit in parts), value)
        try:
            seconds = float(text)
        except ValueError:
            raise ValueError(f"{_shown(value)} is not a duration: give {_ACCEPTED}") from None
        return _checked(seconds, value)
    return _checked(value, value)


def _checked(seconds: float, given: object) -> float:
    if not 0 <= seconds <= LONGEST:
        raise ValueError(f"{_shown(given)} is not a duration: give {_ACCEPTED}, 0 or more and at most 36525d")
    return float(seconds)


def _shown(given: object) -> str:
    text = repr(given)
    return text if len(text) <= 60 else f"{text[:60]}…"


def format_duration(seconds: float) -> str:
    """A duration in its two largest units, such as `2d 3h`, `4m 5s`, `0.3s`."""
    if seconds < 10 or math.isinf(seconds):
        return f"{seconds:.1f}s"
    rest = round(seconds)
    parts: list[str] = []
    for unit, size in reversed(_UNITS.items()):
        if unit != "w" and rest >= size:
            parts.append(f"{rest // size}{unit}")
            rest %= size
    return " ".join(parts[:2])


def format_moment(seconds: float) -> str:
    """A moment (seconds since the epoch) as a date and time, which says the same whenever it is read."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    except (OverflowError, OSError, ValueError):  # a file's time may be anything
        return f"{seconds:.6g} seconds from 1970 on, beyond the calendar"
