"""The pruner's bundle: the same bytes again, small enough for a ConfigMap, complete, and runnable alone."""

from __future__ import annotations

import ast
import importlib
import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from docker_registry_stack import bundle
from docker_registry_stack.lean import lean

# Starts the program, which ends at once, and stays in its process: -I and -S, no environment and no
# site-packages, as on a stock Python image.
_STARTED = """
import runpy, sys
sys.argv = [sys.argv[1], "--version"]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit:
    pass
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle as a file, outside of the project."""
    path = tmp_path_factory.mktemp("bundle") / "prune"
    path.write_bytes(bundle.build())
    path.chmod(0o555)
    return path


def test_the_bytes_are_the_same_in_another_process(program: Path, tmp_path: Path) -> None:
    target = tmp_path / "made" / "prune"
    environment = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Pacific/Apia"}
    subprocess.run(
        [sys.executable, "-m", "docker_registry_stack.bundle", str(target)],
        cwd=bundle.PRUNER.parent.parent,
        env=environment,
        check=True,
    )
    assert target.read_bytes() == bundle.build(bundle.ARCHIVES)
    assert program.read_bytes() == bundle.build()
    assert target.stat().st_mode & 0o777 == 0o755


def test_the_bytes_do_not_depend_on_times_and_modes_of_the_sources(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "pruner"
    shutil.copytree(bundle.PRUNER, copy)
    for path in copy.rglob("*.py"):
        os.utime(path, (0, 1e9))
        path.chmod(0o700)
    (copy / "__pycache__").mkdir(exist_ok=True)
    (copy / "__pycache__" / "cli.cpython-311.pyc").write_bytes(b"stale")
    monkeypatch.setattr(bundle, "PRUNER", copy)
    assert bundle.build() == program.read_bytes()
    (copy / "durations.py").write_text("# other\n")
    assert bundle.build() != program.read_bytes()


def test_it_stays_small(program: Path) -> None:
    assert program.stat().st_size < 250 * 1024


@pytest.mark.parametrize("name", bundle.ARCHIVES)
def test_an_archive_fits_into_a_config_map(name: str) -> None:
    assert len(bundle.archive(name)) < bundle.LIMIT * 0.95


def test_each_library_is_licensed_where_it_lies() -> None:
    for name, libraries in bundle.ARCHIVES.items():
        with zipfile.ZipFile(io.BytesIO(bundle.archive(name))) as archive:
            names = archive.namelist()
        assert {each.split("/")[1] for each in names if each.startswith("licences/")} == set(libraries)


def test_the_client_of_a_bucket_works_from_its_archive_alone(program: Path, tmp_path: Path) -> None:
    library = tmp_path / "library.zip"
    library.write_bytes(bundle.archive("s3"))
    code = (
        f"{_STARTED}sys.path[:0] = [{str(library)!r}]\n"
        "from pruner.registry.s3parameters import S3Parameters\n"
        "from pruner.storage.s3.client import connect\n"
        "client = connect(S3Parameters('b', 'r', 'http://127.0.0.1:1', 'k', 's', path_style=True))\n"
        "import botocore\n"
        "print(botocore.__file__, client.meta.service_model.service_name)\n"
        "print(client.generate_presigned_url('get_object', Params={'Bucket': 'b', 'Key': 'x'})[:22])\n"
    )
    assert _alone(program, code).split() == [
        f"{library}/botocore/__init__.py",
        "s3",
        "http://127.0.0.1:1/b/x",
    ]


def test_it_holds_sources_and_licences_alone_in_order() -> None:
    with zipfile.ZipFile(io.BytesIO(bundle.build())) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert names == [
        "__main__.py",
        "licences/PyYAML/LICENSE",
        "licences/prometheus-client/LICENSE",
        "licences/prometheus-client/NOTICE",
        "licences/tqdm/LICENCE",
        "sources.xz",
    ]


def test_its_libraries_come_from_itself_under_an_interpreter_that_has_none(program: Path) -> None:
    code = (
        f"{_STARTED}"
        "import pruner.settings.durations, tqdm, yaml\n"
        "print(*(m.__file__ for m in (pruner.settings.durations, tqdm, yaml)), sep='\\n')\n"
        "print(yaml.safe_load('a: [1]'), pruner.settings.durations.parse_duration('1h'))\n"
    )
    *files, last = _alone(program, code).splitlines()
    assert all(file.startswith(f"{program}/") for file in files)
    assert last == "{'a': [1]} 3600.0"


def test_each_of_its_modules_is_found(program: Path) -> None:
    """Nothing that was left out is missed, but for what lies in the archives."""
    modules = sorted(
        ".".join(path.relative_to(bundle.PRUNER.parent).with_suffix("").parts)
        for path in bundle.PRUNER.rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    )
    code = (
        f"{_STARTED}import importlib\nfor name in {['tqdm', *modules]!r}:\n"
        "    try:\n        importlib.import_module(name)\n"
        "    except ImportError as error:\n        print(error.name)\n"
    )
    assert set(_alone(program, code).split()) <= {"botocore", "redis"}


def test_tracebacks_name_the_lines_of_the_sources(program: Path) -> None:
    source = bundle.PRUNER / "settings" / "durations.py"
    code = (
        f"{_STARTED}import traceback\n"
        "from pruner.settings.durations import parse_duration\n"
        "try:\n    parse_duration(None)\n"
        "except Exception as error:\n"
        "    frame = traceback.extract_tb(error.__traceback__)[1]\n"
        "    print(frame.filename, frame.lineno, frame.line, sep='\\n')\n"
    )
    file, number, line = _alone(program, code).splitlines()
    assert file == f"{program}/pruner/settings/durations.py"
    assert source.read_text().splitlines()[int(number) - 1].strip() == line


def test_it_says_what_it_has_no_module_of(program: Path) -> None:
    code = f"{_STARTED}import pruner.nothing\n"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(program)], capture_output=True, text=True, check=False
    )
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'pruner.nothing'\n")


def test_sources_lose_their_docstrings_and_no_statement_moves() -> None:
    source = b'''#!/usr/bin/python
"""A module,
of two lines."""

x = "# one"
"""What it is."""

def f():
    """Nothing else."""

def g():
    """A
    b"""; return x
'''
    assert (
        lean(source)
        == b'''#!/usr/bin/python
""


x = "# one"
""

def f():
    ""

def g():
    """A
    b"""; return x
'''
    )


@pytest.mark.parametrize("package", ["pruner", "prometheus_client", "tqdm", "yaml"])
def test_what_is_left_of_a_source_does_the_same(package: str) -> None:
    folder = Path(importlib.import_module(package).__path__[0])
    for path in folder.resolve().rglob("*.py"):
        assert _statements(lean(path.read_bytes())) == _statements(path.read_bytes()), path


def _statements(source: bytes) -> str:
    """All that is run and where it begins."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str()) as text):
                text.value = ""
            case _:
                pass
        if isinstance(node, (ast.stmt, ast.expr)):
            node.end_lineno = node.end_col_offset = 0
    return ast.dump(tree, include_attributes=True)


def _alone(program: Path, code: str) -> str:
    """What the code prints after the program was started in the process."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(program)],
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    version, _, rest = done.stdout.partition("\n")
    assert version.startswith("prune ")
    return rest


def test_it_runs_as_a_program(program: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(program), "--help"], capture_output=True, text=True, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    assert "serve" in done.stdout
    assert program.read_bytes().startswith(b"#!/usr/bin/env python3\n")


def test_the_dockerfile_puts_it_where_it_goes_before_the_mounted_one() -> None:
    text = (bundle.PRUNER.parent / "Dockerfile").read_text()
    assert "COPY prune /usr/local/bin/prune" in text
    assert "ARG PYTHON_IMAGE=" in text
