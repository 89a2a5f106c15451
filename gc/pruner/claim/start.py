"""A registry is about to start: find out whose the tree is, and make it its own or refuse."""

from __future__ import annotations

import errno
import uuid
from dataclasses import dataclass

from pruner.claim import tree
from pruner.claim.decision import Claim, Keep, Owner, Refuse, decide
from pruner.claim.record import Record
from pruner.clock import Clock
from pruner.errors import ClaimRefused, ReadError, StorageMissing, WriteError
from pruner.storage import Storage

# A registry on a full disk is what pruning mends, and a read-only one still serves pulls.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True, slots=True)
class Started:
    """The registry may start. `claim` is None where the storage had no room for one, which `note` says."""

    claim: Claim | None
    note: str

    def to_json(self) -> dict[str, object]:
        """As JSON data."""
        return {"claim": self.claim.id if self.claim else None, "note": self.note}

    def text(self) -> str:
        """As a line for a person."""
        return self.note


def start(storage: Storage, called: str, owner: Owner, record: Record, adopt: str, clock: Clock) -> Started:
    """Claim the tree for `owner`, or find it claimed by it; `called` is the tree's name for people.

    Raises ClaimRefused, StorageMissing, ReadError, WriteError and ClusterError: then it must not start.
    """
    recorded = record.read(called)
    while True:
        try:
            found, empty = tree.read(storage), tree.is_empty(storage)
        except FileNotFoundError:
            raise StorageMissing(f"{called} is not there: mount it") from None
        except OSError as error:
            raise ReadError(f"{called} cannot be read ({error.strerror or error}): mend it") from error
        verdict = decide(found, recorded, owner, storage=called, empty=empty, adopt=adopt)
        if isinstance(verdict, Refuse):
            raise ClaimRefused(verdict.sentence)
        if isinstance(verdict, Keep):
            if recorded != verdict.claim.id:
                record.write(called, verdict.claim.id)
            return Started(verdict.claim, f"{called} is this registry's (claim {verdict.claim.id})")
        claim = Claim(f"c{uuid.uuid4().hex[:7]}", owner, clock.now(), verdict.replaces)
        try:
            made = tree.make(storage, claim)
        except OSError as error:
            if verdict.replaces or error.errno not in _NO_ROOM:
                raise WriteError(
                    f"{called} could not be claimed ({error.strerror or error}): mend the storage"
                ) from error
            return Started(
                None, f"{called} carries no claim yet ({error.strerror}): the next start makes one"
            )
        if made:
            record.write(called, claim.id)
            took = f", in the place of claim {claim.replaces}" if claim.replaces else ""
            return Started(claim, f"{called} is this registry's from now on (claim {claim.id}{took})")
