"""Property values: protobuf structs as the provider protocol carries them, and plain Python.

Plain Python is None, bool, int, float, str, list and dict, and two markers: `UNKNOWN` for what only the
update will tell, and `Secret` around a value that must never be shown. Numbers without a fraction become int,
because an API server takes 32000 for a port and not 32000.0.

The marker strings are the protocol's own (pulumi/pulumi, sdk/go/common/resource).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from google.protobuf import struct_pb2

Properties: TypeAlias = dict[str, Any]

_UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SIGNATURE_KEY = "4dabf18193072939515e22adb298388d"
_SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"


class Unknown:
    """A value that is not known before the update."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is kept out of every display and encrypted in the state."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(...)"


def decode(struct: struct_pb2.Struct) -> Properties:
    """A protobuf struct as plain Python. Raises ValueError for what no resource here takes (an asset)."""
    return {key: _decode(value) for key, value in struct.fields.items()}


def _decode(value: struct_pb2.Value) -> Any:
    match value.WhichOneof("kind"):
        case "bool_value":
            return value.bool_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return UNKNOWN if value.string_value == _UNKNOWN_TEXT else value.string_value
        case "list_value":
            return [_decode(item) for item in value.list_value.values]
        case "struct_value":
            fields = value.struct_value.fields
            if _SIGNATURE_KEY not in fields:
                return decode(value.struct_value)
            if fields[_SIGNATURE_KEY].string_value != _SECRET_SIGNATURE:
                raise ValueError("assets, archives and resource references are no input here")
            return Secret(_decode(fields["value"]))
        case _:
            return None


def encode(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Plain Python as a protobuf struct."""
    return struct_pb2.Struct(fields={key: _encode(value) for key, value in properties.items()})


def _encode(value: Any) -> struct_pb2.Value:
    match value:
        case None:
            return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
        case bool():
            return struct_pb2.Value(bool_value=value)
        case int() | float():
            return struct_pb2.Value(number_value=float(value))
        case str():
            return struct_pb2.Value(string_value=value)
        case Unknown():
            return struct_pb2.Value(string_value=_UNKNOWN_TEXT)
        case Secret():
            signed = {_SIGNATURE_KEY: _encode(_SECRET_SIGNATURE), "value": _encode(value.value)}
            return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=signed))
        case list():
            items = [_encode(item) for item in cast("list[Any]", value)]
            return struct_pb2.Value(list_value=struct_pb2.ListValue(values=items))
        case dict():
            return struct_pb2.Value(struct_value=encode(cast("Properties", value)))
        case _:
            raise TypeError(f"no property value: {type(value).__name__}")


def as_dict(value: Any) -> Properties:
    """The value if it is an object, else an empty one."""
    return cast("Properties", value) if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def reveal(value: Any) -> Any:
    """The value without its `Secret` wrappers, at any depth; a copy."""
    match value:
        case Secret():
            return reveal(value.value)
        case list():
            return [reveal(item) for item in cast("list[Any]", value)]
        case dict():
            return {key: reveal(item) for key, item in cast("Properties", value).items()}
        case _:
            return value


def _any(value: Any, test: Callable[[Any], bool]) -> bool:
    match value:
        case _ if test(value):
            return True
        case Secret():
            return _any(value.value, test)
        case list():
            return any(_any(item, test) for item in cast("list[Any]", value))
        case dict():
            return any(_any(item, test) for item in cast("Properties", value).values())
        case _:
            return False


def has_unknown(value: Any) -> bool:
    """Whether anything in the value is unknown."""
    return _any(value, lambda item: item is UNKNOWN)


def has_secret(value: Any) -> bool:
    """Whether anything in the value is a secret."""
    return _any(value, lambda item: isinstance(item, Secret))


def carry_secrets(plain: Properties, like: Properties) -> Properties:
    """`plain` with every value wrapped in `Secret` whose counterpart in `like` is or holds one.

    Objects are walked, so that one secret does not hide a whole object; a list with a secret is secret as a
    whole, for its order may change on the way.
    """
    marked: Properties = {}
    for key, value in plain.items():
        counterpart = like.get(key)
        if isinstance(value, dict) and isinstance(counterpart, dict):
            marked[key] = carry_secrets(cast("Properties", value), cast("Properties", counterpart))
        elif has_secret(counterpart) and not isinstance(value, Secret):
            marked[key] = Secret(value)
        else:
            marked[key] = value
    return marked
