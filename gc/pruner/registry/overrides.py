"""`REGISTRY_*` variables, applied as the registry applies them.

Source of the rules: distribution's configuration/parser.go (v2.8 and v3). After the file is decoded, every
variable, in the order of the names, replaces one value. A struct's fields are found by the names that they
have in Go, and what is not found is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pruner.errors import ConfigError
from pruner.registry.goyaml import INLINE, Schema, Source, StringMap


def override(
    config: dict[str, Any], schema: Mapping[str, Schema], environ: Mapping[str, str], *, inline: bool
) -> None:
    """Apply the variables to `config` in place; raises ConfigError naming a wrong one.

    With `inline` the fields of an inlined struct are found beside those of its struct, as version 3.1 does;
    without it by the inlined struct's own name alone, as 3.0 does.
    """
    for name in sorted(environ):
        if name.startswith("REGISTRY_"):
            _override_struct(
                config, schema, name.split("_")[1:], Source(environ[name], f"the variable {name}"), inline
            )


def _override_struct(
    target: dict[str, Any], schema: Mapping[str, Schema], path: list[str], source: Source, inline: bool
) -> None:
    inner = schema.get(INLINE) if inline else None
    if isinstance(inner, Mapping) and any(name.upper() == path[0] for name in inner):
        target, schema = target[INLINE], inner
    field = next((name for name in schema if name.upper() == path[0]), None)
    if field is None:
        return
    sub = schema[field]
    if len(path) == 1:
        target[field] = source.decode(sub)
    elif isinstance(sub, Mapping):
        _override_struct(target[field], sub, path[1:], source, inline)
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
