from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sandbox.__main__ import main
from sandbox.cache import built, cache_root, clear, digest_of, readable, size
from sandbox.errors import SandboxError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache_root()


def write(folder: Path) -> None:
    (folder / "result").write_text("built")


def never(folder: Path) -> None:
    raise AssertionError(f"built again into {folder}")


def test_a_build_is_made_once() -> None:
    first = built("kind", "abc", write)
    assert built("kind", "abc", never) == first
    assert (first / "result").read_text() == "built"


def test_other_inputs_are_another_build() -> None:
    assert built("kind", "abc", write) != built("kind", "abd", write)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SandboxError, OSError])
def test_an_interrupted_build_is_made_again(cache: Path, interruption: type[BaseException]) -> None:
    def half(folder: Path) -> None:
        (folder / "half").touch()
        raise interruption

    with pytest.raises(interruption):
        built("kind", "abc", half)
    assert [path for path in cache.iterdir() if path.is_dir()] == []
    whole = built("kind", "abc", write)
    assert [path.name for path in whole.iterdir()] == ["result"]


def test_what_a_killed_build_left_is_cleared(cache: Path) -> None:
    part = cache / ".kind.part"
    part.mkdir(parents=True)
    (part / "half").touch()
    assert [path.name for path in built("kind", "abc", write).iterdir()] == ["result"]


def test_two_at_once_build_once() -> None:
    began, go_on, builds = threading.Event(), threading.Event(), list[str]()

    def slow(folder: Path) -> None:
        builds.append("slow")
        began.set()
        assert go_on.wait(10)
        write(folder)

    first = threading.Thread(target=built, args=("kind", "abc", slow))
    second = threading.Thread(target=built, args=("kind", "abc", never))
    first.start()
    assert began.wait(10)
    second.start()
    go_on.set()
    first.join(10)
    second.join(10)
    assert builds == ["slow"]


def test_a_cache_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(SandboxError, match="set XDG_CACHE_HOME to another folder"):
        built("kind", "abc", write)


def test_the_digest_keeps_its_parts_apart() -> None:
    assert digest_of(["ab", "c"]) != digest_of(["a", "bc"])
    assert digest_of(["a", b"b"]) == digest_of([b"a", "b"])


def test_clearing_gives_back_all_of_it_and_says_how_much(cache: Path) -> None:
    def large(folder: Path) -> None:
        (folder / "result").write_bytes(b"1" * (3 << 20))

    built("kind", "abc", large)
    modules = cache / "go" / "modules" / "module@v1"
    modules.mkdir(parents=True)
    (modules / "source").write_text("package source")
    taken = size(cache)
    assert taken >= 3 << 20
    assert clear() == taken
    assert not cache.exists()
    assert clear() == 0


def test_make_clean_gives_it_back_where_no_cluster_runs(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sandbox.place.STATE_ROOT", tmp_path / "sandboxes")
    monkeypatch.setattr("sys.argv", ["sandbox", "clean"])
    # A sandbox whose machine was started anew: its folder is there, and nothing runs.
    (tmp_path / "sandboxes" / "ended").mkdir(parents=True)
    built("kind", "abc", write)
    assert main() == 0
    assert f"given back: {cache} is gone" in capsys.readouterr().out
    assert not cache.exists()


def test_nothing_is_cleared_while_something_is_built() -> None:
    whole = built("whole", "abc", write)

    def building(_folder: Path) -> None:
        with pytest.raises(SandboxError, match="kind is being built in"):
            clear()

    built("kind", "abc", building)
    assert (whole / "result").exists()
    clear()


def test_sizes_read_well() -> None:
    assert readable(5 << 20) == "5 MiB"
    assert readable(3 << 29) == "1.5 GiB"
