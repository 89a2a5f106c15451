"""What the pruner says of a registry in the status of its address resource, as the definition declares it.

Every field may be left out: an older pruner does not know it, and one without the right to it says nothing.
"""

from __future__ import annotations

from typing import Any

SUBRESOURCES: dict[str, Any] = {"status": {}}


def _field(kind: str, description: str, **more: str) -> dict[str, Any]:
    return {"type": kind, "description": description, **more}


def _moment(description: str) -> dict[str, Any]:
    return _field("string", description, format="date-time")


SCHEMA: dict[str, Any] = {
    **_field("object", "What the pruner beside the registry says"),
    "properties": {
        "phase": _field("string", "What the pruner is at: waiting, or the phase of a run"),
        "phaseSince": _moment("Since when it is at that"),
        "nextRun": _moment("When the next run begins; not there while one is at work"),
        "lastRun": _moment("When the last run ended"),
        "lastResult": _field("string", "How it ended: done, refused, failed or stopped"),
        "lastMessage": _field("string", "What it says of itself"),
        "freedBytes": _field("integer", "What it removed, in bytes", format="int64"),
        "storedBytes": _field("integer", "What is stored, each blob once, in bytes", format="int64"),
        "stored": _field("string", "The same in words"),
        "trashBytes": _field("integer", "What lies in the trash, in bytes", format="int64"),
        "certificateEnds": _moment("When the certificate ends that the registry serves"),
        "conditions": {
            **_field("array", "Ready, Pruning and Degraded"),
            "items": {
                **_field("object", "A condition, as Kubernetes has them"),
                "properties": {
                    "type": _field("string", "Its name"),
                    "status": _field("string", "True, False or Unknown"),
                    "reason": _field("string", "Why, in a word"),
                    "message": _field("string", "Why, in a sentence"),
                    "lastTransitionTime": _moment("Since when its status is what it is"),
                },
                "required": ["type", "status"],
            },
        },
    },
}

COLUMNS: tuple[tuple[str, str, str, str, int], ...] = (
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether the registry answers", 0),
    ("Doing", "string", ".status.phase", "What the pruner is at", 0),
    ("Since", "date", ".status.phaseSince", "Since when it is at that", 0),
    ("Last-Run", "date", ".status.lastRun", "When the last run ended", 0),
    ("Result", "string", ".status.lastResult", "How it ended", 0),
    ("Stored", "string", ".status.stored", "What is stored, each blob once", 0),
    ("Degraded", "string", '.status.conditions[?(@.type=="Degraded")].reason', "What needs someone", 1),
    ("Certificate", "string", ".status.certificateEnds", "When the certificate ends", 1),
)
"""Columns of `kubectl get`: name, type, path, description and priority."""
