"""The container images of the sandbox, made on this machine: no image registry is within reach."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandbox import golang
from sandbox.archive import ARCHITECTURES, ImageConfig, pack
from sandbox.cache import built, digest_of, entry
from sandbox.commands import run
from sandbox.errors import SandboxError
from sandbox.packages import IMAGES as PACKAGES
from sandbox.packages import install, missing

SUITE = "bookworm"
# A change of how root file systems are made must make them anew.
RECIPE = "2"

PAUSE_REFERENCE = "localhost/pause:sandbox"
REGISTRY_REFERENCE = "localhost/registry:3"
REGISTRY_2_REFERENCE = "localhost/registry:2"
PYTHON_REFERENCE = "localhost/python:3.11"
REDIS_REFERENCE = "localhost/redis:7"


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its config, what its bytes depend on, and how its root file system comes about."""

    kind: str
    config: ImageConfig
    inputs: str
    fill: Callable[[Path], None]

    @property
    def is_built(self) -> bool:
        """Whether `build_image` has nothing to do."""
        return entry(self.kind, self.inputs).is_dir()


def build_image(image: Image) -> Path:
    """Return the path of the image's archive, making it when it is not in the cache."""

    def make(folder: Path) -> None:
        rootfs = folder / "rootfs"
        rootfs.mkdir()
        image.fill(rootfs)
        pack(rootfs, image.config, folder / "image.tar")
        shutil.rmtree(rootfs)

    return built(image.kind, image.inputs, make) / "image.tar"


def images() -> tuple[Image, ...]:
    """What every sandbox has: the pod's pause, two registries, and a Python without PyYAML."""
    return (
        _from_program("image-pause", PAUSE_REFERENCE, golang.PAUSE, "/pause"),
        _from_program("image-registry3", REGISTRY_REFERENCE, golang.REGISTRY, "/bin/registry"),
        _from_debian(
            "image-registry2", REGISTRY_2_REFERENCE, ("docker-registry",), "/usr/bin/docker-registry"
        ),
        _from_debian(
            "image-python", PYTHON_REFERENCE, ("python3", "coreutils", "dash"), "", "/usr/bin/python3"
        ),
    )


def redis_image() -> Image:
    """Debian's Redis, for the sandboxes that want one."""
    return _from_debian("image-redis", REDIS_REFERENCE, ("redis-server",), "/usr/bin/redis-server")


def _from_program(kind: str, reference: str, program: golang.Program, path: str) -> Image:
    def fill(rootfs: Path) -> None:
        target = rootfs / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(golang.build(program), target)
        (rootfs / "tmp").mkdir(mode=0o1777)

    config = ImageConfig(reference, (path,), architecture=_architecture())
    return Image(kind, config, digest_of([RECIPE, program.inputs, reference]), fill)


def _from_debian(
    kind: str, reference: str, packages: tuple[str, ...], entrypoint: str, command: str = ""
) -> Image:
    def fill(rootfs: Path) -> None:
        install(missing(PACKAGES))
        run(
            [
                "mmdebstrap",
                "--quiet",
                "--mode=root",
                "--variant=extract",
                "--format=directory",
                f"--include={','.join(packages)}",
                SUITE,
                rootfs,
                *_apt_sources(),
            ],
            what=f"unpacking Debian's {', '.join(packages)}",
            env={"SOURCE_DATE_EPOCH": "0"},
        )
        for needless in (
            "usr/share/doc",
            "usr/share/man",
            "usr/share/locale",
            "var/cache/apt",
            "var/lib/apt",
        ):
            shutil.rmtree(rootfs / needless, ignore_errors=True)
        for device in (rootfs / "dev").iterdir():
            device.unlink() if not device.is_dir() or device.is_symlink() else shutil.rmtree(device)
        shell = rootfs / "bin/sh"
        if not os.path.lexists(shell) and (rootfs / "bin/dash").exists():
            shell.symlink_to("dash")

    config = ImageConfig(
        reference,
        (entrypoint,) if entrypoint else (),
        (command,) if command else (),
        _architecture(),
    )
    return Image(kind, config, digest_of([RECIPE, SUITE, *packages, reference]), fill)


def _architecture() -> str:
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise SandboxError(
            f"the sandbox knows no images for {machine}: use one of {', '.join(ARCHITECTURES)}"
        )
    return ARCHITECTURES[machine]


def _apt_sources() -> list[Path]:
    """This machine's own sources, so that its mirror is used; none lets mmdebstrap take its default."""
    folder = Path("/etc/apt")
    found = [*sorted(folder.glob("sources.list.d/debian*.sources")), folder / "sources.list"]
    return [path for path in found if path.is_file() and path.stat().st_size > 0][:1]
