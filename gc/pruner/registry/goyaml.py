"""YAML as the registry's Go program decodes it into typed fields.

Source of the rules: decode.go and resolve.go of go-yaml v2, which versions 2.8 to 3.1 of the registry use. A
document is a list of assignments in the order of the text: a merge key assigns where it stands, over what
stands before it, and a struct that is given twice is filled twice. What Go ignores is ignored here too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import yaml
from yaml.constructor import ConstructorError

from pruner.errors import ConfigError

Kind: TypeAlias = Literal["string", "int", "duration", "strings", "storage", "auth"]
Schema: TypeAlias = "Kind | Mapping[str, Schema]"
"""The type of a field: a struct is a mapping of its fields, in lower case."""

INLINE = "options"
"""The one field of a struct that Go's tag `inline` flattens: its fields stand beside those of its struct."""

# Keys of `storage` that name no driver.
NOT_DRIVERS = frozenset({"maintenance", "cache", "delete", "redirect", "tag"})

NULL = "tag:yaml.org,2002:null"
_INT = "tag:yaml.org,2002:int"
_MERGE = "tag:yaml.org,2002:merge"
_MERGED_LIMIT = 100_000  # pairs; no configuration has as many, merges of merges reach them quickly
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

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put what merge keys name in their places; PyYAML's own lets every other key win over them."""
        node.value = in_order(node)


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


def in_order(
    node: yaml.MappingNode, around: tuple[yaml.MappingNode, ...] = ()
) -> list[tuple[yaml.Node, yaml.Node]]:
    """The pairs of a mapping in the order in which they are assigned, with merge keys followed.

    Raises yaml.YAMLError for what cannot be merged.
    """
    if any(node is other for other in around):
        raise ConstructorError(problem="a mapping is merged into itself", problem_mark=node.start_mark)
    pairs: list[tuple[yaml.Node, yaml.Node]] = []
    for key, value in node.value:
        if key.tag != _MERGE:
            pairs.append((key, value))
            continue
        # Of several the first one wins, so it is assigned last.
        for source in reversed(value.value) if isinstance(value, yaml.SequenceNode) else [value]:
            if not isinstance(source, yaml.MappingNode):
                raise ConstructorError(
                    problem="a merge key takes mappings alone", problem_mark=value.start_mark
                )
            pairs += in_order(source, (*around, node))
        if len(pairs) > _MERGED_LIMIT:
            raise ConstructorError(problem="merge keys make it too large", problem_mark=node.start_mark)
    return pairs


class Source:
    """One YAML text and where it came from, a file or a variable, for sentences that name file and line."""

    def __init__(self, text: bytes | str, name: str) -> None:
        """Read the first document; raises ConfigError, naming the line, when it is not YAML."""
        self.name = name
        try:
            self._loader = Loader(text)
            # The registry reads the first document and no further.
            self.root: yaml.Node | None = self._loader.get_node() if self._loader.check_node() else None
        except yaml.YAMLError as error:
            raise self._not_yaml(error) from error
        except RecursionError:
            raise ConfigError(f"{name} is nested too deeply to be a configuration") from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"{name} is not UTF-8 text ({error.reason} at byte {error.start})") from error

    def decode(self, schema: Schema) -> Any:
        """The document's value under `schema`; raises ConfigError naming the line of a wrong one."""
        try:
            return self._typed(self.root, schema, "", zero(schema))
        except RecursionError:
            raise ConfigError(f"{self.name} is nested too deeply to be a configuration") from None

    def wrong(self, node: yaml.Node, sentence: str) -> ConfigError:
        """The error for `node`."""
        return ConfigError(f"{self.name}, line {node.start_mark.line + 1}: {sentence}")

    def _not_yaml(self, error: yaml.YAMLError) -> ConfigError:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        return ConfigError(
            f"{self.name}{line}: this is not valid YAML ({getattr(error, 'problem', None) or error})"
        )

    def _pairs(self, node: yaml.Node, key: str) -> list[tuple[str, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, f"{key or 'the configuration'} must be a mapping")
        try:
            pairs = in_order(node)
        except yaml.YAMLError as error:
            raise self._not_yaml(error) from error
        for name, _ in pairs:
            if not isinstance(name, yaml.ScalarNode):
                raise self.wrong(name, "a name must be a single value")
        return [(str(name.value), value) for name, value in pairs]

    def _untyped(self, node: yaml.Node) -> Any:
        try:
            # The stubs leave the node untyped.
            return self._loader.construct_object(node, deep=True)  # pyright: ignore[reportUnknownMemberType]
        except RecursionError:
            raise self.wrong(node, "this value is nested too deeply") from None
        except (yaml.YAMLError, ValueError) as error:
            problem = getattr(error, "problem", None) or error
            raise self.wrong(node, f"this value cannot be read ({problem})") from error

    def _typed(self, node: yaml.Node | None, schema: Schema, key: str, before: Any) -> Any:
        """The value of a field that held `before`: only a struct keeps what is not given again."""
        if node is None or node.tag == NULL:
            return zero(schema)
        if isinstance(schema, Mapping):
            for name, value in self._pairs(node, key):
                self._fill(before, schema, name, value, _join(key, name))
            return before
        if schema in ("storage", "auth"):
            return self._drivers(node, schema)
        if schema == "strings":
            if not isinstance(node, yaml.SequenceNode):
                raise self.wrong(node, f"{key} must be a list")
            return [self._typed(item, "string", key, "") for item in node.value]
        if not isinstance(node, yaml.ScalarNode):
            raise self.wrong(node, f"{key} must be a single value")
        return self._scalar(node, schema, key)

    def _fill(
        self, struct: dict[str, Any], schema: Mapping[str, Schema], name: str, node: yaml.Node, key: str
    ) -> None:
        inner = schema.get(INLINE, {})
        if isinstance(inner, Mapping) and name in inner:
            struct, schema = struct[INLINE], inner
        elif name == INLINE:
            return
        if name in schema:
            struct[name] = self._typed(node, schema[name], key, struct[name])

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
        for name, value in self._pairs(node, kind):
            drivers[name] = self.parameters(value, f"{kind}.{name}")
        named = set(drivers) - (NOT_DRIVERS if kind == "storage" else frozenset())
        if len(named) > 1:
            raise self.wrong(node, f"{kind} names {' and '.join(sorted(named))}: give exactly one")
        return drivers

    def parameters(self, node: yaml.Node | None, key: str) -> StringMap:
        """The parameters of one driver: names with values of any type."""
        if node is None or node.tag == NULL:
            return StringMap()
        return StringMap({name: self._untyped(value) for name, value in self._pairs(node, key)})

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
    """Seconds of a Go duration (`1h2m3.5s`, `300ms`, `-2s`, `0`), or None when it is not one."""
    sign = -1.0 if text.startswith("-") else 1.0
    body = text[1:] if text[:1] in ("-", "+") else text
    parts = _DURATION_PART.findall(body)
    if body == "0":
        return 0.0
    if not parts or "".join(number + unit for number, unit in parts) != body:
        return None
    return sign * sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
