"""What is known of one object, from a listing or from an answer about it alone."""

from __future__ import annotations

from typing import Any, NamedTuple

ORIGIN = "pruner-mtime"
"""The name of the metadata that keeps the time of writing of what was copied."""


class Key(NamedTuple):
    """One object: its key, size in bytes, time of writing in whole seconds since the epoch, and ETag.

    `origin` is the time of writing of what an object of the pruner's is a copy of, where it was asked for by
    itself; a listing does not tell it. Listings tell finer times than headers do on some servers, so that
    only whole seconds can be compared.
    """

    name: str
    size: int
    mtime: float
    etag: str
    origin: float | None = None


class Upload(NamedTuple):
    """A multipart upload that nobody has completed, and when it began (seconds since the epoch)."""

    name: str
    id: str
    began: float


def key_of(item: dict[str, Any]) -> Key:
    """An entry of a listing."""
    return Key(item["Key"], item["Size"], _moment(item), etag_of(item))


def found(name: str, answer: dict[str, Any]) -> Key:
    """What the answer about one object says."""
    origin = answer.get("Metadata", {}).get(ORIGIN)
    return Key(
        name, answer["ContentLength"], _moment(answer), etag_of(answer), float(origin) if origin else None
    )


def _moment(answer: dict[str, Any]) -> float:
    return float(int(answer["LastModified"].timestamp()))


def etag_of(answer: dict[str, Any]) -> str:
    """The ETag without its quotes."""
    return str(answer.get("ETag", "")).strip('"')
