"""What is found -> whether a registry may start. Pure.

A tree carries a claim: which registry it belongs to, and an id of its own. What a registry claimed is
recorded outside the tree, so that a folder that lost its claim (an unmounted disk, another node's disk) is
told apart from one that never had any. A tree is only ever taken over by naming the very claim that is in the
way, and then gets a new one: an old word of consent consents to nothing later.
"""

from __future__ import annotations

from dataclasses import dataclass

from pruner.settings.durations import format_moment


@dataclass(frozen=True, slots=True)
class Owner:
    """A registry, `namespace/name`, and the cluster it runs in by an id that lasts (empty: in none).

    Neither is a name that people give a deployment at the moment, so nothing that is renamed loses its tree.
    """

    name: str
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a tree says of its owner; `since` is in seconds since the epoch, `replaces` another claim's id."""

    id: str
    owner: Owner
    since: float
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class Keep:
    """The tree is the owner's: start."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class Take:
    """Nobody else's, or given over: claim it, in the place of the claim `replaces`, and start."""

    replaces: str = ""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Do not start, for the reason in the sentence."""

    sentence: str


def decide(
    found: Claim | None, recorded: str, owner: Owner, *, storage: str, empty: bool, adopt: str
) -> Keep | Take | Refuse:
    """Whether `owner` may start on the tree that carries the claim `found`.

    `recorded` is the id of the claim that the owner is known to have made there, `adopt` of the one that may
    be replaced (each empty for none); `empty` says that nothing at all is there. `storage` is what people
    call the tree.
    """
    if found is None and not recorded:
        return Take()
    # A claim and its record are not changed in one step: between the two, the record is a step behind.
    if found is not None and found.owner == owner and recorded in ("", found.id, found.replaces):
        return Keep(found)
    in_the_way = found.id if found is not None else recorded
    if adopt == in_the_way:
        return Take(in_the_way)
    if found is None:
        said = _missing(recorded, storage, empty=empty)
    elif found.owner != owner:
        said = _foreign(found, owner, storage)
    else:
        said = _other(found, recorded, storage)
    passed = f" (it is set to {adopt}, which is another claim)" if adopt else ""
    return Refuse(f"{said}{passed}")


def _foreign(found: Claim, owner: Owner, storage: str) -> str:
    where = "this cluster" if found.owner.cluster == owner.cluster else "another cluster"
    return (
        f"{storage} belongs to the registry {found.owner.name} of {where}, since "
        f"{format_moment(found.since)} (claim {found.id}), and one tree has one registry: give this one a "
        f"place of its own, or, if that one is gone and its images are to be served here, {_adopt(found.id)}"
    )


def _missing(recorded: str, storage: str, *, empty: bool) -> str:
    seen = "is empty" if empty else "holds no registry's claim"
    return (
        f"{storage} {seen}, but this registry had its images there (claim {recorded}): mount its disk, or "
        f"bring the images back; to begin anew with what is there now, {_adopt(recorded)}"
    )


def _other(found: Claim, recorded: str, storage: str) -> str:
    return (
        f"{storage} holds a tree of this registry, claim {found.id}, but not the one it had last, claim "
        f"{recorded}: mount the disk that holds that one, or, to go on with what is there now, "
        f"{_adopt(found.id)}"
    )


def _adopt(claim: str) -> str:
    return f"adopt it with --adopt {claim} (stack key storage.adopt)"
