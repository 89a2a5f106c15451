"""The pruner's own folder in the storage: its locks, and the space it keeps for a disk that is full.

There are two locks. Who changes the tree holds `lock`. A run holds `run` as well, from its beginning to its
end, and lends `lock` while it waits its grace: so a trash command gets in, and another run does not.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TypeVar

from pruner.clock import Clock
from pruner.delays import LOCK_PATIENCE, LOCK_POLL, TOLERANCE
from pruner.errors import Busy, WriteError
from pruner.storage import Storage, read_errors
from pruner.tree import layout

LOCK = f"{layout.STATE}/lock"
RUN_LOCK = f"{layout.STATE}/run"
SKEW = f"{layout.STATE}/skew"
RESERVE = f"{layout.STATE}/reserve"
RESERVE_SIZE = 4 * 1024 * 1024
"""Bytes kept for the journal, so that a full disk, which pruning would mend, does not stop pruning. When
there are more links to hold than that has room for, a run holds those that fit, and the next one goes on."""
LAST_RESERVE = f"{layout.STATE}/reserve-end"
LAST_RESERVE_SIZE = 1024 * 1024
"""Bytes kept apart for the rest of such a run: however many links it holds, it can be ended."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
T = TypeVar("T")


class Lock:
    """The right to change the tree, which a run lends while it waits."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self.storage = storage
        self.clock = clock
        self._held: AbstractContextManager[None] | None = None

    @property
    def held(self) -> bool:
        """Whether it is ours now; not so when it was lent and did not come back."""
        return self._held is not None

    def take(self) -> None:
        """Take it; raises Busy."""
        held = self.storage.lock(LOCK, _owner())
        held.__enter__()
        self._held = held

    def give_back(self) -> None:
        """Give it back, if it is held."""
        if self._held is not None:
            held, self._held = self._held, None
            held.__exit__(None, None, None)

    @contextmanager
    def lent(self) -> Generator[None]:
        """Others may have the lock while the context lasts; waits for it at the end.

        Raises Busy or Stopped, without the lock, when it does not come back in time.
        """
        self.give_back()
        try:
            yield
        finally:
            self._take_again()

    def _take_again(self) -> None:
        deadline = self.clock.monotonic() + LOCK_PATIENCE
        while not self.held:
            try:
                self.take()
            except Busy:
                if self.clock.monotonic() >= deadline:
                    raise
                self.clock.sleep(LOCK_POLL)


@contextmanager
def locked(storage: Storage, clock: Clock) -> Generator[Lock]:
    """Be the only pruner on this tree; raises Busy, or WriteError when the folder cannot be written."""
    with _lock_errors(storage):
        storage.make_folder(layout.STATE)
        run = storage.lock(RUN_LOCK, _owner())
        run.__enter__()
    try:
        lock = Lock(storage, clock)
        with _lock_errors(storage):
            lock.take()
        try:
            yield lock
        finally:
            lock.give_back()
    finally:
        run.__exit__(None, None, None)


@contextmanager
def locked_beside_a_run(storage: Storage, clock: Clock) -> Generator[bool]:
    """Change the trash, also while a run waits its grace.

    Gives whether no run is at work, so that what an interrupted one left is to be recovered. Raises Busy
    while a run does anything else than wait, or WriteError when the folder cannot be written.
    """
    lock = Lock(storage, clock)
    with _lock_errors(storage):
        storage.make_folder(layout.STATE)
        try:
            lock.take()
        except Busy as busy:
            hint = "a run lets trash commands in as long as it waits its grace, so try again in a moment"
            raise Busy(f"{busy}; {hint}") from None
    try:
        run = storage.lock(RUN_LOCK, _owner())
        try:
            run.__enter__()
        except Busy:
            yield False
            return
        try:
            yield True
        finally:
            run.__exit__(None, None, None)
    finally:
        lock.give_back()


def machine() -> str:
    """The name of this machine, or of the pod."""
    return os.uname().nodename


def _owner() -> str:
    return f"{machine()}, pid {os.getpid()}"


@contextmanager
def _lock_errors(storage: Storage) -> Generator[None]:
    try:
        yield
    except PermissionError as error:
        where = error.filename or f"{storage.root}/{layout.STATE}"
        raise WriteError(
            f"{where} cannot be opened ({error.strerror}), so nothing was begun: another user made it; run "
            f"as that user, or give {storage.root}/{layout.STATE} to this one (uid {os.geteuid()})"
        ) from error
    except OSError as error:
        raise write_error(storage, error, "nothing was begun") from error


# -- clocks


def measure_skew(storage: Storage, clock: Clock) -> float:
    """How far the clock that stamps the files is ahead of ours, in seconds, asked right after locking.

    It is written down for those who change nothing and so cannot measure it, where it matters.
    """
    skew = storage.stat(LOCK).mtime - clock.now()
    try:
        if abs(skew) >= TOLERANCE:
            storage.write(SKEW, f"{machine()} {skew:.3f}\n".encode())
            return skew
        storage.remove(SKEW)
    except FileNotFoundError:
        pass
    except OSError as error:
        if not is_full(error):
            raise
    return 0.0 if abs(skew) < TOLERANCE else skew


def remembered_skew(storage: Storage) -> float:
    """The skew when this machine last measured it; 0 when there was none, or it never did."""
    with read_errors(storage):
        try:
            content = storage.read(SKEW, 400).content
        except FileNotFoundError:
            return 0.0
    host, _, skew = content.decode(errors="replace").strip().partition(" ")
    try:
        return float(skew) if host == machine() else 0.0
    except ValueError:
        return 0.0


# -- space and failures


@contextmanager
def write_errors(storage: Storage, consequence: str) -> Generator[None]:
    """Turns a failure of the operating system into a WriteError that says the `consequence`."""
    try:
        yield
    except OSError as error:
        raise write_error(storage, error, consequence) from error


def write_error(storage: Storage, error: OSError, consequence: str) -> WriteError:
    """What could not be changed, why, and what has become of what was begun."""
    where = error.filename or storage.root
    return WriteError(
        f"{where} could not be changed ({error.strerror or error}): {consequence}; mend the storage and run "
        "this again"
    )


def is_full(error: OSError) -> bool:
    """Whether the disk has no room."""
    return error.errno in _FULL


def with_space(storage: Storage, action: Callable[[], T]) -> T:
    """Do `action`; when the disk is full, give it all the reserved space and do it once more."""
    return _with(storage, action, RESERVE, LAST_RESERVE)


def with_space_to_hold(storage: Storage, action: Callable[[], T]) -> T:
    """The same, but for what a run needs to be ended."""
    return _with(storage, action, RESERVE)


def _with(storage: Storage, action: Callable[[], T], *reserves: str) -> T:
    try:
        return action()
    except OSError as error:
        if not is_full(error):
            raise
        freed = [path for path in reserves if _remove(storage, path)]
        if not freed:
            raise
        if LAST_RESERVE not in reserves:
            _reserve(storage, LAST_RESERVE, LAST_RESERVE_SIZE)
        return action()


def _remove(storage: Storage, path: str) -> bool:
    try:
        storage.remove(path)
    except FileNotFoundError:
        return False
    return True


def reserve(storage: Storage) -> bool:
    """Take the reserved space if it is not taken; False when the disk is too full even for that."""
    to_end = _reserve(storage, LAST_RESERVE, LAST_RESERVE_SIZE)
    return _reserve(storage, RESERVE, RESERVE_SIZE) and to_end


def _reserve(storage: Storage, path: str, size: int) -> bool:
    with suppress(FileNotFoundError):
        if storage.stat(path).size >= size:
            return True
    try:
        storage.reserve(path, size)
    except OSError as error:
        if not is_full(error):
            raise
        _remove(storage, path)
        return False
    return True


def list_or_empty(storage: Storage, path: str) -> list[str]:
    """Names in a folder; none when it is not there."""
    try:
        return [entry.name for entry in storage.list(path)]
    except FileNotFoundError:
        return []
