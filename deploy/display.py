"""What the engine does, as lines to read: a line a resource, and whatever it complains of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Operation -> what is said when it is done, and what when it is only planned; the rest is no one's news.
_DONE = {
    "create": ("created", "to create"),
    "update": ("updated", "to update"),
    "delete": ("deleted", "to delete"),
    "create-replacement": ("replaced", "to replace"),
    "delete-replaced": ("deleted the replaced", "to delete the replaced"),
    "import": ("imported", "to import"),
    "import-replacement": ("imported in place of the old", "to import in place of the old"),
    "same": ("unchanged", "unchanged"),
}
_SILENT = ("same",)  # counted at the end
_MARKUP = re.compile(r"<\{%.*?%\}>")  # how the engine says colours
_SHOWN = ("info", "info#err", "warning", "error")


@dataclass(slots=True)
class Display:
    """Turns events of one engine into lines.

    A warning that `hush` matches is left out: it speaks of what the caller arranged. Errors never are.
    """

    hush: re.Pattern[str] | None = None
    errors: list[str] = field(default_factory=list[str])
    _began: dict[str, float] = field(default_factory=dict[str, float])
    _told: set[str] = field(default_factory=set[str])
    _counts: dict[str, int] = field(default_factory=dict[str, int])

    def lines(self, event: Mapping[str, Any]) -> Sequence[str]:
        """What one event has to say, which is often nothing."""
        if said := event.get("diagnosticEvent"):
            return self._diagnostic(said)
        if begun := event.get("resourcePreEvent"):
            self._began[begun["metadata"]["urn"]] = float(event.get("timestamp", 0))
            return ()
        if ended := event.get("resOutputsEvent"):
            return self._resource(event, ended)
        if failed := event.get("resOpFailedEvent"):
            return (f"failed      {_label(failed['metadata'])}",)
        return self._summary() if "summaryEvent" in event else ()

    def _diagnostic(self, said: Mapping[str, Any]) -> Sequence[str]:
        severity, text = said["severity"], _MARKUP.sub("", said["message"]).strip()
        if severity not in _SHOWN or not text or (said.get("ephemeral") and severity != "error"):
            return ()
        if severity == "error":
            self.errors.append(text)
        elif self.hush and self.hush.search(text):
            return ()
        urn = said.get("urn", "")
        about = "" if not urn or _is_stack(urn) else f"{_name(urn)}: "
        word = "" if severity.startswith("info") or text.startswith(f"{severity}:") else f"{severity}: "
        return [
            f"{word}{about}{line}" if n == 0 else f"    {line}" for n, line in enumerate(text.splitlines())
        ]

    def _resource(self, event: Mapping[str, Any], said: Mapping[str, Any]) -> Sequence[str]:
        what, planned = said["metadata"], bool(said.get("planning"))
        # A preview tells of a component twice.
        if what["op"] not in _DONE or what["type"].startswith("pulumi:") or what["urn"] in self._told:
            return ()
        if what["op"] != "delete-replaced":
            self._told.add(what["urn"])
        word = _DONE[what["op"]][planned]
        self._counts[word] = self._counts.get(word, 0) + 1
        if what["op"] in _SILENT:
            return ()
        now = float(event.get("timestamp", 0))
        seconds = now - self._began.get(what["urn"], now)
        state: Mapping[str, Any] = what.get("new") or what.get("old") or {}
        # A component's time is that of the program.
        took = f" ({seconds:.0f} s)" if state.get("custom") and not planned and seconds >= 1 else ""
        because = f" (for its {', '.join(what['diffs'])})" if planned and what.get("diffs") else ""
        return (f"{word:<11} {_label(what)}{because}{took}",)

    def _summary(self) -> Sequence[str]:
        counted = ", ".join(f"{count} {word}" for word, count in self._counts.items())
        self._counts.clear()
        return (f"Resources: {counted or 'none'}",)


def _label(what: Mapping[str, Any]) -> str:
    return f"{what['type'].rpartition(':')[2]} {_name(what['urn'])}"


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def _is_stack(urn: str) -> bool:
    return "::pulumi:pulumi:Stack::" in urn
