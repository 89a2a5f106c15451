"""Objects between the program and the cluster: names, what the state keeps, what a comparison overlooks."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from kubernetes.utils import quantity

from sandbox.plugins.differences import Path
from sandbox.plugins.kubernetes.kinds import Kind
from sandbox.plugins.protocol import Call, PluginError
from sandbox.plugins.values import (
    UNKNOWN,
    Properties,
    Secret,
    as_dict,
    as_list,
    carry_secrets,
    reveal,
)

AUTONAMED = "pulumi.com/autonamed"
DELETION_PROPAGATION = "pulumi.com/deletionPropagationPolicy"
SKIP_AWAIT = "pulumi.com/skipAwait"
TIMEOUT_SECONDS = "pulumi.com/timeoutSeconds"
WAIT_FOR = "pulumi.com/waitFor"

_READ_ONLY = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)
# JSON schema extensions: identifiers in the SDK, so with underscores there and in the state.
_DASHED = (
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
)
_TO_WIRE = {name.replace("-", "_"): name for name in _DASHED}
_TO_STATE = {name: underscored for underscored, name in _TO_WIRE.items()}
_QUANTITIES = frozenset({"limits", "requests", "capacity", "hard", "overhead"})


@dataclass(frozen=True, slots=True)
class Identity:
    """An object's namespace (empty without one) and name, and the id that the state knows it by."""

    namespace: str
    name: str

    @property
    def id(self) -> str:
        """`namespace/name`, or the name alone."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def identity_of(body: Properties) -> Identity:
    """The identity that an object's metadata states."""
    metadata = as_dict(body.get("metadata"))
    return Identity(str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))


def identity_from(resource_id: str) -> Identity:
    """The identity behind an id."""
    namespace, _, name = resource_id.rpartition("/")
    return Identity(namespace, name)


def annotation(body: Properties, key: str) -> str:
    """An annotation's value, empty when it is not set or not known yet."""
    value = as_dict(as_dict(body.get("metadata")).get("annotations")).get(key)
    return value if isinstance(value, str) else ""


def on_wire(value: Any) -> Any:
    """Inputs as the API server takes them: revealed, with dashes where it has them."""
    return _renamed(reveal(value), _TO_WIRE)


def in_state(value: Any) -> Any:
    """What the API server says, as the state and the SDK have it: with underscores there."""
    return _renamed(value, _TO_STATE)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        items = cast("Properties", value).items()
        return {names.get(key, key): _renamed(item, names) for key, item in items if item is not None}
    if isinstance(value, list):
        return [_renamed(item, names) for item in cast("list[Any]", value)]
    return value


def named(call: Call, body: Properties) -> Properties:
    """The inputs with a name: the program's, else the one the last run generated, else a new one.

    A generated name is the resource's with eight hexadecimal digits, and is marked by an annotation, so that
    a replacement can take another. Raises PluginError where a name must be given.
    """
    metadata = body.get("metadata", {})
    if metadata is UNKNOWN or as_dict(metadata).get("name"):
        return body
    metadata = as_dict(metadata)
    if metadata.get("generateName"):
        raise PluginError("metadata.generateName does not work with server-side apply: set metadata.name")
    old = reveal(call.old_inputs)
    if old:
        if annotation(old, AUTONAMED) != "true":
            return body
        name = identity_of(old).name
    elif not call.autonaming:
        raise PluginError("names are not generated in this stack: set metadata.name")
    else:
        digits = hashlib.sha256(call.seed).hexdigest()[:8] if call.seed else secrets.token_hex(4)
        name = call.proposed_name or f"{call.name}-{digits}"
    annotations = metadata.get("annotations", {})
    if annotations is not UNKNOWN:
        annotations = {**as_dict(annotations), AUTONAMED: "true"}
    return {**body, "metadata": {**metadata, "name": name, "annotations": annotations}}


def cleaned(body: Properties) -> Properties:
    """The object without the metadata that the server writes."""
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        return body
    kept = {key: value for key, value in as_dict(metadata).items() if key not in _READ_ONLY}
    return {**body, "metadata": kept}


def guarded(properties: Properties, like: Properties, kind: Kind) -> Properties:
    """The properties with the secrets of `like`, and a Secret's contents secret in any case."""
    marked = carry_secrets(properties, like)
    if kind.is_core("Secret"):
        for key in ("data", "stringData"):
            if marked.get(key) is not None and not isinstance(marked[key], Secret):
                marked[key] = Secret(marked[key])
    return marked


def checkpoint(kind: Kind, inputs: Properties, live: Properties, manager: str) -> Properties:
    """What the state keeps of an object: all of it as it is, the inputs that made it so, its field manager.

    The keys are those of the official plugin, so that either can go on from the other's state.
    """
    state = guarded(in_state(live), inputs, kind)
    state["__inputs"] = inputs
    state["__initialApiVersion"] = kind.api_version
    state["__fieldManager"] = manager
    return state


def equal(path: Path, old: Any, new: Any) -> bool:
    """Whether two values mean the same to the API server: quantities may be written in several ways."""
    if old == new:
        return True
    if not _QUANTITIES.intersection(step for step in path if isinstance(step, str)):
        return False
    parse = cast("Any", quantity).parse_quantity
    try:
        return parse(old) == parse(new)
    except (ValueError, TypeError):
        return False


def observed_inputs(kind: Kind, live: Properties, inputs: Properties) -> Properties:
    """The inputs as the cluster has them: its values, in those fields alone that the program set.

    Without inputs (an import) every field counts but those that only the server writes.
    """
    if not inputs:
        return {key: value for key, value in cleaned(live).items() if key != "status"}
    found = as_dict(_pruned((), live, inputs))
    written = as_dict(inputs.get("stringData"))
    if kind.is_core("Secret") and written:
        data = as_dict(live.get("data"))
        found["stringData"] = {
            key: base64.b64decode(data[key]).decode(errors="replace") for key in written if key in data
        }
    return found


def _says_nothing(value: Any) -> bool:
    return all(map(_says_nothing, as_dict(value).values())) if isinstance(value, dict) else not value


def _pruned(path: Path, live: Any, wanted: Any) -> Any:
    if isinstance(live, dict) and isinstance(wanted, dict):
        have, shape = as_dict(live), as_dict(wanted)
        # The server leaves out what says nothing, such as an explicit false: that is no loss.
        return {
            key: _pruned((*path, key), have[key], value) if key in have else value
            for key, value in shape.items()
            if key in have or _says_nothing(value)
        }
    if isinstance(live, list) and isinstance(wanted, list):
        pairs = zip(as_list(live), as_list(wanted), strict=False)
        return [_pruned((*path, index), one, other) for index, (one, other) in enumerate(pairs)]
    return cast("Any", wanted if equal(path, live, wanted) else live)
