"""A plugin's log that remembers."""

from __future__ import annotations


class RecordingLog:
    """What a plugin said, in the place of the engine's display."""

    def __init__(self) -> None:
        self.address = ""
        self.warnings: list[str] = []
        self.statuses: list[str] = []

    def connect(self, address: str) -> None:
        self.address = address

    def warning(self, message: str, urn: str = "") -> None:
        del urn
        self.warnings.append(message)

    def status(self, message: str, urn: str) -> None:
        del urn
        self.statuses.append(message)
