"""Which field manager owns what: the ground of server-side apply."""

from __future__ import annotations

import secrets

from sandbox.plugins.kubernetes.objects import annotation
from sandbox.plugins.values import Properties, as_dict, as_list, reveal

FIELD_MANAGER = "pulumi.com/patchFieldManager"
FORCE = "pulumi.com/patchForce"

# The manager of what is made by a plain create, before the first apply.
CREATOR = "pulumi-kubernetes"
# Managers whose fields an apply takes over: the creation's, and plain `kubectl`.
_TAKEN_OVER = frozenset({CREATOR, "kubectl", "before-first-apply"})


def manager_of(state: Properties, inputs: Properties) -> str:
    """The field manager: the annotation's, the state's, or a new one for this resource alone."""
    stated = annotation(inputs, FIELD_MANAGER) or reveal(state.get("__fieldManager"))
    return stated or f"pulumi-kubernetes-{secrets.token_hex(4)}"


def handed_over(live: Properties, manager: str) -> list[Properties] | None:
    """The managed fields with those of the creation given to `manager`; None when there is nothing to give.

    Without it a field that the program drops would stay: the creation would go on owning it.
    """
    entries = [as_dict(entry) for entry in as_list(as_dict(live.get("metadata")).get("managedFields"))]
    moving = [entry for entry in entries if _moves(entry)]
    if not moving:
        return None
    own = [
        entry for entry in entries if entry.get("manager") == manager and entry.get("operation") == "Apply"
    ]
    fields: Properties = {}
    for entry in (*own, *moving):
        fields = _united(fields, as_dict(entry.get("fieldsV1")))
    merged = {**moving[0], "manager": manager, "operation": "Apply", "fieldsV1": fields}
    return [merged, *(entry for entry in entries if entry not in moving and entry not in own)]


def _moves(entry: Properties) -> bool:
    taken = entry.get("manager") in _TAKEN_OVER and not entry.get("subresource")
    return taken and entry.get("operation") == "Update"


def _united(one: Properties, other: Properties) -> Properties:
    united = dict(one)
    for key, value in other.items():
        united[key] = _united(as_dict(united[key]), as_dict(value)) if key in united else value
    return united
