"""The stack configuration as a JSON schema, by which editors complete and check Pulumi.<stack>.yaml.

It is made of the args, of their docstrings, and of what the program says of a wrong value: a key cannot be
described here otherwise than it is read. `python -m docker_registry_stack.editors` prints it.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
from collections.abc import Awaitable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, ForwardRef, Union, cast, get_args, get_origin

from . import accepted, args, objects
from .accepted import camel_case
from .args import DockerRegistryArgs
from .settings import KEYS, SettingsError, settle

PROJECT = "docker-registry"

_SECURE = {
    "type": "object",
    "properties": {"secure": {"type": "string"}},
    "required": ["secure"],
    "additionalProperties": False,
    "description": "A secret, as `pulumi config set --secret` writes it",
}
_NUMBER = r"[0-9]+(\.[0-9]+)?"
_NODE_PORT = "3[01][0-9]{3}|32[0-6][0-9]{2}|327[0-5][0-9]|3276[0-7]"
_FLAG = {"enum": [True, False, "true", "false"]}


def _text(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^({pattern})$"}


def _number(kind: str, pattern: str, **limits: float) -> dict[str, Any]:
    """A number, which may come as text."""
    return {"anyOf": [{"type": kind, **limits}, _text(pattern)]}


# What the program says of a wrong value -> what it accepts.
_SAID: tuple[tuple[str, dict[str, Any]], ...] = (
    ("is neither true nor false|give true or false", _FLAG),
    ("is not a duration", _number("number", rf"\s*({_NUMBER}|({_NUMBER}[smhdw])+)\s*", minimum=0)),
    (
        "is not a fraction",
        _number("number", r"0?\.[0-9]*[1-9][0-9]*|1(\.0*)?", exclusiveMinimum=0, maximum=1),
    ),
    ("is not a NodePort", _number("integer", _NODE_PORT, minimum=30000, maximum=32767)),
    ("give an integer from 1 to 65535", _number("integer", "[0-9]{1,5}", minimum=1, maximum=65535)),
    ("give a whole number, 0 or more", {"type": "integer", "minimum": 0}),
    ("give 1 or more, or 0 for no limit", _number("integer", "[0-9]+", minimum=0)),
    ("give a number of seconds", _number("integer", "[0-9]+", minimum=0)),
    ("is not an image reference", _text(accepted.IMAGE.pattern)),
    ("is not a namespace", _text(accepted.LABEL.pattern)),
    ("is not a DNS name", _text(rf"{accepted.LABEL.pattern}(\.{accepted.LABEL.pattern})*")),
    ("is not a host", _text(r"[A-Za-z0-9.:-]+")),
    ("give an absolute path", _text("/.+")),
    ("give a whole number above 0 and a unit", _text(accepted.SIZE.pattern)),
    ("is not a quantity", _text(accepted.QUANTITY.pattern)),
    ("give at most 63 letters", _text(f"({accepted.LABEL_VALUE.pattern})?")),
    ("give the claim that", _text("c[0-9a-f]{7}")),
    ("give 'keep' or 'after DURATION'", _text("keep|after .+")),
)
# And where it names each of what it accepts.
_CHOICES = re.compile(r"(?:is not known: give|has '\?': give a list of) (.+)$")

# What some fields are looked at only beside: each of these is tried in turn, by the object that has it.
_BESIDE: tuple[Mapping[str, Mapping[str, Any]], ...] = (
    {},
    {"exposure": {"kind": "LoadBalancer"}, "tolerations": {"key": "a"}},
    {"storage": {"kind": "persistentVolumeClaim", "size": "1Gi"}},
    {"storage": {"kind": "persistentVolumeClaim"}},
)
_HOSTS = {"external_hosts": ["a.example"]}

_PRIMITIVES: Mapping[Any, Any] = {
    str: {"type": "string"},
    int: {"type": ["integer", "string"]},
    float: {"type": ["number", "string"]},
    bool: _FLAG,
}


class _Maker:
    """Makes the schema, and the definitions of the objects that it refers to."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {"secure": _SECURE}
        self._told = _docstrings()

    def keys(self) -> dict[str, Any]:
        """The schema of each key of the configuration."""
        return self._fields(DockerRegistryArgs, ())

    def _fields(self, kind: Any, path: tuple[str, ...]) -> dict[str, Any]:
        return {
            camel_case(field.name): {
                "description": self._told[kind.__name__][field.name],
                **_default(field),
                "anyOf": [self._value(field.type, (*path, field.name)), _ref("secure")],
            }
            for field in dataclasses.fields(kind)
        }

    def _value(self, hint: Any, path: tuple[str, ...]) -> dict[str, Any]:
        hint = _plain(hint)
        inner = get_args(hint)
        if get_origin(hint) is list:
            items = self._value(inner[0], (*path, "[]"))
            several = {"type": "array", "items": items}
            # Globs are a list, or one alone.
            return {"anyOf": [several, items]} if path[0] == "retention" and len(path) > 1 else several
        if get_origin(hint) is dict:
            return {"type": "object", "additionalProperties": self._value(inner[1], (*path, "{}"))}
        if dataclasses.is_dataclass(hint):
            name = cast("Any", hint).__name__
            if name not in self.definitions:
                self.definitions[name] = {}
                fields = self._fields(hint, path)
                self.definitions[name] = {
                    "type": "object",
                    "description": self._told[name][""],
                    "properties": fields,
                    "additionalProperties": False,
                }
            return _ref(name)
        if hint is Any:
            return {}
        accepts = _said(path) or _PRIMITIVES[hint]
        if path[-1] == "{}":
            return {"anyOf": [accepts, _ref("secure")]}
        # A key's own value is text to the program, whatever it looks like in YAML.
        return {"type": ["string", "number"]} if len(path) == 1 and accepts == _PRIMITIVES[str] else accepts


def schema() -> dict[str, Any]:
    """The schema of a Pulumi.<stack>.yaml. Keys of others, such as the provider's, are left alone."""
    maker = _Maker()
    keys = maker.keys()
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "The configuration of a stack of docker-registry",
        "type": "object",
        "properties": {
            "config": {
                "type": ["object", "null"],
                "properties": {f"{PROJECT}:{key}": keys[key] for key in KEYS},
                "propertyNames": {
                    "if": {"pattern": f"^{PROJECT}:"},
                    "then": {"enum": [f"{PROJECT}:{key}" for key in KEYS]},
                },
            }
        },
        "definitions": maker.definitions,
    }


def text() -> str:
    """The same as the file that is kept."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _said(path: tuple[str, ...]) -> dict[str, Any] | None:
    """What the program says that it accepts at `path`; None if it takes the probe, or says nothing known."""
    hosts = _HOSTS if path[0] == "exposure" else {}
    for beside in _BESIDE:
        try:
            settle({**hosts, path[0]: _wrong(path[0], path[1:], beside)})
        except SettingsError as error:
            if accepts := _understood(error.problems[0]):
                return accepts
    return None


def _understood(problem: str) -> dict[str, Any] | None:
    for words, accepts in _SAID:
        if re.search(words, problem):
            return accepts
    found = _CHOICES.search(problem)
    return {"enum": re.split(" or |, ", found[1])} if found else None


def _wrong(within: str, path: Sequence[str], beside: Mapping[str, Mapping[str, Any]]) -> Any:
    """A value of the object or list `within` that is wrong at `path`, and nowhere else."""
    if not path:
        return "?"
    name, *below = path
    if name == "[]":
        return [_wrong(within, below, beside)]
    if name == "{}":
        return {"a": _wrong(within, below, beside)}
    return {**beside.get(within, {}), name: _wrong(name, below, beside)}


def _plain(hint: Any) -> Any:
    """The type of the value itself: not None, and nothing that only a program can give."""
    if get_origin(hint) not in (Union, UnionType):
        return hint
    inner = [each for each in get_args(hint) if each is not NoneType and not isinstance(each, ForwardRef)]
    (plain,) = [each for each in inner if get_origin(each) is not Awaitable]
    return _plain(plain)


def _default(field: Any) -> dict[str, Any]:
    value = field.default
    return {} if value is None or dataclasses.is_dataclass(value) else {"default": value}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/definitions/{name}"}


def _docstrings() -> dict[str, dict[str, str]]:
    """Class of args -> field -> its docstring; the class's own is that of the empty name."""
    found: dict[str, dict[str, str]] = {}
    for made in [part for module in (args, objects) for part in ast.parse(inspect.getsource(module)).body]:
        if not isinstance(made, ast.ClassDef):
            continue
        told = found[made.name] = {"": ast.get_docstring(made) or ""}
        for field, said in zip(made.body, made.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(said, ast.Expr):
                told[ast.unparse(field.target)] = cast("str", cast("ast.Constant", said.value).value)
    return found


if __name__ == "__main__":
    print(text(), end="")
