from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import Any

from sandbox.archive import ImageConfig, pack
from tests.gc.images import digest_of

CONFIG = ImageConfig("localhost/thing:1", ("/bin/thing",), ("serve",))


def rootfs(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_text(name)
    (folder / "link").symlink_to(names[0])
    return folder


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    one, other = rootfs(tmp_path / "one", "a", "b"), rootfs(tmp_path / "other", "b", "a")
    (other / "link").unlink()
    (other / "link").symlink_to("a")
    os.utime(other / "a", (1, 1))
    pack(one, CONFIG, tmp_path / "one.tar")
    pack(other, CONFIG, tmp_path / "other.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "other.tar").read_bytes()


def test_the_archive_names_its_config_and_layer_by_their_digests(tmp_path: Path) -> None:
    pack(rootfs(tmp_path / "rootfs", "a"), CONFIG, tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as archive:

        def read(name: str) -> bytes:
            file = archive.extractfile(name)
            assert file is not None
            return file.read()

        (manifest,) = json.loads(read("manifest.json"))
        document = read(manifest["Config"])
        assert manifest["Config"] == digest_of(document).partition(":")[2] + ".json"
        config: dict[str, Any] = json.loads(document)
        assert config["rootfs"]["diff_ids"] == [digest_of(read("layer.tar"))]
    assert manifest["RepoTags"] == ["localhost/thing:1"]
    assert (config["config"]["Entrypoint"], config["config"]["Cmd"]) == (["/bin/thing"], ["serve"])
    assert not list(tmp_path.glob("*.layer"))
