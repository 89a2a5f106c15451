"""Image references, taken apart as a pruner needs them."""

from __future__ import annotations

import pytest

from pruner.decide.running import Reference, RunningImages, images_of, parse_reference

SHA = "sha256:" + "ab" * 32
OTHER = "sha512:" + "cd" * 64


@pytest.mark.parametrize(
    ("text", "repositories", "tag", "digest"),
    [
        ("nginx", ("nginx", "library/nginx"), "latest", None),
        ("nginx:1.27", ("nginx", "library/nginx"), "1.27", None),
        ("library/nginx", ("library/nginx",), "latest", None),
        ("team/app:v1", ("team/app",), "v1", None),
        ("docker.io/nginx:1", ("nginx", "library/nginx"), "1", None),
        ("docker.io/library/nginx:1", ("library/nginx",), "1", None),
        ("localhost/app", ("app",), "latest", None),
        ("localhost:32000/app:v2", ("app",), "v2", None),
        ("10.0.0.1:32000/app", ("app",), "latest", None),
        ("[fd00::1]:32000/a/b:v2", ("a/b",), "v2", None),
        ("registry:5000/a/b/c:x_y-z.1", ("a/b/c",), "x_y-z.1", None),
        ("registry.example/a", ("a",), "latest", None),
        ("Registry/a", ("a",), "latest", None),
        ("registry/a", ("registry/a",), "latest", None),
        (f"app@{SHA}", ("app", "library/app"), None, SHA),
        (f"host:1/team/app:v1@{SHA}", ("team/app",), "v1", SHA),
        (f"host:1/team/app@{OTHER}", ("team/app",), None, OTHER),
        (f"docker-pullable://host:1/team/app@{SHA}", ("team/app",), None, SHA),
        (f"docker://{SHA}", (), None, SHA),
        (SHA, (), None, SHA),
        (f"  {SHA}\n", (), None, SHA),
        ("sha256", ("sha256", "library/sha256"), "latest", None),
        ("sha256:v1", ("sha256", "library/sha256"), "v1", None),
        ("a__b/c-d.e:Latest", ("a__b/c-d.e",), "Latest", None),
        ("", (), "latest", None),
    ],
)
def test_references(text: str, repositories: tuple[str, ...], tag: str | None, digest: str | None) -> None:
    assert parse_reference(text) == Reference(repositories, tag, digest)


def test_what_references_protect() -> None:
    assert images_of(["h:1/a:1", f"h:1/a:2@{SHA}", OTHER, ""]) == RunningImages(
        frozenset({("a", "1"), ("a", "2")}), frozenset({SHA, OTHER})
    )
