"""Durations as people write them: `90`, `90s`, `15m`, `24h`, `7d`, `2w`, `1h30m`."""

from __future__ import annotations

import math
import re
import time

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_ACCEPTED = "a number of seconds, or a duration such as 90s, 15m, 24h, 7d or 1h30m"


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
            return float(sum(float(number) * _UNITS[unit] for number, unit in parts))
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a duration: give {_ACCEPTED}") from None
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{value!r} is not a duration: give {_ACCEPTED}, and not below 0")
    return float(value)


def format_duration(seconds: float) -> str:
    """A duration in its two largest units, such as `2d 3h`, `4m 5s`, `0.3s`."""
    if seconds < 10:
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
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
