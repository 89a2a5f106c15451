"""The configuration file with one value changed, for the read-only window."""

from __future__ import annotations

import yaml

from pruner.errors import ConfigError
from pruner.registry.goyaml import NULL, Loader, Source, in_order


class _Dumper(yaml.SafeDumper):
    # The reader's rules for plain scalars, or a quoted "y" would come out bare and turn into a boolean.
    yaml_implicit_resolvers = Loader.yaml_implicit_resolvers


def with_true(text: bytes, path: list[str]) -> bytes:
    """The YAML `text` with true at `path` and the rest unchanged in meaning; comments and layout are lost.

    Raises ConfigError when `text` is not a mapping.
    """
    root = Source(text, "the registry's configuration").root
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError("the registry's configuration is not a mapping, so nothing can be set in it")
    try:
        changed = _with_true(root, path)
        # The stubs leave the node untyped.
        return yaml.serialize(changed, Dumper=_Dumper).encode()  # pyright: ignore[reportUnknownMemberType]
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"the registry's configuration cannot be written anew ({error})") from error


def _with_true(node: yaml.Node | None, path: list[str]) -> yaml.Node:
    # Every node on the way is made anew, because an alias may share the old one with other places.
    if not path:
        return yaml.ScalarNode("tag:yaml.org,2002:bool", "true")
    items: list[tuple[yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        items = in_order(node)
    elif isinstance(node, yaml.ScalarNode) and node.tag != NULL:
        # `storage: filesystem` is short for a driver without parameters.
        items = [(node, yaml.MappingNode("tag:yaml.org,2002:map", [], flow_style=True))]
    inner = next((value for key, value in reversed(items) if key.value == path[0]), None)
    kept = [(key, value) for key, value in items if key.value != path[0]]
    added = (yaml.ScalarNode("tag:yaml.org,2002:str", path[0]), _with_true(inner, path[1:]))
    return yaml.MappingNode("tag:yaml.org,2002:map", [*kept, added], flow_style=False)
