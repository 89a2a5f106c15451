"""The lock that a file is: the kernel gives it back when its holder dies, so a dead owner's lock is free."""

from __future__ import annotations

import errno
import fcntl
import os

from pruner.errors import Busy


def hold(handle: int, owner: str, root: str) -> None:
    """Lock an open file until it is closed, and write the owner's name to it; raises Busy with the holder's.

    `root` is what the lock is for, as people know it.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process"
        raise Busy(f"another pruner is at work on {root} ({holder}): wait until it ends") from None
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{owner}\n".encode(), 0)
    except OSError as error:
        # The name is for people only; a full disk must not stop a run that frees it.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
