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
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import contenders
from benchmarks.contenders import AT_ONCE, ROOT
from pruner.clock import Stopped
from tests.gc.realregistry import RealRegistry, Version

CLIENTS = 2
QUIET = "no run"
GRACE = "2s"
"""Of the runs: longer than the push of such a small image takes."""
_WARM = 1.0
"""Seconds of requests before the measurement begins."""


@dataclass(slots=True)
class Felt:
    """The seconds of each request while something was at work beside the registry."""

    name: str
    pulls: list[float] = field(default_factory=list[float])
    pushes: list[float] = field(default_factory=list[float])


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
    """Answers of a registry on a tree like the one in `folder`/data, while no run is at work, a run, and runs
    with the `limits` of operations a second: in turn, so many times, for `seconds` or as long as it works.

    The tree is a copy of its own each time, of hard links.
    """
    names: dict[str, int | None] = {QUIET: None, "a run": 0}
    names |= {f"a run, at most {limit:,} operations a second": limit for limit in limits}
    found = {name: Felt(name) for name in names}
    place = folder / "used"
    for number in range(rounds):
        for name, limit in names.items():
            subprocess.run(["cp", "-al", folder / "data", place], check=True)
            os.sync()
            with RealRegistry(version, folder / "registry", tree=place) as registry:
                with _clients(registry.address, folder / "data", number) as answers:
                    began = time.time() + _WARM
                    time.sleep(_WARM)
                    with ExitStack() as beside:
                        if limit is None:
                            time.sleep(seconds)
                        else:
                            run = beside.enter_context(_run(registry.config, limit))
                            with suppress(subprocess.TimeoutExpired):
                                run.wait(seconds)
                        ended = time.time()
                pulls = [taken for at, taken in answers["pulls"] if began <= at and at + taken <= ended]
                pushes = [taken for at, taken in answers["pushes"] if began <= at and at + taken <= ended]
            shutil.rmtree(place)
            shutil.rmtree(folder / "registry")
            found[name].pulls.extend(pulls)
            found[name].pushes.extend(pushes)
            p99 = 1000 * percentile(pulls, 99)
            say(f"round {number + 1}  {version}, {name:40} pulls' p99 {p99:6.1f} ms of {len(pulls)}")
    return list(found.values())


@contextmanager
def _clients(address: str, data: Path, number: int) -> Generator[dict[str, list[tuple[float, float]]]]:
    """Clients at work as long as the context lasts; what they noted is there at its end."""
    answers: dict[str, list[tuple[float, float]]] = {"pulls": [], "pushes": []}
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
