"""The one failure of the sandbox that is meant for people."""

from __future__ import annotations


class SandboxError(Exception):
    """One sentence: what is wrong, where, and the way out."""
