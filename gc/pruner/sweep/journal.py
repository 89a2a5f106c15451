"""The journal of what a run takes away: a line for the run, one for each link, one for the decision.

Lines are JSON. A line that was cut short by a crash or a full disk was not acted upon and is left out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from pruner.decide.plan import Kind, Removal
from pruner.tree import layout
from pruner.tree.model import Link


@dataclass(frozen=True, slots=True)
class Held:
    """A link that is away: the place where it lies now, and the removal that took it there."""

    place: str
    removal: Removal


@dataclass(frozen=True, slots=True)
class Journal:
    """What a journal says; `decided` links stay away if the run ends here. `run` is the run's name."""

    run: str = ""
    held: tuple[Held, ...] = ()
    decided: bool = False


def head(run: str) -> bytes:
    """How the journal of a run begins."""
    return _line({"run": run})


def records(number: int, links: Sequence[Removal]) -> bytes:
    """The lines of links, the first of which is the `number`-th; to be written before they are taken away."""
    return b"".join(_record(number + at, removal) for at, removal in enumerate(links))


def decision() -> bytes:
    """The line after which the links stay away."""
    return _line({"phase": "decided"})


def read(content: bytes, folder: str) -> Journal:
    """What the journal of the folder of takings says."""
    run = ""
    held: list[Held] = []
    decided = False
    for line in content.split(b"\n")[:-1]:
        try:
            record = json.loads(line)
            run = str(record.get("run", run))
            decided = decided or record.get("phase") == "decided"
            if "hold" in record:
                held.append(Held(place(folder, int(record["hold"])), _removal(record)))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return Journal(run, tuple(held), decided)


def place(folder: str, number: int) -> str:
    """Where the `number`-th link of a journal lies."""
    return f"{folder}/held/{number}"


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _record(number: int, removal: Removal) -> bytes:
    return _line(
        {
            "hold": number,
            "kind": removal.kind,
            "repository": removal.repository,
            **({"tag": removal.tag} if removal.tag else {}),
            "path": removal.path,
            "digest": removal.digest,
            "mtime": removal.link.mtime if removal.link is not None else 0.0,
        }
    )


def _removal(record: dict[str, Any]) -> Removal:
    path, digest, mtime = str(record["path"]), str(record["digest"]), float(record["mtime"])
    if "kind" in record:
        kind, repository = cast("Kind", record["kind"]), str(record["repository"])
        tag = str(record.get("tag", ""))
    else:
        kind, repository, tag = _of_path(path)
    return Removal(kind, repository, digest, path, 0, "", tag, Link(path, digest, digest, mtime))


def _of_path(path: str) -> tuple[Kind, str, str]:
    """Kind, repository and tag of a link in a journal of version 0.1.0, which has the path alone."""
    repository, _, below = path.removeprefix(f"{layout.REPOSITORIES}/").partition("/_")
    if below.startswith("layers/"):
        return "layer-link", repository, ""
    if below.startswith("manifests/revisions/"):
        return "revision", repository, ""
    tag = below.removeprefix("manifests/tags/").partition("/")[0]
    return ("tag" if path.endswith("/current/link") else "index-link"), repository, tag
