"""Makes the virtual environment with exactly the locked packages; any Python runs this, before all else."""

# No newer syntax here: an old Python must get as far as the sentence that says so.
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time

MINIMUM = (3, 11)
CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOCK_FILE = os.path.join(CHECKOUT, "requirements-dev.txt")
VENV = os.path.join(CHECKOUT, ".venv")


def main() -> None:
    """Set up and say how long it took; nothing is said when there is nothing to do."""
    if sys.version_info < MINIMUM:
        version = ".".join(map(str, sys.version_info[:2]))
        fail(f"Python {version} is too old: install 3.11 or later and name it, `make PYTHON=python3.11 ...`")
    began = time.monotonic()
    if is_current():
        return
    build = os.path.join(CHECKOUT, "build")
    if not os.access(CHECKOUT, os.W_OK):
        fail(f"{CHECKOUT} cannot be written by this user: run this as the owner of the checkout")
    os.makedirs(build, exist_ok=True)
    with open(os.path.join(build, "venv.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_current():
            print("making the virtual environment: this takes a minute", flush=True)
            make()
            print(f"virtual environment made in {time.monotonic() - began:.0f} s", flush=True)


def stamp() -> str:
    """Name a file after what the environment holds and where it lies: an environment cannot move."""
    digest = hashlib.sha256()
    with open(LOCK_FILE, "rb") as lock_file:
        digest.update(lock_file.read())
    digest.update(VENV.encode())
    return os.path.join(VENV, ".locked-" + digest.hexdigest()[:16])


def is_current() -> bool:
    """Tell whether the environment was made whole from this very lock file."""
    return os.path.exists(stamp()) and os.path.exists(os.path.join(VENV, "bin", "python"))


def make() -> None:
    """Make the environment anew, unless a whole one can be brought up to date."""
    python = os.path.join(VENV, "bin", "python")
    works = (
        os.path.exists(python)
        and subprocess.call([python, "-m", "pip", "--version"], stdout=subprocess.DEVNULL) == 0
    )
    if not works:
        shutil.rmtree(VENV, ignore_errors=True)
        need_venv_module()
        run([sys.executable, "-m", "venv", VENV], "making the virtual environment")
    for name in os.listdir(VENV):
        if name.startswith(".locked-"):
            os.unlink(os.path.join(VENV, name))
    run(
        [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            # Python compiles what is imported, which is a small part of this.
            "--no-compile",
            "--require-hashes",
            "-r",
            LOCK_FILE,
        ],
        "installing the locked packages",
    )
    with open(stamp(), "w"):
        pass


def need_venv_module() -> None:
    """Debian keeps the venv module in a package of its own."""
    if subprocess.call([sys.executable, "-c", "import ensurepip"], stderr=subprocess.DEVNULL) == 0:
        return
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        fail(f"Python's venv module is missing: `apt-get install {package}` as root, then try again")
    run(["apt-get", "update", "-qq"], "refreshing the package lists")
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], "installing " + package)


def run(command: "list[str]", what: str) -> None:
    """Run to the end, or say what did not work."""
    if subprocess.call(command, stdin=subprocess.DEVNULL) != 0:
        fail(f"{what} did not work: its words are above")


def fail(sentence: str) -> None:
    """End with one sentence."""
    sys.exit("setup: " + sentence)


if __name__ == "__main__":
    main()
