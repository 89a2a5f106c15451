"""Results on standard output: whole or with a sentence why not, and long ones through a terminal's pager."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from typing import TextIO

from pruner.errors import WriteError
from pruner.inspect.tables import one_line


def set_up() -> None:
    """Let names that are not UTF-8 pass through as the bytes they are."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="surrogateescape")


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person reads `stream`, which is None when the process was started without it."""
    return stream is not None and stream.isatty()


def write(text: str) -> None:
    """Print `text` and a line's end. Raises WriteError as `write_pieces` does."""
    write_pieces((text, "\n"))


def write_pieces(pieces: Iterable[str]) -> None:
    """Print pieces of text one after the other.

    A reader that has closed the pipe had enough, and is not written to any more. Raises WriteError when what
    is there to be read could not be written.
    """
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] (`>&-` makes it so)
        return
    try:
        sys.stdout.writelines(pieces)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop()
    except OSError as error:
        _drop()
        raise WriteError(
            f"the result could not be written to standard output ({error.strerror or error}): "
            "what the command did stays done"
        ) from error


def _drop() -> None:
    """Send what is still buffered nowhere, or the interpreter fails on it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def page(text: str) -> None:
    """Print lines for a person, on a terminal that they do not fit through the pager. Raises WriteError."""
    text = "\n".join(map(one_line, text.split("\n")))
    if is_terminal(sys.stdout):
        import shutil  # only here: few results are for a terminal

        text = text.encode("utf-8", "backslashreplace").decode()
        size = shutil.get_terminal_size()
        lines = sum(1 + max(0, len(line) - 1) // max(1, size.columns) for line in text.splitlines())
        if lines >= size.lines and _paged(text):
            return
    write(text)


def _paged(text: str) -> bool:
    """Show `text` in $PAGER, or less; False when there is none that could be started."""
    import shlex  # only here, as above
    import shutil
    import subprocess

    command = shlex.split(os.environ.get("PAGER", "less -FRX"))
    if not command or command == ["cat"] or shutil.which(command[0]) is None:
        return False
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the pager's while the pager shows
    try:
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, restore_signals=True, preexec_fn=_hear_interrupts
        ) as pager:
            pager.communicate(f"{text}\n".encode())  # a reader that had enough is fine
        return True
    finally:
        signal.signal(signal.SIGINT, before)


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
