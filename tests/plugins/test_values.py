from __future__ import annotations

from typing import Any

import pytest

from sandbox.plugins.differences import Change, Kind, changes, render, touches
from sandbox.plugins.values import UNKNOWN, Secret, carry_secrets, decode, encode, has_unknown, reveal


def test_values_survive_the_way_through_the_protocol() -> None:
    properties: dict[str, Any] = {
        "port": 32000,
        "share": 0.5,
        "on": True,
        "off": False,
        "none": None,
        "later": UNKNOWN,
        "key": Secret({"inner": [1, UNKNOWN]}),
        "list": ["a", {"b": "c"}],
    }
    assert decode(encode(properties)) == properties
    assert isinstance(decode(encode({"port": 32000}))["port"], int)


def test_an_asset_is_no_value() -> None:
    asset = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", "text": "x"}
    with pytest.raises(ValueError, match="assets"):
        decode(encode({"file": asset}))


def test_a_secret_is_not_shown() -> None:
    assert "key" not in repr(Secret("key"))
    assert reveal({"a": [Secret("key")]}) == {"a": ["key"]}
    assert has_unknown(Secret([{"a": UNKNOWN}]))


def test_secrets_are_carried_to_where_they_came_from() -> None:
    like = {"data": {"key": Secret("x"), "name": "y"}, "list": ["a", Secret("b")], "gone": Secret("z")}
    plain = {"data": {"key": "X", "name": "Y"}, "list": ["b", "a"], "status": "fine"}
    assert carry_secrets(plain, like) == {
        "data": {"key": Secret("X"), "name": "Y"},
        "list": Secret(["b", "a"]),
        "status": "fine",
    }


def test_each_change_has_its_path() -> None:
    old = {"a": 1, "b": {"c": [1, 2]}, "d": "x", "same": Secret("s")}
    new = {"a": 2, "b": {"c": [1]}, "e": {"f": 1}, "d": UNKNOWN, "same": "s", "nothing": None}
    assert {(render(change.path), change.kind) for change in changes(old, new)} == {
        ("a", Kind.UPDATE),
        ("b.c[1]", Kind.DELETE),
        ("d", Kind.UPDATE),
        ("e", Kind.ADD),
    }


def test_paths_are_written_as_the_engine_reads_them() -> None:
    assert render(("data", "config.yml")) == 'data["config.yml"]'
    assert render(("spec", "ports", 0, "nodePort")) == "spec.ports[0].nodePort"


@pytest.mark.parametrize(
    ("path", "pattern", "touched"),
    [
        (("data", "key"), ("data",), True),
        (("data",), ("data",), True),
        (("database",), ("data",), False),
        (("spec", "containers", 1, "image"), ("spec", "containers", "*", "image"), True),
        (("spec", "containers", 1, "name"), ("spec", "containers", "*", "image"), False),
        # An added parent touches the pattern only if what it brings does.
        (("spec",), ("spec", "selector"), True),
        (("spec",), ("spec", "absent"), False),
        (("spec",), ("spec", "containers", "*", "image"), True),
        (("spec",), ("spec", "containers", "*", "absent"), False),
    ],
)
def test_a_change_touches_a_pattern(path: Any, pattern: Any, touched: bool) -> None:
    new = {"spec": {"selector": {"a": "b"}, "containers": [{"name": "c", "image": "i"}]}}
    assert touches(Change(path, Kind.ADD), pattern, {}, new) is touched
