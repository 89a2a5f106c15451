"""The S3 server, spoken to by curl, which signs requests as S3 wants it."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.s3 import REGION, S3, s3_server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s3")


@pytest.fixture
def server(folder: Path) -> Iterator[S3]:
    with s3_server(folder) as running:
        yield running


def ask(server: S3, method: str, path: str, body: str = "", secret: str | None = None) -> tuple[int, str]:
    """The status and the body of one signed request."""
    config = f'user = "{server.access_key}:{server.secret_key if secret is None else secret}"\n'
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--config", "-", "--request", method]
    command += ["--aws-sigv4", f"aws:amz:{REGION}:s3", "--write-out", "\n%{http_code}"]
    command += ["--header", f"x-amz-content-sha256: {hashlib.sha256(body.encode()).hexdigest()}"]
    command += ["--data-binary", body] if method == "PUT" else []
    done = subprocess.run(
        [*command, f"{server.endpoint}{path}"], input=config, capture_output=True, text=True, check=True
    )
    text, _, status = done.stdout.rpartition("\n")
    return int(status), text


def test_what_is_put_is_got_and_lies_in_the_folder(server: S3) -> None:
    assert ask(server, "PUT", "/bucket") == (200, "")
    assert ask(server, "PUT", "/bucket/a/b", "content") == (200, "")
    assert ask(server, "GET", "/bucket/a/b") == (200, "content")
    assert (server.data / "bucket" / "a" / "b").read_text() == "content"


def test_a_server_on_the_same_folder_has_the_same_objects_and_keys(server: S3) -> None:
    assert ask(server, "GET", "/bucket/a/b") == (200, "content")
    status, listing = ask(server, "GET", "/bucket")
    assert status == 200
    assert "<Key>a/b</Key>" in listing


def test_a_wrong_key_is_refused(server: S3) -> None:
    assert ask(server, "GET", "/bucket/a/b", secret="wrong")[0] == 403


def test_the_keys_are_on_no_command_line(server: S3) -> None:
    line = Path(f"/proc/{server.pid}/cmdline").read_bytes()
    assert server.secret_key.encode() not in line
    assert server.secret_key not in repr(server)
