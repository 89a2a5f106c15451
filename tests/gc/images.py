"""Images of every media type, made from seeds: the same arguments give the same bytes on any machine."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
COSIGN_PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
MANIFEST_TYPES = (DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX)

Json = dict[str, object]


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def layer(seed: int | str, size: int = 4096) -> bytes:
    """`size` pseudo-random bytes that depend on the seed alone."""
    return random.Random(f"layer {seed}").randbytes(size)


@dataclass(frozen=True, slots=True)
class Image:
    """A manifest and what it takes to push it: its blobs, and its child manifests if it is an index."""

    media_type: str
    content: bytes
    blobs: tuple[bytes, ...] = ()
    children: tuple[Image, ...] = ()

    @property
    def digest(self) -> str:
        return digest_of(self.content)

    def descriptor(self, **more: object) -> Json:
        return describe(self.media_type, self.content, **more)

    def family(self) -> Iterator[Image]:
        """Every manifest below and then this one: the order in which they can be pushed."""
        for child in self.children:
            yield from child.family()
        yield self


def describe(media_type: str, content: bytes, **more: object) -> Json:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **more}


def encode(document: Json) -> bytes:
    return json.dumps(document, indent=3).encode()


def image(
    layers: Sequence[bytes], name: str = "image", *, oci: bool = False, architecture: str = "amd64"
) -> Image:
    """One platform's image; `name` goes into its config, so images of different names share layers only."""
    config = encode(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Labels": {"name": name}},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(each) for each in layers]},
        }
    )
    kind, config_type, layer_type = (
        (OCI_MANIFEST, OCI_CONFIG, OCI_LAYER) if oci else (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER)
    )
    manifest: Json = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": describe(config_type, config),
        "layers": [describe(layer_type, each) for each in layers],
    }
    return Image(kind, encode(manifest), (*layers, config))


def index(children: Sequence[Image], *, oci: bool = True, annotations: Json | None = None) -> Image:
    """A multi-platform index (OCI) or manifest list (Docker) over the children."""
    kind = OCI_INDEX if oci else DOCKER_LIST
    platforms = ("amd64", "arm64", "s390x", "ppc64le", "riscv64")
    document: Json = {
        "schemaVersion": 2,
        "mediaType": kind,
        "manifests": [
            child.descriptor(platform={"os": "linux", "architecture": platforms[number % len(platforms)]})
            for number, child in enumerate(children)
        ],
    }
    if annotations:
        document["annotations"] = annotations
    return Image(kind, encode(document), (), tuple(children))


def attested(platform: Image, seed: int | str) -> Image:
    """An index as buildx writes it: the image, and its attestation as a child of platform unknown/unknown."""
    statement = layer(f"in-toto {seed}", 512)
    config = encode({"architecture": "unknown", "os": "unknown"})
    manifest: Json = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": describe(OCI_CONFIG, config),
        "layers": [describe("application/vnd.in-toto+json", statement)],
    }
    attestation = Image(OCI_MANIFEST, encode(manifest), (statement, config))
    document: Json = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            platform.descriptor(platform={"os": "linux", "architecture": "amd64"}),
            attestation.descriptor(
                platform={"os": "unknown", "architecture": "unknown"},
                annotations={
                    "vnd.docker.reference.digest": platform.digest,
                    "vnd.docker.reference.type": "attestation-manifest",
                },
            ),
        ],
    }
    return Image(OCI_INDEX, encode(document), (), (platform, attestation))


def artifact(
    seed: int | str, *, subject: Image | None = None, artifact_type: str = "application/vnd.example.sbom"
) -> Image:
    """An OCI 1.1 artifact: an empty config, one blob, and the manifest it is about (`subject`)."""
    empty, payload = b"{}", layer(f"artifact {seed}", 1024)
    document: Json = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": describe(OCI_EMPTY, empty),
        "layers": [describe(artifact_type, payload)],
    }
    if subject:
        document["subject"] = subject.descriptor()
    return Image(OCI_MANIFEST, encode(document), (payload, empty))


def signature(subject: Image) -> Image:
    """What cosign pushes under `cosign_tag`: an ordinary image whose one layer names the signed digest."""
    payload = encode({"critical": {"image": {"docker-manifest-digest": subject.digest}}})
    config = encode(
        {"architecture": "", "os": "", "rootfs": {"type": "layers", "diff_ids": [digest_of(payload)]}}
    )
    document: Json = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": describe(OCI_CONFIG, config),
        "layers": [describe(COSIGN_PAYLOAD, payload)],
    }
    return Image(OCI_MANIFEST, encode(document), (payload, config))


def cosign_tag(digest: str, suffix: str = "sig") -> str:
    return f"{digest.replace(':', '-')}.{suffix}"


def fallback_tag(digest: str) -> str:
    """The tag of a subject's referrers where there is no referrers API: at most 32 and 64 characters."""
    algorithm, _, value = digest.partition(":")
    return f"{algorithm[:32]}-{value[:64]}"
