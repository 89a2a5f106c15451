"""Settings: GC_* variables named after the stack keys, each also an option; an option wins."""

from __future__ import annotations

import pytest

from pruner.errors import ConfigError
from pruner.settings.durations import format_duration, parse_duration
from pruner.settings.policies import parse_policies
from pruner.settings.table import TABLE, Settings, read_settings

GOOD = {
    "period": ("2h", 7200.0),
    "initial_delay": ("0", 0.0),
    "grace": ("15m", 900.0),
    "untagged_after": ("1d", 86400.0),
    "uploads_after": ("0s", 0.0),
    "trash": ("1h30m", 5400.0),
    "mode": ("readonly", "readonly"),
    "max_fraction": ("0.25", 0.25),
    "ops_per_second": ("2000", 2000),
    "retention": ('[{"keepLast": 3}]', parse_policies([{"keepLast": 3}])),
    "protect_running": ("true", True),
    "dangling_tags": ("remove", "remove"),
    "metrics_port": ("9090", 9090),
    "page_port": ("0", 0),
    "repository_metrics": ("true", True),
    "address": ("registry/main", "registry/main"),
    "deployment": ("registry/main", "registry/main"),
    "restart": ("never", "never"),
    "renewals": ("true", True),
    "override": ("fraction, no-tags", frozenset({"fraction", "no-tags"})),
}


def test_defaults_are_those_of_the_stack() -> None:
    settings = read_settings({}, {})
    assert settings == Settings()
    week, day, hour = 604800, 86400, 3600
    assert (settings.period, settings.initial_delay, settings.grace) == (week, 120, hour)
    assert (settings.untagged_after, settings.uploads_after, settings.trash) == (day, day, day)
    assert (settings.mode, settings.max_fraction, settings.dangling_tags) == ("online", 0.5, "keep")
    assert (settings.retention, settings.override) == ((), frozenset())
    assert settings.restart == "auto", "the stack, which knows who restarts, says so"


def test_every_setting_has_a_case() -> None:
    assert {setting.name for setting in TABLE} == set(GOOD) == set(Settings.__dataclass_fields__)


@pytest.mark.parametrize("name", GOOD)
def test_a_variable_and_an_option_mean_the_same_and_the_option_wins(name: str) -> None:
    text, value = GOOD[name]
    variable = "GC_" + name.upper()
    assert getattr(read_settings({}, {variable: text}), name) == value
    assert getattr(read_settings({name: text}, {}), name) == value
    assert getattr(read_settings({name: text}, {variable: "nonsense"}), name) == value
    assert read_settings({name: None}, {variable: ""}) == Settings(), "an empty variable is none"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("period", "0"),
        ("period", "0s"),
        ("period", "tomorrow"),
        ("period", ""),
        ("initial_delay", "-1"),
        ("grace", "1 hour"),
        ("grace", "inf"),
        ("grace", "nan"),
        ("untagged_after", "1y"),
        ("uploads_after", "d"),
        ("trash", "-5m"),
        ("mode", "ReadOnly"),
        ("restart", "always"),
        ("max_fraction", "0"),
        ("max_fraction", "1.01"),
        ("max_fraction", "50%"),
        ("max_fraction", "nan"),
        ("ops_per_second", "-1"),
        ("ops_per_second", "1.5"),
        ("ops_per_second", "fast"),
        ("metrics_port", "-1"),
        ("page_port", "65536"),
        ("repository_metrics", "1"),
        ("address", "registry"),
        ("deployment", "Registry/main"),
        ("retention", "{}"),
        ("retention", '[{"keep": 1}]'),
        ("protect_running", "yes"),
        ("dangling_tags", "drop"),
        ("override", "everything"),
    ],
)
def test_a_wrong_value_is_refused_with_its_source(name: str, text: str) -> None:
    option = "--" + name.replace("_", "-")
    with pytest.raises(ConfigError) as caught:
        read_settings({name: text}, {})
    assert str(caught.value).startswith(f"{option}: ")
    assert caught.value.exit_code == 3
    if text:
        with pytest.raises(ConfigError, match=f"^GC_{name.upper()}: "):
            read_settings({}, {"GC_" + name.upper(): text})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (90, 90.0),
        (0.5, 0.5),
        ("90", 90.0),
        ("90s", 90.0),
        ("15m", 900.0),
        ("1.5h", 5400.0),
        ("7d", 604800.0),
        ("2w", 1209600.0),
        ("1h30m", 5400.0),
        (" 1d12h ", 129600.0),
        ("0", 0.0),
    ],
)
def test_durations(value: object, seconds: float) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(
    "value", ["", "h", "5x", "1h 30", "m5", "-1h", True, None, [], "1e999", -1, float("nan")]
)
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match=r"is not a duration: give a number of seconds"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (9.94, "9.9s"),
        (10, "10s"),
        (61, "1m 1s"),
        (3600, "1h"),
        (93784, "1d 2h"),
        (1209600, "14d"),
    ],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
