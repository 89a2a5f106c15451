"""Who may change the bucket: one pruner at a time, with rights that were tried before the first removal."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager

from pruner.clock import Clock
from pruner.errors import Refused
from pruner.storage.lease import Lease, LeaseLost, LeaseStore
from pruner.storage.s3.bucket import Bucket
from pruner.storage.s3.errors import NotOffered
from pruner.storage.s3.objectlease import ObjectLease

LeasesOf = Callable[[str], LeaseStore]
"""The lease of a name, where a cluster keeps leases."""


class Guard:
    """The leases that this process holds on a tree whose pruner's folder has the key `state`."""

    def __init__(self, bucket: Bucket, state: str, clock: Clock, leases: LeasesOf | None) -> None:
        self._bucket = bucket
        self._state = state
        self._clock = clock
        self._leases = leases
        self._held: list[Lease] = []
        self._gone: dict[str, float] = {}
        self._tried = False
        bucket.fence = self._fence

    def _fence(self) -> None:
        """Between `check` and the sending of a request this process may have been stopped for hours."""
        if not all(lease.is_good for lease in self._held):
            silent = "this pruner was silent for longer than its lease lasts"
            raise LeaseLost(f"{silent}: it changes nothing more, and the next run recovers")

    @property
    def is_held(self) -> bool:
        """Whether this process may change anything of the pruner's."""
        return bool(self._held)

    def check(self) -> None:
        """To be asked before each change; raises LeaseLost."""
        for lease in self._held:
            lease.check()

    @contextmanager
    def held(self, key: str, name: str, owner: str) -> Generator[None]:
        """Hold the lease in the object `key`, and that of the cluster; raises Busy with the holder's name."""
        self._try_rights()
        stores: list[LeaseStore] = [] if self._leases is None else [self._leases(name)]
        if self._bucket.conditional:
            stores.append(ObjectLease(self._bucket, key))
        elif not stores:
            raise Refused(
                f"the server of {self._bucket.url(self._state)} ignores the condition of a write "
                "(If-None-Match), so two pruners could not be kept apart: run the pruner in a cluster, where "
                "a Lease does that, or use a server with conditional writes"
            )
        with ExitStack() as stack:
            for store in stores:
                lease = stack.enter_context(Lease(store, owner, self._clock, self._gone).held())
                self._held.append(lease)
                stack.callback(self._held.remove, lease)
            self.check()
            if not self._bucket.conditional:
                self._bucket.put(key, owner.encode())  # whose time is the server's
            yield

    def _try_rights(self) -> None:
        """Try every right that a run needs, on objects of our own, and whether writes can be conditional.

        Raises OSError for a right that is missing, and Refused for a server that does not list what it has.
        """
        if self._tried:
            return
        key = f"{self._state}/probe-{uuid.uuid4().hex[:8]}"
        copy = f"{key}-copy"
        self._bucket.put(key, b"probe")
        try:
            self._bucket.conditional = self._is_conditional(key)
            self._bucket.copy(self._bucket.head(key), copy)
            if {found.name for found in self._bucket.first(key, 2)} != {key, copy}:
                raise Refused(
                    f"the server of {self._bucket.url(self._state)} does not list at once what was written: "
                    "the pruner needs read-after-write consistency"
                )
            next(self._bucket.uploads(key), None)
        except BaseException:
            self._bucket.delete_many([key, copy])
            raise
        for error in self._bucket.delete_many([key, copy]).values():
            raise error
        self._tried = True

    def _is_conditional(self, key: str) -> bool:
        try:
            self._bucket.put(key, b"again", only_if_absent=True)
        except FileExistsError:
            pass
        except NotOffered:
            return False
        else:
            return False
        try:
            self._bucket.put(key, b"again", if_match='"00000000000000000000000000000000"')
        except FileExistsError:
            return True
        except NotOffered:
            return False
        return False
