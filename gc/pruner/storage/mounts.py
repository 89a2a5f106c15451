"""File systems by type, and what may be trusted of each."""

from __future__ import annotations

import os

LOCAL = frozenset(
    ("bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "tmpfs", "xfs", "zfs")
)
"""File systems that tell a change of a folder at once. A network file system may serve a time from its cache
(NFS up to a minute), so a folder there is always listed."""

COUNTING = frozenset(("ext2", "ext3", "ext4", "f2fs", "jfs", "tmpfs", "xfs"))
"""File systems on which a folder's number of links is that of the folders in it and two: when so many names
are in it, all are folders, and none needs to be asked for its kind. From 65,000 on ext4 says 1."""


def type_of(root: str) -> str:
    """The type of the file system that a folder lies on; empty when nothing tells."""
    try:
        device = os.stat(root).st_dev
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            for line in mounts:
                fields = line.split(" ")
                if fields[2] == f"{os.major(device)}:{os.minor(device)}":
                    return line.partition(" - ")[2].split(" ")[0]
    except (OSError, IndexError):
        return ""
    return ""
