"""The pruner's own image: built from gc/Dockerfile on the sandbox's Python, and run by `gcImage`."""

from __future__ import annotations

from pathlib import Path

from deploy.workspace import CHECKOUT
from docker_registry_stack import bundle
from sandbox.cluster import import_image
from sandbox.commands import run
from sandbox.images import PYTHON_REFERENCE, build_image, images
from sandbox.place import Place
from sandbox.processes import find_node
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import FAST, until
from tests.gc.images import image, layer

REFERENCE = "localhost/pruner:e2e"
OLD = image([layer("baked old")], "old")
NEW = image([layer("baked new")], "new")


def test_the_image_from_the_dockerfile_prunes(cluster: Place, make_stack: MakeStack, tmp_path: Path) -> None:
    (python,) = [made for made in images() if made.config.reference == PYTHON_REFERENCE]
    context = tmp_path / "context"
    context.mkdir()
    (context / "prune").write_bytes(bundle.build())
    (context / "prune").chmod(0o755)
    storage = [
        "--root",
        str(tmp_path / "containers"),
        "--runroot",
        str(tmp_path / "run"),
        "--storage-driver=vfs",
    ]
    base = run(
        ["buildah", *storage, "pull", "--quiet", f"docker-archive:{build_image(python)}"],
        what="loading Python",
    ).strip()
    run(
        [
            "buildah",
            *storage,
            "build",
            "--quiet",
            "--isolation=chroot",
            f"--build-arg=PYTHON_IMAGE={base}",
            f"--file={CHECKOUT}/gc/Dockerfile",
            f"--tag={REFERENCE}",
            str(context),
        ],
        what="building the pruner's image",
    )
    archive = tmp_path / "pruner.tar"
    run(
        ["buildah", *storage, "push", "--quiet", REFERENCE, f"docker-archive:{archive}:{REFERENCE}"],
        what="saving",
    )
    node = find_node(cluster)
    assert node is not None
    import_image(cluster, node, str(archive), REFERENCE)
    stack = make_stack("baked", **FAST, gcImage=REFERENCE)
    stack.up()
    which = stack.kubectl(
        "exec", "deployment/registry", "--container=gc", "--", "sh", "-c", "command -v prune"
    )
    assert which.strip() == "/usr/local/bin/prune"
    client = stack.client()
    client.push("app", OLD, "latest")
    client.push("app", NEW, "latest")
    until(lambda: not stack.has_blob(OLD.blobs[0]), "the old image's layer is gone from disk")
    client.check("app", "latest", NEW)
