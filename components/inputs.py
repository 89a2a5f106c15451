"""Values as they are given: now or by another resource, as objects of ours or as the mappings of others."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import pulumi

from . import accepted

T = TypeVar("T")
A = TypeVar("A")


def known(value: pulumi.Input[T] | None) -> T | None:
    """The value, or None if another resource gives it."""
    return None if value is None or comes(value) else cast(T, value)


def comes(value: object) -> bool:
    """Whether another resource gives the value, so that it is not known yet."""
    return isinstance(value, pulumi.Output) or inspect.isawaitable(value)


def later(value: Any, parse: Callable[[Any], T]) -> pulumi.Input[T]:
    """The parsed value, now if it is known, else once it is. Raises what `parse` raises."""
    return pulumi.Output.from_input(value).apply(parse) if comes(value) else parse(value)


def endpoint(host: str, port: float) -> str:
    """host:port as an address is written, an IPv6 one in brackets."""
    # A number from elsewhere comes as 32000.0.
    port = int(port)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def together(one: Any, other: Any, parse: Callable[[Any, Any], T]) -> pulumi.Input[T]:
    """The same of two values of which neither says enough alone."""
    if comes(one) or comes(other):
        return pulumi.Output.all(one, other).apply(lambda both: parse(*both))
    return parse(one, other)


def made(
    kind: type[A], given: A | Mapping[str, Any], called: Callable[[str], str] = accepted.camel_case
) -> A:
    """The dataclass of which `given` has the fields; other languages, and configuration, give mappings.

    `called` is what people call a field; a mapping may have either name. Raises ValueError for another key.
    """
    if isinstance(given, kind):
        return given
    names = {called(field.name): field.name for field in dataclasses.fields(cast("Any", kind))}
    if not isinstance(given, Mapping):
        raise ValueError(f"{given!r} is not an object: give one with some of {', '.join(names)}")
    fields = {names.get(key, key): value for key, value in cast("Mapping[str, Any]", given).items()}
    if strangers := sorted(set(fields) - set(names.values())):
        raise ValueError(f"{strangers[0]!r} is not a key here: the keys are {', '.join(names)}")
    return kind(**fields)
