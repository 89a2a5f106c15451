"""The fuses: what must hold before a run may remove anything.

A fuse is a pure question about a tree and its plan. Each can be overridden by name, because each can be
wrong; each refusal says so.
"""

from __future__ import annotations

from pruner.decide.look import Look
from pruner.decide.plan import Plan
from pruner.errors import NotARegistry, ReadError, Refused, StorageMissing
from pruner.registry.config import RegistryConfig
from pruner.settings.table import Settings
from pruner.storage import Storage
from pruner.tree import layout
from pruner.tree.whole import Tree

NON_TRIVIAL = 50
"""Blobs, or tags, from which on the fraction fuse looks at a tree: a small one is often pruned by half."""


def check_storage(storage: Storage, given: str, config: RegistryConfig, settings: Settings) -> bool:
    """Whether there is a tree to prune; False for an empty storage, which is fine.

    Reads only. Raises StorageMissing, NotARegistry, Refused or ReadError.
    """
    try:
        names = {entry.name for entry in storage.list("")}
    except FileNotFoundError:
        raise StorageMissing(
            f"the registry's storage {given} is not there: mount it, or correct rootdirectory in "
            f"{config.path}"
        ) from None
    except OSError as error:
        raise ReadError(
            f"the registry's storage {given} cannot be read: {error.strerror or error}"
        ) from error
    _refuse_foreign(storage, given, config, settings, names)
    if _exists(storage, layout.BASE):
        return True
    foreign = sorted(name for name in names if not layout.is_of_any_root(name))
    if foreign and "not-a-registry" not in settings.override:
        shown = ", ".join(foreign[:3])
        raise NotARegistry(
            f"{given} holds no registry ({shown} is there, {layout.BASE} is not): mount the registry's "
            f"storage there, or correct rootdirectory in {config.path}; if it is right, "
            "--override not-a-registry"
        )
    return False


def _refuse_foreign(
    storage: Storage, given: str, config: RegistryConfig, settings: Settings, names: set[str]
) -> None:
    if "pull-through-cache" not in settings.override:
        sign = f"{config.path} proxies {config.proxy}" if config.proxy else ""
        if layout.PULL_THROUGH_STATE in names:
            sign = f"{given}/{layout.PULL_THROUGH_STATE} is there"
        if sign:
            raise Refused(
                f"this registry is a pull-through cache ({sign}), which expires its blobs itself: "
                "do not prune it, or, if it is one no more, --override pull-through-cache"
            )
    if "gitlab-database" not in settings.override:
        for path in layout.GITLAB_LOCKFILES:
            if _exists(storage, path):
                raise Refused(
                    f"GitLab keeps this registry's metadata in a database ({given}/{path} is there), so "
                    "links say nothing of what is in use: use its own collector, or, if the database is "
                    "gone, --override gitlab-database"
                )


def _exists(storage: Storage, path: str) -> bool:
    try:
        storage.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ReadError(f"{storage.root}/{path} cannot be read: {error.strerror or error}") from error
    return True


def check_plan(look: Look, settings: Settings) -> None:
    """Raises Refused for a plan that looks like a mistake."""
    tree, plan = look.tree, look.plan
    _check_tags(look.covered, plan, settings)
    blobs = plan.removals.number("blob")
    if not blobs:
        return
    if "no-tags" not in settings.override and not any(r.tags for r in tree.repositories.values()):
        raise Refused(
            f"the storage has {len(tree.blobs)} blobs and not one tag, which looks like a damaged or foreign "
            "tree: look at it with `prune usage`; if all of it may go, --override no-tags"
        )
    fraction = blobs / len(tree.blobs)
    if (
        len(tree.blobs) >= NON_TRIVIAL
        and fraction > settings.max_fraction
        and "fraction" not in settings.override
    ):
        raise Refused(
            f"the plan removes {blobs} of {len(tree.blobs)} blobs ({fraction:.0%}), more than the "
            f"{settings.max_fraction:.0%} allowed: look at `prune plan`; if it is right, --max-fraction 1 "
            "(stack key gcMaxFraction) or --override fraction"
        )


def _check_tags(tree: Tree, plan: Plan, settings: Settings) -> None:
    total = sum(len(repository.tags.current) for repository in tree.repositories.values())
    gone = plan.removals.number("tag")
    if total < NON_TRIVIAL or "fraction" in settings.override or gone <= settings.max_fraction * total:
        return
    raise Refused(
        f"the plan drops {gone} of {total} tags ({gone / total:.0%}), more than the "
        f"{settings.max_fraction:.0%} allowed: look at `prune plan` and at the retention policies; if it is "
        "right, --max-fraction 1 (stack key gcMaxFraction) or --override fraction"
    )
