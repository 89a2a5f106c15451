"""One run on a real file system, in a process that kills itself right before one of its system calls.

`python -m tests.gc.killedrun FOLDER NUMBER`: the run is that of tests.gc.inprocess on FOLDER. It says how
many calls that change something it made; with a NUMBER among them it gets SIGKILL there.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.gc.inprocess import Pruner

CHANGES = frozenset({"open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.utime"})
"""Audit events, each raised before its system call; an `open` changes something when it may write."""


def main(folder: Path, at: int) -> None:
    pruner = Pruner(folder)
    data = str(pruner.data)
    count = 0

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in CHANGES or not str(arguments[0]).startswith(data):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)
    pruner.run()
    print(count)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
