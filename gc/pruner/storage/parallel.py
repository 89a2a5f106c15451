"""What waits for a disk or a server, side by side, the answers in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 4  # times the workers: what is asked for before it is used


def side_by_side(action: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """`action` of each item, in order, `workers` at once, and never far ahead of what is used."""
    if workers == 1:
        yield from map(action, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[Future[R]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(action, item))
                if len(pending) >= _AHEAD * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def in_parts(action: Callable[[list[T]], R], items: Iterable[T], workers: int, size: int) -> Iterator[R]:
    """`action` of `size` items at a time, in order, `workers` at once; here, when that is one part."""
    left = iter(items)
    parts = iter(lambda: list(islice(left, size)), [])
    first = list(islice(parts, 2))
    return side_by_side(action, chain(first, parts), workers if len(first) > 1 else 1)
