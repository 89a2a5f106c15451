"""What is odd outside of the tree (hazards 12 and 13): pipes, full devices, depths, times, names and signals.

Real processes: what counts is what a shell gets to see, and that it is never a traceback.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pruner.cli.main import STOPPED
from pruner.settings.durations import format_duration, format_moment, parse_duration
from tests.gc.images import image, layer
from tests.gc.inprocess import Pruner
from tests.gc.prunerprocess import AT_ONCE, PrunerProcess
from tests.gc.treebuilder import age, write

GONE = image([layer("gone")], "gone")
AWKWARD = b"caf\xe9"


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    pruner = Pruner(tmp_path)
    pruner.tree.push("app", image([layer("kept")], "kept"), "kept")
    pruner.tree.push("app", GONE)
    age(pruner.data, 86400)
    return pruner


def shell(pruner: Pruner, line: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """A line for bash in which $PRUNE is the pruner with this tree's configuration."""
    process = PrunerProcess(pruner.config)
    python = " ".join(process.command("x")[:3])
    environment = process.variables() | {"PRUNE": python, "GC_CONFIG": str(pruner.config)} | variables
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], env=environment, capture_output=True, timeout=60
    )


# Where the result goes


@pytest.mark.parametrize("words", ["plan --grace 0 --untagged-after 0", "usage --output json", "--help"])
def test_a_reader_who_has_enough_ends_nothing_in_a_traceback(pruner: Pruner, words: str) -> None:
    for number in range(2000):  # more than a pipe holds
        write(pruner.tree.repository("app") / f"_uploads/{number}/data", b"")
    age(pruner.data, 3 * 86400)
    result = shell(pruner, f"$PRUNE {words} | head -c 1 > /dev/null; echo ${{PIPESTATUS[0]}}")
    assert result.stdout == b"0\n", result.stderr
    assert b"Traceback" not in result.stderr and b"Exception" not in result.stderr


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_full_device_is_a_sentence_and_12(pruner: Pruner, form: str) -> None:
    for words in ("plan", "verify", "trash list", "run --grace 0 --trash 0"):
        result = shell(pruner, f"$PRUNE {words} --output {form} > /dev/full")
        assert result.returncode == 12, (words, result)
        assert b"could not be written to standard output (No space left on device)" in result.stderr
        assert b"Traceback" not in result.stderr and b"Exception" not in result.stderr


@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-", "2> /dev/full", "< /dev/null <&-"])
def test_streams_that_are_closed_or_full_change_no_exit_code(pruner: Pruner, streams: str) -> None:
    for words in ("plan", "run --grace 0"):
        result = shell(pruner, f"$PRUNE {words} {streams}")
        assert (result.returncode, b"Traceback" in result.stderr) == (0, False), (words, result)
    assert shell(pruner, f"$PRUNE explain latest {streams}").returncode == 2


# Depths and durations


DEEP = {
    "retention": "[" * 100_000,
    "retention that is closed": "[" * 50_000 + "]" * 50_000,
    "retention in objects": '[{"tags":' * 5_000 + "1" + "}]" * 5_000,
}


@pytest.mark.parametrize("case", DEEP)
def test_deep_json_is_a_sentence(pruner: Pruner, case: str) -> None:
    result = shell(pruner, "$PRUNE plan", GC_RETENTION=DEEP[case])
    assert result.returncode == 3 and b"Traceback" not in result.stderr
    assert result.stderr.startswith(b"time=") and b"GC_RETENTION: " in result.stderr
    assert len(result.stderr) < 1000


@pytest.mark.parametrize("text", ["{a: " * 3000, "[" * 3000, "[" * 3000 + "]" * 3000, "- " * 3000])
def test_a_deep_configuration_is_a_sentence(pruner: Pruner, text: str) -> None:
    pruner.config.write_text(text)
    result = shell(pruner, "$PRUNE plan")
    assert result.returncode == 3 and b"Traceback" not in result.stderr, result.stderr[-600:]


@pytest.mark.parametrize("text", ["1e300d", "1e300", "9" * 400 + "d", "9" * 400, "100000000000w"])
@pytest.mark.parametrize("option", ["--grace", "--untagged-after", "--trash", "--retention"])
def test_a_delay_beyond_the_calendar_is_a_sentence(pruner: Pruner, option: str, text: str) -> None:
    given = text if option != "--retention" else json.dumps([{"keepWithin": text}])
    result = shell(pruner, f"$PRUNE plan {option} '{given}'")
    assert result.returncode == 3 and b"Traceback" not in result.stderr, result.stderr
    assert b"is not a duration" in result.stderr


@pytest.mark.parametrize("words", ["plan", "usage", "trash list", "verify", "run --grace 0"])
def test_ages_beyond_the_calendar_are_shown_somehow(pruner: Pruner, words: str) -> None:
    paths = [pruner.tree.revision_path("app", GONE.digest), pruner.tree.blob_path(GONE.digest)]
    for moment in (-(1 << 40), 1 << 40, -62135596801, 253402300800):
        for path in (*paths, *pruner.tree.repository("app").glob("_manifests/tags/*/*/link")):
            if path.exists():
                try:
                    os.utime(path, (0, moment))
                except OSError:
                    pytest.skip("the file system holds no such time")
        result = shell(pruner, f"$PRUNE {words}")
        assert (result.returncode, b"Traceback" in result.stderr) == (0, False), result.stderr
        explained = shell(pruner, f"$PRUNE explain {GONE.digest}")
        assert (explained.returncode, b"Traceback" in explained.stderr) == (0, False), explained.stderr


@pytest.mark.parametrize("moment", [1e300, -1e300, float("inf"), float("-inf"), 1e12, -1e12, 0.0])
def test_any_moment_has_words(moment: float) -> None:
    assert format_moment(moment)
    assert format_duration(moment) or moment < 0


def test_a_delay_that_people_may_ask_for_has_an_end() -> None:
    assert parse_duration("36500d") == 36500 * 86400
    with pytest.raises(ValueError, match="at most"):
        parse_duration("400000d")


# Names


def test_names_that_are_not_utf8_come_out_as_they_are(pruner: Pruner) -> None:
    top = os.fsencode(pruner.tree.top)
    os.makedirs(top + b"/repositories/" + AWKWARD + b"/_uploads/1")
    with open(top + b"/repositories/" + AWKWARD + b"/_uploads/1/data", "wb") as file:
        file.write(b"left")
    os.makedirs(top + b"/repositories/new\nline\x1b[2J/_uploads/1")
    age(pruner.data, 30 * 86400)
    for words in ("plan", "usage", "verify", "run --dry-run"):
        result = shell(pruner, f"$PRUNE {words}", LC_ALL="C")
        assert result.returncode == 0, result.stderr
        assert b"\x1b" not in result.stdout
    plan = shell(pruner, "$PRUNE plan").stdout
    assert AWKWARD + b"/_uploads/1\t" in plan
    assert b"new\\nline\\x1b[2J/_uploads/1\t" in plan
    removals = json.loads(shell(pruner, "$PRUNE plan --output json").stdout)["removals"]
    names = {os.fsencode(removal["repository"]) for removal in removals}
    assert {AWKWARD, b"new\nline\x1b[2J"} <= names


# Signals


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Pruner:
    """A tree that takes a while to look at, and much longer to hash."""
    pruner = Pruner(tmp_path_factory.mktemp("large"))
    for repository in range(200):
        folder = pruner.tree.repository(f"r{repository}") / "_layers/sha256"
        folder.mkdir(parents=True)
        for digest in range(100):
            (folder / f"{repository:032x}{digest:032x}").mkdir()
    big = pruner.tree.blob_path("sha256:" + "ab" * 32)
    big.parent.mkdir(parents=True)
    with open(big, "wb") as file:
        file.truncate(200 << 30)  # a hole: it takes no space, and minutes to hash
    age(pruner.data, 86400)
    return pruner


@pytest.mark.parametrize(
    ("words", "number"),
    [
        (("verify", "--digests"), signal.SIGINT),
        (("verify", "--digests"), signal.SIGTERM),
        (("verify", "--digests"), signal.SIGHUP),
        (("plan",), signal.SIGTERM),
        (("plan",), signal.SIGINT),
        (("usage",), signal.SIGTERM),
        (("run", *AT_ONCE), signal.SIGTERM),
    ],
)
def test_a_command_that_never_sleeps_hears_a_signal_within_a_second(
    large: Pruner, words: tuple[str, ...], number: signal.Signals
) -> None:
    before = {path: path.stat().st_mtime_ns for path in large.tree.top.glob("repositories/*/*")}
    process = PrunerProcess(large.config).start(*words)
    assert process.stderr is not None
    wanted = "hash blobs" if words[0] == "verify" else "list repositories"
    while wanted not in process.stderr.readline() and process.poll() is None:
        pass
    process.send_signal(number)
    sent = time.monotonic()
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - sent < 1.5
    assert process.returncode == STOPPED, errors
    assert "asked to end" in errors and "Traceback" not in errors
    assert {path: path.stat().st_mtime_ns for path in before} == before
