"""Builds the Go programs of sandbox/go."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sandbox.cache import at_work, built, cache_root, digest_of, entry, readable, size
from sandbox.commands import run
from sandbox.errors import SandboxError
from sandbox.steps import Steps

SOURCES = Path(__file__).resolve().parent / "go"
MINIMUM_GO = (1, 26)
FREE_BYTES = 12 << 30  # modules and the compiler's cache take about two thirds of this in a cold build
FREE_BYTES_AT_LEAST = 2 << 30  # for one program whose modules are there already
# A program that is used and not measured: half the time to compile.
UNOPTIMISED = "-gcflags=all=-N -l"


@dataclass(frozen=True, slots=True)
class Program:
    """One module below sandbox/go: what to build in it, and the variables that the linker sets.

    The executable is called as the module is.
    """

    module: str
    target: str
    # How long a build takes on two idle cores, said to who waits for it.
    usual: str
    variables: tuple[tuple[str, str], ...] = ()
    flags: tuple[str, ...] = (UNOPTIMISED,)

    @property
    def inputs(self) -> str:
        """Changes whenever the built program would."""
        files = sorted(path for path in (SOURCES / self.module).rglob("*") if path.is_file())
        parts = [self.target, str(self.variables), *self.flags]
        return digest_of([*parts, *(path.read_bytes() for path in files)])

    @property
    def is_built(self) -> bool:
        """Whether `build` has nothing to do."""
        return entry(self.module, self.inputs).is_dir()


KUBERNETES_VERSION = "v1.36.3"
PULUMI_VERSION = "3.259.0"

KUBERNETES = Program(
    "kubernetes",
    ".",
    "3 minutes",
    (
        ("k8s.io/component-base/version.gitVersion", KUBERNETES_VERSION),
        ("k8s.io/component-base/version.gitMajor", "1"),
        ("k8s.io/component-base/version.gitMinor", "36"),
        ("k8s.io/component-base/version.gitTreeState", "clean"),
        ("k8s.io/component-base/version.gitCommit", "0" * 40),
        ("k8s.io/client-go/pkg/version.gitVersion", KUBERNETES_VERSION),
    ),
)
# Its speed is measured, so it is compiled as anybody's is.
REGISTRY = Program("registry", "github.com/distribution/distribution/v3/cmd/registry", "90 seconds", flags=())
PULUMI_KUBERNETES = Program("pulumi-resource-kubernetes", ".", "2 minutes")
PULUMI_TLS = Program("pulumi-resource-tls", ".", "a minute")
PULUMI = Program(
    "pulumi",
    "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    "90 seconds",
    (("github.com/pulumi/pulumi/sdk/v3/go/common/version.Version", PULUMI_VERSION),),
)
# Only what is tested against S3 asks for it.
VERSITYGW = Program("versitygw", "github.com/versity/versitygw/cmd/versitygw", "a minute", flags=())
# Only the example in YAML asks for it. It stands on an older engine, so it shares nothing with ours.
PULUMI_YAML = Program(
    "pulumi-language-yaml", "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml", "2 minutes"
)
# Only the tests of the manifests ask for it.
KUBE_SCORE = Program("kube-score", "github.com/zegl/kube-score/cmd/kube-score", "30 seconds")
PAUSE = Program("pause", ".", "a second", flags=())
CLUSTER = (KUBERNETES, REGISTRY, PAUSE)
# Each finds in the compiler's cache what those before it have in common with it, which is most of the engine.
ENGINE = (PULUMI_KUBERNETES, PULUMI_TLS, PULUMI)


def ensure(program: Program, steps: Steps) -> Path:
    """As `build`, said as a step when there is something to do."""
    if program.is_built:
        return build(program)
    with steps.step(f"fetch the modules of {program.module}"):
        fetch(program)
    with steps.step(f"build {program.module} from source", program.usual):
        return build(program)


def begin_ahead(programs: Iterable[Program]) -> None:
    """Fetch the modules of what is not built yet, in this order, while the caller goes on to build.

    Then build what is compiled for speed: it has nothing in the compiler's cache in common with the others,
    and fills the time in which a linker keeps one core busy. A failure is left to `ensure`, which meets it
    again and explains it.
    """

    def work() -> None:
        with suppress(SandboxError):
            for program in wanted:
                fetch(program)
            for program in wanted:
                if UNOPTIMISED not in program.flags:
                    build(program)

    if wanted := [program for program in programs if not program.is_built]:
        threading.Thread(target=work, name="ahead", daemon=True).start()


def note_disk(steps: Steps) -> None:
    """Say how much disk the builds take, when this run made one."""
    if any(what.startswith("build ") for what, _ in steps.taken):
        steps.note(
            f"the builds and what the compiler keeps for the next one take {readable(size(cache_root()))}"
            f" in {cache_root()}; `make clean` gives it back"
        )


def fetch(program: Program) -> None:
    """Have the modules that the program is made of, and no others; what is there already is left.

    Raises SandboxError as `build` does.
    """
    with at_work(program.module):
        _check_go()
        _check_disk()
        _go(program, "list", "-deps", "-f={{.ImportPath}}", program.target, what="fetching the modules of")


def build(program: Program) -> Path:
    """Return the path of the program's executable, compiling it when it is not in the cache.

    Raises SandboxError when Go is missing or too old, when the disk is too full, or when the build fails.
    """

    def compile_into(folder: Path) -> None:
        _check_go()
        _check_disk()
        linker = ["-s", "-w", *(f"-X={name}={value}" for name, value in program.variables)]
        flags = (*program.flags, f"-ldflags={' '.join(linker)}", f"-o={folder / program.module}")
        _go(program, "build", *flags, program.target, what="building from source")

    return built(program.module, program.inputs, compile_into) / program.module


def _go(program: Program, *words: str, what: str) -> None:
    folder = SOURCES / program.module
    run(["go", *words], what=f"{what} {program.module}", cwd=folder, env=_environment())


def _check_go() -> None:
    wanted = ".".join(map(str, MINIMUM_GO))
    if not shutil.which("go"):
        raise SandboxError(
            f"Go is not on PATH: install Go {wanted} or later (https://go.dev/dl) and add its bin to PATH"
        )
    version = run(["go", "env", "GOVERSION"], what="asking Go for its version").strip()
    numbers = re.match(r"go(\d+)\.(\d+)", version)
    if numbers and (int(numbers[1]), int(numbers[2])) < MINIMUM_GO:
        raise SandboxError(f"{version} is too old: install Go {wanted} or later (https://go.dev/dl)")


def _environment() -> dict[str, str]:
    """The caches lie with the builds, so that the user's own stay as they are and one command removes all."""
    return {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false -modcacherw",
        "GOWORK": "off",
        "GOCACHE": str(cache_root() / "go" / "build"),
        "GOMODCACHE": str(cache_root() / "go" / "modules"),
    }


def _check_disk() -> None:
    """What earlier builds left is not needed once more."""
    root = cache_root()
    needed = max(FREE_BYTES_AT_LEAST, FREE_BYTES - size(root / "go"))
    free = shutil.disk_usage(root).free
    if free < needed:
        raise SandboxError(
            f"{root} has {readable(free)} free and a build from source needs {readable(needed)}:"
            " make room, or point XDG_CACHE_HOME at a larger disk"
        )
