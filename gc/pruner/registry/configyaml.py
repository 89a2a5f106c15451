"""YAML and `REGISTRY_*` variables, understood as the registry's Go program understands them.

Source of the rules: distribution's configuration/parser.go (v2.8 and v3) and the resolver of its YAML
library. The registry fills typed fields from the file, then lets every `REGISTRY_*` variable, in the order of
the names, replace one value. What it ignores is ignored here too, so that both see one configuration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import yaml

from pruner.errors import ConfigError

Kind: TypeAlias = Literal["string", "int", "duration", "strings", "storage", "auth"]
Schema: TypeAlias = "Kind | Mapping[str, Schema]"

# Keys of `storage` that name no driver.
NOT_DRIVERS = frozenset({"maintenance", "cache", "delete", "redirect", "tag"})

_NULL = "tag:yaml.org,2002:null"
_INT = "tag:yaml.org,2002:int"
_DURATION_UNITS = {
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ns": 1e-9,
}
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(h|ms|us|µs|μs|ns|m|s)")


class StringMap(dict[str, Any]):
    """A map whose keys the registry types as strings: the only maps that variables can reach into.

    Maps nested in the file are plain dicts: the registry silently leaves those alone.
    """


class Loader(yaml.SafeLoader):
    """PyYAML with the scalars of the registry's YAML library: `y` is true, `12:30` and dates are text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012, PyYAML's own attribute
    bool_values = {**yaml.SafeLoader.bool_values, "y": True, "n": False}  # noqa: RUF012, as above


for _tag, _pattern, _first in (
    (
        "bool",
        r"y|Y|n|N|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF",
        "yYnNtTfFoO",
    ),
    ("int", r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    # The stubs leave the parameters untyped.
    Loader.add_implicit_resolver(  # pyright: ignore[reportUnknownMemberType]
        "tag:yaml.org,2002:" + _tag, re.compile(f"^(?:{_pattern})$"), list(_first)
    )


class _Dumper(yaml.SafeDumper):
    # The reader's rules for plain scalars, or a quoted "y" would come out bare and turn into a boolean.
    yaml_implicit_resolvers = Loader.yaml_implicit_resolvers


class Source:
    """One YAML text and where it came from, a file or a variable, for sentences that name file and line."""

    def __init__(self, text: bytes | str, name: str) -> None:
        """Read the first document; raises ConfigError, naming the line, when it is no YAML."""
        self.name = name
        try:
            self._loader = Loader(text)
            # The registry reads the first document and no further.
            self.root: yaml.Node | None = self._loader.get_node() if self._loader.check_node() else None
        except yaml.YAMLError as error:
            raise self._not_yaml(error) from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{name} is not UTF-8 text ({error.reason} at byte {error.start})") from error

    def decode(self, schema: Schema) -> Any:
        """The document's value under `schema`; raises ConfigError naming the line of a wrong one."""
        return self._typed(self.root, schema, "")

    def wrong(self, node: yaml.Node, sentence: str) -> ConfigError:
        """The error for `node`."""
        return ConfigError(f"{self.name}, line {node.start_mark.line + 1}: {sentence}")

    def _not_yaml(self, error: yaml.YAMLError) -> ConfigError:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        return ConfigError(
            f"{self.name}{line}: this is no valid YAML ({getattr(error, 'problem', None) or error})"
        )

    def _pairs(self, node: yaml.Node, key: str) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, f"{key or 'the configuration'} must be a mapping")
        try:
            self._loader.flatten_mapping(node)
        except yaml.YAMLError as error:
            raise self._not_yaml(error) from error
        for name, _ in node.value:
            if not isinstance(name, yaml.ScalarNode):
                raise self.wrong(name, "a name must be a single value")
        return {str(name.value): value for name, value in node.value}

    def _untyped(self, node: yaml.Node) -> Any:
        try:
            # The stubs leave the node untyped.
            return self._loader.construct_object(node, deep=True)  # pyright: ignore[reportUnknownMemberType]
        except (yaml.YAMLError, ValueError) as error:
            problem = getattr(error, "problem", None) or error
            raise self.wrong(node, f"this value cannot be read ({problem})") from error

    def _typed(self, node: yaml.Node | None, schema: Schema, key: str) -> Any:
        if node is None or node.tag == _NULL:
            return zero(schema)
        if isinstance(schema, Mapping):
            pairs = self._pairs(node, key)
            return {name: self._typed(pairs.get(name), sub, _join(key, name)) for name, sub in schema.items()}
        if schema in ("storage", "auth"):
            return self._drivers(node, schema)
        if schema == "strings":
            if not isinstance(node, yaml.SequenceNode):
                raise self.wrong(node, f"{key} must be a list")
            return [self._typed(item, "string", key) for item in node.value]
        if not isinstance(node, yaml.ScalarNode):
            raise self.wrong(node, f"{key} must be a single value")
        return self._scalar(node, schema, key)

    def _scalar(self, node: yaml.ScalarNode, schema: Kind, key: str) -> Any:
        text = str(node.value)
        if schema == "string":
            return text
        if node.tag == _INT:
            number = int(self._untyped(node))
            return number / 1e9 if schema == "duration" else number
        seconds = go_duration(text) if schema == "duration" else None
        if seconds is None:
            wanted = "a duration such as 60s" if schema == "duration" else "a whole number"
            raise self.wrong(node, f"{key} is {text!r} and must be {wanted}")
        return seconds

    def _drivers(self, node: yaml.Node, kind: Kind) -> StringMap:
        if isinstance(node, yaml.ScalarNode):
            return StringMap({str(node.value): StringMap()})
        drivers = StringMap()
        for name, value in self._pairs(node, kind).items():
            drivers[name] = self.parameters(value, f"{kind}.{name}")
        named = set(drivers) - (NOT_DRIVERS if kind == "storage" else frozenset())
        if len(named) > 1:
            raise self.wrong(node, f"{kind} names {' and '.join(sorted(named))}: give exactly one")
        return drivers

    def parameters(self, node: yaml.Node | None, key: str) -> StringMap:
        """The parameters of one driver: names with values of any type."""
        if node is None or node.tag == _NULL:
            return StringMap()
        return StringMap({name: self._untyped(value) for name, value in self._pairs(node, key).items()})

    def value(self) -> Any:
        """The document as a value of any type; None when it is empty."""
        return None if self.root is None else self._untyped(self.root)


def zero(schema: Schema) -> Any:
    """What a field holds that is not given."""
    if isinstance(schema, Mapping):
        return {name: zero(sub) for name, sub in schema.items()}
    zeros: dict[Kind, Any] = {"string": "", "int": 0, "duration": 0.0, "strings": []}
    return zeros[schema] if schema in zeros else StringMap()


def go_duration(text: str) -> float | None:
    """Seconds of a Go duration (`1h2m3.5s`, `300ms`, `-2s`, `0`), or None when it is none."""
    sign = -1.0 if text.startswith("-") else 1.0
    body = text[1:] if text[:1] in ("-", "+") else text
    parts = _DURATION_PART.findall(body)
    if body == "0":
        return 0.0
    if not parts or "".join(number + unit for number, unit in parts) != body:
        return None
    return sign * sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)


def override(config: dict[str, Any], schema: Mapping[str, Schema], environ: Mapping[str, str]) -> None:
    """Apply the `REGISTRY_*` variables to `config` in place; raises ConfigError naming a wrong one."""
    for name in sorted(environ):
        if name.startswith("REGISTRY_"):
            _override_struct(
                config, schema, name.split("_")[1:], Source(environ[name], f"the variable {name}")
            )


def _override_struct(
    target: dict[str, Any], schema: Mapping[str, Schema], path: list[str], source: Source
) -> None:
    field = next((name for name in schema if name.upper() == path[0]), None)
    if field is None:
        return
    sub = schema[field]
    if len(path) == 1:
        target[field] = source.decode(sub)
    elif isinstance(sub, Mapping):
        _override_struct(target[field], sub, path[1:], source)
    elif sub in ("storage", "auth"):
        _override_drivers(target[field], path[1:], source)
    elif sub == "strings":
        _extend(target[field], path[1], source)


def _override_drivers(drivers: StringMap, path: list[str], source: Source) -> None:
    name = next((name for name in drivers if name.upper() == path[0]), None)
    if len(path) == 1:
        drivers[path[0].lower()] = source.parameters(source.root, path[0].lower())
    elif name is not None:
        _override_map(drivers[name], path[1:], source)
    else:
        created = StringMap()
        _override_map(created, path[1:], source)
        drivers[path[0].lower()] = created


def _override_map(target: StringMap, path: list[str], source: Source) -> None:
    if len(path) == 1:
        target[path[0].lower()] = source.value()
        return
    name = next((name for name in target if name.upper() == path[0] and target[name] is not None), None)
    if name is None:
        created = StringMap()
        _override_map(created, path[1:], source)
        target[path[0].lower()] = created
    elif isinstance(target[name], StringMap):
        _override_map(target[name], path[1:], source)


def _extend(items: list[str], index: str, source: Source) -> None:
    # Version 3 makes room for the element and then drops its value; version 2 ignores the variable.
    if not index.isdecimal() or int(index) > len(items):
        raise ConfigError(f"{source.name} has no list element {index}: set the whole list as YAML instead")
    if int(index) == len(items):
        items.append("")


def with_true(text: bytes, path: list[str]) -> bytes:
    """The YAML `text` with true at `path` and the rest unchanged in meaning; comments and layout are lost.

    Raises ConfigError when `text` is no mapping.
    """
    root = Source(text, "the registry's configuration").root
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError("the registry's configuration is not a mapping, so nothing can be set in it")
    changed = _with_true(root, path)
    # The stubs leave the node untyped.
    return yaml.serialize(changed, Dumper=_Dumper).encode()  # pyright: ignore[reportUnknownMemberType]


def _with_true(node: yaml.Node | None, path: list[str]) -> yaml.Node:
    # Every node on the way is made anew, because an alias may share the old one with other places.
    if not path:
        return yaml.ScalarNode("tag:yaml.org,2002:bool", "true")
    items: list[tuple[yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        copy = yaml.MappingNode(node.tag, list(node.value))
        Loader("").flatten_mapping(copy)
        items = copy.value
    elif isinstance(node, yaml.ScalarNode) and node.tag != _NULL:
        # `storage: filesystem` is short for a driver without parameters.
        items = [(node, yaml.MappingNode("tag:yaml.org,2002:map", [], flow_style=True))]
    inner = next((value for key, value in reversed(items) if key.value == path[0]), None)
    kept = [(key, value) for key, value in items if key.value != path[0]]
    added = (yaml.ScalarNode("tag:yaml.org,2002:str", path[0]), _with_true(inner, path[1:]))
    return yaml.MappingNode("tag:yaml.org,2002:map", [*kept, added], flow_style=False)


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
