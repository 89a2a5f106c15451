"""What clients feel: how long pulls and pushes of a registry in use take, with a run at work and without."""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import contenders
from benchmarks.contenders import AT_ONCE, ROOT
from pruner.clock import Stopped
from tests.gc.realregistry import RealRegistry, Version

CLIENTS = 2
GRACE = "2s"
"""Of the runs: longer than the push of such a small image takes."""
_WARM = 1.0
"""Seconds of requests before the measurement begins."""

Noted = list[tuple[float, float]]
"""When each request began, in seconds since the epoch, and the seconds that it took."""


@dataclass(slots=True)
class Answers:
    """The seconds of each request."""

    pulls: list[float] = field(default_factory=list[float])
    pushes: list[float] = field(default_factory=list[float])


@dataclass(slots=True)
class Felt:
    """Answers of a registry right before something came to work beside it, and while it was at work."""

    name: str
    before: Answers = field(default_factory=Answers)
    beside: Answers = field(default_factory=Answers)


def percentile(values: Sequence[float], percent: int) -> float:
    """The value below which so many of them lie."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def felt(
    version: Version,
    folder: Path,
    limits: Sequence[int],
    seconds: float,
    rounds: int,
    say: Callable[[str], None],
) -> list[Felt]:
    """Answers of a registry on a tree like the one in `folder`/data, beside a run, and beside runs with the
    `limits` of operations a second: in turn, so many times, for `seconds` or as long as it works.

    Each is compared with the same clients of the same registry in the `seconds` before, since a machine may
    be twice as fast a minute later. The tree is a copy of its own each time, of hard links.
    """
    names = {"a run": 0, **{f"a run, at most {limit:,} operations a second": limit for limit in limits}}
    found = {name: Felt(name) for name in names}
    place = folder / "used"
    for number in range(rounds):
        for name, limit in names.items():
            subprocess.run(["cp", "-al", folder / "data", place], check=True)
            os.sync()
            with (
                RealRegistry(version, folder / "registry", tree=place) as registry,
                _clients(registry.address, folder / "data", number) as answers,
            ):
                time.sleep(_WARM)
                quiet = time.time()
                time.sleep(seconds)
                began = time.time()
                with _run(registry.config, limit) as run:
                    with suppress(subprocess.TimeoutExpired):
                        run.wait(seconds)
                    ended = time.time()
            shutil.rmtree(place)
            shutil.rmtree(folder / "registry")
            spans = ((found[name].before, quiet, began), (found[name].beside, began, ended))
            p99 = [_note(answers, *span) for span in spans]
            say(f"round {number + 1}  {version}, {name:40} pulls' p99 {p99[0]:6.1f} ms, {p99[1]:6.1f} ms")
    return list(found.values())


def _note(answers: Mapping[str, Noted], noted: Answers, began: float, ended: float) -> float:
    """Add the requests of that time; the 99th percentile of the pulls among them, in milliseconds."""
    pulls, pushes = (
        [taken for at, taken in answers[kind] if began <= at and at + taken <= ended]
        for kind in ("pulls", "pushes")
    )
    noted.pulls.extend(pulls)
    noted.pushes.extend(pushes)
    return 1000 * percentile(pulls, 99)


@contextmanager
def _clients(address: str, data: Path, number: int) -> Generator[dict[str, Noted]]:
    """Clients at work as long as the context lasts; what they noted is there at its end."""
    answers: dict[str, Noted] = {"pulls": [], "pushes": []}
    words = [sys.executable, "-m", "benchmarks.clients", address, str(data)]
    with ExitStack() as started:
        clients = [
            started.enter_context(
                subprocess.Popen(
                    [*words, str(100 * number + each)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=dict(contenders.environ()) | {"PYTHONPATH": str(ROOT)},
                )
            )
            for each in range(CLIENTS)
        ]
        for client in clients:
            assert client.stdout is not None
            client.stdout.readline()  # it is at work
        yield answers
        for client in clients:
            output, _ = client.communicate(timeout=60)  # its input ends, and so does it
            if client.returncode:
                raise RuntimeError(f"a client of the registry ended with {client.returncode}")
            for kind, noted in json.loads(output).items():
                answers[kind].extend(map(tuple, noted))


@contextmanager
def _run(config: Path, limit: int) -> Generator[subprocess.Popen[bytes]]:
    options = (*AT_ONCE, "--grace", GRACE, "--ops-per-second", str(limit))
    command = contenders.prune(config, "run", *options)
    with subprocess.Popen(
        command, env=dict(contenders.environ()), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate()
    if process.returncode not in (0, Stopped.exit_code):
        said = errors.decode(errors="replace")[-2000:]
        raise RuntimeError(f"the run ended with {process.returncode}: {said}")
