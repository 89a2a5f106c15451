"""What logins cost a registry, and what so many wrong ones a second do to it.

    python -m benchmarks.logins --rate 100 --seconds 20

For each version and cost of bcrypt: the processor time that a right login and a wrong one take,
and how long a right one waits (median and 95th percentile) while nobody else is there, and while eight
others try so many wrong passwords a second.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import bcrypt

from tests.gc.realregistry import VERSIONS, RealRegistry, Version

_USER, _PASSWORD = "anna", "the right one"
_OTHERS = 8
_PROBES = 100  # requests of a measurement of cost or waiting


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of processor for a `right` and a `wrong` login; seconds that a right one waits.

    That is median and 95th percentile, `alone` and `among` wrong ones, of which there were so many `tried` a
    second; `load` is what of one processor the registry took meanwhile, `answers` the statuses of wrong ones.
    """

    right: float
    wrong: float
    alone: tuple[float, float]
    among: tuple[float, float]
    tried: float
    load: float
    answers: frozenset[int]


class Caller:
    """One connection, with a name and a password."""

    def __init__(self, registry: RealRegistry, password: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", registry.port, timeout=30)
        login = f"{_USER}:{password}".encode()
        self._headers = {"Authorization": f"Basic {b64encode(login).decode()}"}

    def ask(self) -> int:
        """The status of the answer."""
        self._connection.request("GET", "/v2/", headers=self._headers)
        response = self._connection.getresponse()
        response.read()
        return response.status


def measure(version: Version, cost: int, folder: Path, rate: float, seconds: float) -> Measured:
    """Measures a registry of its own in `folder`, with `rate` wrong logins a second for so many seconds."""
    registry = RealRegistry(version, folder, login=True)
    registry.write_config()
    hashed = bcrypt.hashpw(_PASSWORD.encode(), bcrypt.gensalt(cost)).decode()
    with registry:
        with registry.logins.open("a") as file:
            file.write(f"{_USER}:{hashed}\n")
        os.utime(registry.logins, (1000, 1000))  # a time of its own, so that it is read anew
        right, wrong = _cost(registry, _PASSWORD), _cost(registry, "a wrong one")
        alone = _waits(registry, seconds / 4)
        spent, begun = _spent(registry.pid), time.monotonic()
        with _others(registry, rate) as answers:
            among = _waits(registry, seconds)
        took = time.monotonic() - begun
        load = (_spent(registry.pid) - spent) / took
    return Measured(right, wrong, alone, among, len(answers) / took, load, frozenset(answers))


def _cost(registry: RealRegistry, password: str) -> float:
    caller, before = Caller(registry, password), _spent(registry.pid)
    for _ in range(_PROBES):
        caller.ask()
    return (_spent(registry.pid) - before) / _PROBES


def _waits(registry: RealRegistry, seconds: float) -> tuple[float, float]:
    """Median and 95th percentile of the seconds that a right login takes, ten of them a second."""
    caller, taken = Caller(registry, _PASSWORD), list[float]()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.perf_counter()
        if (status := caller.ask()) != 200:
            raise AssertionError(f"the right login is answered with {status}")
        taken.append(time.perf_counter() - begun)
        time.sleep(0.1)
    return statistics.median(taken), statistics.quantiles(taken, n=20)[-1]


@contextmanager
def _others(registry: RealRegistry, rate: float) -> Generator[list[int]]:
    """So many wrong logins a second while the block runs; gives the statuses that they got."""
    answers, ended, begun = list[int](), threading.Event(), time.monotonic()

    def knock(first: int) -> None:
        caller, number = Caller(registry, "a wrong one"), first
        while not ended.wait(max(0.0, begun + number / rate - time.monotonic())):
            answers.append(caller.ask())
            number += _OTHERS

    threads = [threading.Thread(target=knock, args=(first,)) for first in range(_OTHERS)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _spent(pid: int) -> float:
    """Seconds of processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Prints a line for each version and cost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=100.0, help="wrong logins a second (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="for so long (%(default)s)")
    parser.add_argument(
        "--costs", type=int, nargs="+", default=[5, 8, 10], help="costs of bcrypt (%(default)s)"
    )
    given = parser.parse_args()
    print("version cost  right  wrong   alone p50/p95   among p50/p95   tried/s  processor  answers")
    for version in VERSIONS:
        for cost in given.costs:
            with tempfile.TemporaryDirectory() as folder:
                found = measure(version, cost, Path(folder), given.rate, given.seconds)
            waits = "".join(
                f"{1000 * median:7.1f}/{1000 * most:5.1f} ms" for median, most in (found.alone, found.among)
            )
            print(
                f"{version:7} {cost:4} {1000 * found.right:4.1f}ms {1000 * found.wrong:4.1f}ms {waits}"
                f" {found.tried:8.0f} {100 * found.load:8.0f} %  {sorted(found.answers)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
