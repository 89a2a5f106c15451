"""The command line: exit codes, the contracts of --output json, help, SIGTERM, and what bad input changes."""

from __future__ import annotations

import csv
import errno
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pruner import __version__, errors
from pruner.cli import line
from pruner.cli import main as cli
from pruner.cli.commands import COMMANDS, load
from pruner.cli.commands.verify import PROBLEMS
from pruner.cli.console import log
from pruner.storage.filesystem import FileSystem
from pruner.sweep import state
from tests.gc.images import digest_of, image, layer
from tests.gc.inprocess import Pruner
from tests.gc.prunerprocess import AT_ONCE, PrunerProcess
from tests.gc.treebuilder import age, snapshot, write
from tests.gc.waiting import until

KEPT = image([layer("base"), layer("kept")], "kept")
GONE = image([layer("base"), layer("gone")], "gone")
LOOK_AT_ONCE = ("--grace", "0", "--untagged-after", "0")


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Prune = Callable[..., Result]


@pytest.fixture
def prune(capsys: pytest.CaptureFixture[str], pruner: Pruner) -> Iterator[Prune]:
    """One command in this process, on the tree of `pruner`; variables come as keywords."""
    before = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT)]
    handlers = list(log.handlers)

    def call(*words: str, **variables: str) -> Result:
        capsys.readouterr()
        options = [] if "--config" in words or words[0] == "init-config" else ["--config", str(pruner.config)]
        code = cli.main([words[0], *options, *words[1:]], variables)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    yield call
    log.handlers[:] = handlers
    for number, handler in before:
        signal.signal(number, handler)


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    """A tree that real time has made a day old."""
    pruner = Pruner(tmp_path)
    pruner.tree.push("app", KEPT, "kept")
    pruner.tree.push("app", GONE)
    age(pruner.data, 86400)
    return pruner


# Exit codes


def _no_yaml(pruner: Pruner) -> None:
    pruner.config.write_text("storage: [unclosed")


def _unknown_driver(pruner: Pruner) -> None:
    pruner.config.write_text("version: 0.1\nstorage: {floppy: {drive: a}}\n")


def _no_config(pruner: Pruner) -> None:
    pruner.config.unlink()


def _no_storage(pruner: Pruner) -> None:
    pruner.data.rename(pruner.folder / "unplugged")


def _no_registry(pruner: Pruner) -> None:
    for path in pruner.data.iterdir():
        path.rename(pruner.folder / path.name)
    write(pruner.data / "photos/holiday.jpg", b"sea")


def _fuse(pruner: Pruner) -> None:
    write(pruner.data / "scheduler-state.json", b"{}")


def _unreadable(pruner: Pruner) -> None:
    blobs = pruner.tree.top / "blobs"
    blobs.rename(pruner.folder / "blobs")
    blobs.symlink_to("blobs")  # to itself: nobody, not even root, can list it


BAD: dict[str, tuple[Callable[[Pruner], None], int]] = {
    "a config that does not parse": (_no_yaml, 3),
    "an unknown driver": (_unknown_driver, 3),
    "no config": (_no_config, 3),
    "no storage": (_no_storage, 4),
    "no registry's tree": (_no_registry, 5),
    "a fuse": (_fuse, 6),
    "an unreadable tree": (_unreadable, 7),
}
READING = (("plan",), ("usage",), ("explain", KEPT.digest), ("verify",), ("trash", "list"))


@pytest.mark.parametrize("case", BAD)
def test_bad_input_has_an_exit_code_of_its_own_and_changes_nothing(
    pruner: Pruner, prune: Prune, case: str
) -> None:
    spoil, code = BAD[case]
    spoil(pruner)
    before = snapshot(pruner.folder)
    for words in (("run", *AT_ONCE), *READING):
        if words[0] == "trash" and code == 7:
            continue  # the trash is readable all the same
        result = prune(words[0], "--output", "json", *words[1:])
        assert result.code == code, (words, result.err)
        error = result.json["error"]
        assert error["exit_code"] == code
        assert len(error["message"]) > 30 and "Traceback" not in result.err
        after = snapshot(pruner.folder, without=("data/docker/registry/v2/pruner",))
        assert after == before, words
    assert prune("run", *AT_ONCE).out == "", "a sentence for people goes to standard error"


def test_wrong_settings_are_told_by_name(pruner: Pruner, prune: Prune) -> None:
    before = snapshot(pruner.folder)
    for words, variables, name in (
        (("run", "--grace", "soon"), {}, "--grace"),
        (("run",), {"GC_GRACE": "soon"}, "GC_GRACE"),
        (("plan", "--retention", "[{}]"), {}, "--retention"),
    ):
        result = prune(*words, **variables)
        assert result.code == 3
        assert name in result.err
    assert snapshot(pruner.folder) == before


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("explain", "latest"), "'latest' is not a digest"),
        (("trash", "restore"), "needs digests"),
        (("trash", "purge", GONE.digest), "takes no digests"),
        (("trash", "purge", "--all"), "takes no digests"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(
    pruner: Pruner, prune: Prune, words: tuple[str, ...], name: str
) -> None:
    before = snapshot(pruner.folder)
    result = prune(*words)
    assert result.code == 2
    assert name in result.err
    assert snapshot(pruner.folder) == before


@pytest.mark.parametrize("words", [[], ["prune"], ["run", "--no-such"], ["explain"], ["trash", "burn"]])
def test_wrong_usage_is_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(words, {})
    assert caught.value.code == 2
    assert "usage: prune" in capsys.readouterr().err


def test_exit_codes_are_distinct_and_documented() -> None:
    # A silent cluster never ends a command: the run goes on more carefully.
    kinds = {errors.PrunerError, *errors.PrunerError.__subclasses__()} - {errors.ClusterError}
    codes = [kind.exit_code for kind in kinds]
    assert len(set(codes)) == len(codes) == 12
    documented = {int(code) for code in re.findall(r" (\d+)  \w", line.parser().epilog or "")}
    assert {0, 1, 2, PROBLEMS, cli.STOPPED, *codes} == documented, "no more either"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_a_command_does(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"], {})
    assert caught.value.code == 0
    page = capsys.readouterr().out
    text = " ".join(page.split())  # where lines are broken depends on the terminal
    assert f"usage: prune {command}" in text
    assert re.search(rf"^  +{command}\s+\w", line.parser().format_help(), re.MULTILINE)
    if command not in ("init-config", "claim", "metrics"):
        assert "exit codes:" in text and "GC_" in text
        assert re.search(r"^\w[^\n]*\.$", page, re.MULTILINE), "a sentence about it"


@pytest.mark.parametrize(
    ("command", "has", "has_not"),
    [
        ("serve", "--period --grace --max-fraction --trash --override", ""),
        ("run", "--grace --max-fraction --trash --override", "--period --initial-delay"),
        ("plan", "--grace --max-fraction --trash --override", "--period --initial-delay"),
        ("explain", "--grace --trash --override", "--period --max-fraction"),
        ("usage", "--grace --override", "--period --max-fraction --trash"),
        ("verify", "--override", "--period --grace --max-fraction --trash --retention"),
        ("trash", "--trash --grace --override", "--period --max-fraction"),
        ("claim", "--owner --record --adopt", "--override --grace"),
        ("init-config", "", "--override --grace"),
    ],
)
def test_a_command_lists_and_takes_the_settings_that_concern_it(
    prune: Prune, capsys: pytest.CaptureFixture[str], command: str, has: str, has_not: str
) -> None:
    page = line.command_parser(command, load(command)).format_help()
    for option in has.split():
        assert f"  {option} " in page
    words = {"explain": [GONE.digest], "trash": ["list"], "init-config": ["a", "b"]}.get(command, [])
    words = ["--owner", "a/b"] if command == "claim" else words
    for option in has_not.split():
        assert f"  {option} " not in page
        with pytest.raises(SystemExit) as caught:
            cli.main([command, f"{option}=1", *words], {})
        assert caught.value.code == 2
        assert f"{option} does not concern {command}" in capsys.readouterr().err
    if command == "verify":
        assert prune("verify", GC_GRACE="soon", GC_PERIOD="0").code == 0, "a variable is another command's"


@pytest.mark.parametrize(
    ("words", "command", "record"),
    [
        (("--record", "registry/claim", "claim"), "claim", "registry/claim"),
        (("--record=registry/claim", "claim"), "claim", "registry/claim"),
        (("claim", "--record", "registry/claim"), "claim", "registry/claim"),
        (("--record", "plan"), "plan", True),
        (("--summary", "--record", "plan"), "plan", True),
        (("--record", "--summary", "plan"), "plan", True),
        (("--record", "run", "--dry-run"), "run", True),
        (("plan", "--record"), "plan", True),
    ],
)
def test_an_option_before_the_command_is_that_of_the_command(
    words: tuple[str, ...], command: str, record: object
) -> None:
    """--record takes a value for claim alone."""
    needed = ("--owner", "us", "--called", "the tree") if command == "claim" else ()
    _, arguments = line.parse((*words, *needed))
    assert (arguments.command, arguments.record) == (command, record)


def test_options_may_stand_before_the_command(pruner: Pruner) -> None:
    words = ("--output", "json", "--config", str(pruner.config), "--grace=0")
    process = PrunerProcess(pruner.config)
    command = [*process.command("plan")[:3], *words, "plan", "--untagged-after", "0"]
    plan = subprocess.run(command, env=process.variables(), capture_output=True, check=True)
    assert json.loads(plan.stdout)["removals"] == process.report("plan", *LOOK_AT_ONCE)["removals"] != []


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"], {})
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"prune {__version__}\n"


def test_a_dry_run_is_the_plan(pruner: Pruner, prune: Prune) -> None:
    before = snapshot(pruner.data)
    dry = prune("run", "--dry-run", "--output", "json", *AT_ONCE).json
    assert dry["removals"] == prune("plan", "--output", "json", *AT_ONCE).json["removals"] != []
    assert dry["summary"]["executed"] is False
    assert snapshot(pruner.data) == before


# Results


def test_plan_and_run_print_the_same_removals(pruner: Pruner, prune: Prune) -> None:
    before = snapshot(pruner.data)
    plan = prune("plan", "--output", "json", *AT_ONCE)
    assert snapshot(pruner.data) == before
    text = prune("plan", *AT_ONCE).out
    run = prune("run", "--output", "json", *AT_ONCE)
    assert (plan.code, run.code) == (0, 0)
    assert run.json["removals"] == plan.json["removals"] != []
    for removal in plan.json["removals"]:
        assert f"{removal['kind']}\t{removal['path']}\t" in text
    assert plan.json["summary"]["executed"] is False and run.json["summary"]["executed"] is True
    assert prune("run", *AT_ONCE).out.startswith("Nothing to remove in 1 repository.")


def test_logs_are_lines_of_json_or_logfmt_and_never_on_standard_output(prune: Prune) -> None:
    lines = [json.loads(line) for line in prune("run", "--output", "json", *AT_ONCE).err.splitlines()]
    assert {"time", "level", "msg"} <= set(lines[0])
    phases = [line["phase"] for line in lines if line["msg"] == "phase"]
    assert phases.index("quarantine") > phases.index("mark")
    assert lines[-1]["removable_blobs"] == 3
    for said in prune("run", *AT_ONCE).err.splitlines():
        assert re.match(r'time=\S+Z level=info msg=(\w+|".*")', said), said


def test_variables_set_what_options_do(pruner: Pruner, prune: Prune) -> None:
    variables = {"GC_GRACE": "0", "GC_UNTAGGED_AFTER": "2d", "GC_CONFIG": str(pruner.config)}
    assert prune("plan", "--output", "json", **variables).json["removals"] == []
    options = ("--untagged-after", "1h")
    assert prune("plan", "--output", "json", *options, **variables).json["removals"] != []


def test_usage_explain_and_verify_speak_json(pruner: Pruner, prune: Prune) -> None:
    used = prune("usage", "--output", "json", *LOOK_AT_ONCE).json
    assert used["repositories"][0]["name"] == "app"
    assert used["reclaimable_bytes"] == used["repositories"][0]["reclaimable_bytes"] > 4096
    explained = prune("explain", GONE.digest, "--output", "json", *LOOK_AT_ONCE).json
    assert (explained["digest"], explained["fate"]) == (GONE.digest, "goes")
    assert prune("verify", "--digests", "--output", "json").json["ok"] is True
    pruner.tree.blob_path(digest_of(layer("kept"))).write_bytes(b"rotten")
    assert prune("verify").code == 0
    broken = prune("verify", "--digests", "--output", "json")
    assert (broken.code, broken.json["ok"]) == (PROBLEMS, False)
    assert broken.json["problems"][0]["kind"] == "digest-mismatch"


def test_usage_says_what_is_shared_and_how_it_grew(pruner: Pruner, prune: Prune) -> None:
    for name in ("one", "two"):
        pruner.tree.push(f"team/{name}", image([layer("base"), layer(name)], name), "v1")
    age(pruner.data, 86400)
    prune("run", *AT_ONCE)
    pruner.tree.push("app", image([layer("base"), layer("more", 5000)], "more"), "more")
    used = prune("usage", "--output", "json").json
    (then,) = used["growth"]
    assert used["bytes"] - then["bytes"] > 5000 and abs(then["at"] - time.time()) < 60
    assert used["shared"][0]["digest"] == digest_of(layer("base"))
    assert used["shared"][0]["repositories"] == 3
    assert used["largest"][0]["tag"] == "more" and used["oldest"][0]["tag"] != "more"
    text = prune("usage").out
    assert f"{digest_of(layer('base'))}  " in text and "GROWTH SINCE THE RUN OF" in text
    rows = list(csv.DictReader(prune("usage", "--output", "csv").out.splitlines()))
    assert [row["repository"] for row in rows] == ["app", "team/one", "team/two"]
    assert [int(row["shared_bytes"]) for row in rows] == [
        each["shared_bytes"] for each in used["repositories"]
    ]


def test_history_shows_what_runs_came_to(pruner: Pruner, prune: Prune) -> None:
    assert prune("history").out == "No run has been written down yet.\n"
    prune("run", *AT_ONCE)
    write(pruner.data / "scheduler-state.json", b"{}")
    refused = prune("run", *AT_ONCE)
    (pruner.data / "scheduler-state.json").unlink()
    done, fuse = prune("history", "--output", "json").json["runs"]
    assert (done["ended"], done["exit_code"], done["removed"]["blob"]["count"]) == ("done", 0, 3)
    assert (fuse["ended"], fuse["exit_code"]) == ("refused", refused.code)
    assert "pull-through cache" in fuse["message"]
    rows = prune("history").out.splitlines()
    assert rows[0].split()[:3] == ["BEGAN", "TOOK", "RESULT"] and " done " in rows[1]


def test_an_empty_registry_has_a_usage(pruner: Pruner, prune: Prune) -> None:
    pruner.data.rename(pruner.folder / "elsewhere")
    pruner.data.mkdir()
    used = prune("usage", "--output", "json")
    assert used.code == 0
    assert (used.json["repositories"], used.json["blobs"], used.json["bytes"]) == ([], 0, 0)
    assert prune("usage").out.splitlines()[-1].startswith("0 blobs, 0 B; ")
    assert prune("usage", "--output", "csv").out.count("\n") == 1, "a header"
    assert list(pruner.data.iterdir()) == []


def test_the_trash_is_listed_restored_and_purged(pruner: Pruner, prune: Prune) -> None:
    at_once = (*AT_ONCE, "--trash", "1d")
    prune("run", *at_once)
    listed = prune("trash", "list", "--output", "json").json
    assert {blob["digest"] for blob in listed["blobs"]} >= {GONE.digest, digest_of(layer("gone"))}
    assert listed["bytes"] == sum(blob["bytes"] for blob in listed["blobs"]) > 4096
    assert abs(listed["blobs"][0]["since"] - time.time()) < 60
    unknown = prune("trash", "restore", digest_of(b"unknown"))
    assert unknown.code == 2 and "is not in the trash" in unknown.err
    restored = prune("trash", "restore", GONE.digest, "--output", "json").json
    assert len(restored["blobs"]) == restored["links"] == 3
    assert prune("verify", "--digests").code == 0
    age(pruner.data, 86400)
    prune("run", *at_once)
    assert "3 blobs purged" in prune("trash", "purge").out
    assert prune("trash", "list", "--output", "json").json["blobs"] == []
    assert "0 blobs" in prune("trash", "restore", "--all").out


def test_without_a_cluster_to_ask_nothing_untagged_goes(prune: Prune) -> None:
    report = prune("run", "--output", "json", *AT_ONCE, "--protect-running", "true").json
    assert "revision" not in report["summary"]["by_kind"]
    assert any("nothing untagged goes" in note for note in report["summary"]["notes"])


@pytest.mark.parametrize("action", [("list",), ("purge",), ("restore", "--all")])
def test_a_storage_without_a_tree_has_no_trash_and_gets_none(
    pruner: Pruner, prune: Prune, action: tuple[str, ...]
) -> None:
    pruner.data.rename(pruner.folder / "unmounted")
    pruner.data.mkdir()
    result = prune("trash", *action, "--output", "json")
    assert (result.code, result.json["blobs"]) == (0, [])
    assert list(pruner.data.iterdir()) == []


def test_what_cannot_be_read_is_a_sentence_and_7(
    pruner: Pruner, prune: Prune, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_storage: FileSystem, path: str, *_: object) -> NoReturn:
        raise OSError(errno.EIO, "Input/output error", f"{pruner.data}/{path}")

    prune("run", *AT_ONCE, "--trash", "1d")
    for call, words in (
        ("chunks", ("verify", "--digests")),
        ("stat", ("usage",)),
        ("stat", ("trash", "list")),
        ("list", ("trash", "list")),
        ("read", ("explain", KEPT.digest)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(FileSystem, call, broken)
            result = prune(*words, "--output", "json")
        assert result.code == 7, (call, words, result.err)
        assert "Input/output error" in result.json["error"]["message"]


def test_init_config_copies_and_keeps_out_of_the_way(pruner: Pruner, prune: Prune) -> None:
    target = pruner.folder / "copy.yml"
    assert prune("init-config", str(pruner.config), str(target)).code == 0
    assert target.read_bytes() == pruner.config.read_bytes()
    assert prune("init-config", str(pruner.folder / "missing"), str(target)).code == 3


# Signals, and the container's life


def test_sigterm_while_a_run_waits_undoes_it(pruner: Pruner) -> None:
    process = PrunerProcess(pruner.config)
    before = pruner.snapshot()
    run = process.start("run", "--output", "json", *AT_ONCE, "--grace", "60")
    until(lambda: not pruner.tree.revision_path("app", GONE.digest).exists(), process=run)
    run.send_signal(signal.SIGTERM)
    result = process.finish(run, cli.STOPPED, timeout=20)
    assert result["error"]["message"] == "asked to end: what was begun is undone, or finished by the next run"
    assert pruner.snapshot() == before
    assert process.prune_at_once()["summary"]["removable_blobs"] == 3


def test_serve_reserves_space_runs_and_ends_when_asked_to(pruner: Pruner) -> None:
    process = PrunerProcess(pruner.config, {"GC_INITIAL_DELAY": "0.3", "GC_PERIOD": "60"})
    serve = process.start("serve", "--output", "json", *AT_ONCE)
    assert serve.stderr is not None
    assert any(json.loads(said)["msg"] == "sleeping" for said in serve.stderr)
    assert not pruner.has_blob(GONE.digest)
    assert (pruner.data / state.RESERVE).stat().st_size == state.RESERVE_SIZE
    serve.send_signal(signal.SIGTERM)
    output, errors_ = serve.communicate(timeout=20)
    assert serve.returncode == 0
    assert json.loads(output)["summary"]["removable_blobs"] == 3
    assert json.loads(errors_.splitlines()[-1])["msg"] == "ended"


def test_serve_that_is_asked_to_end_in_a_run_undoes_it_first(pruner: Pruner) -> None:
    before = pruner.snapshot()
    process = PrunerProcess(pruner.config, {"GC_INITIAL_DELAY": "0"})
    serve = process.start("serve", *AT_ONCE, "--grace", "60")
    until(lambda: not pruner.tree.revision_path("app", GONE.digest).exists(), process=serve)
    serve.send_signal(signal.SIGTERM)
    serve.communicate(timeout=20)
    assert serve.returncode == 0
    assert pruner.snapshot() == before
