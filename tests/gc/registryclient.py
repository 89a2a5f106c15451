"""A client of a registry's HTTP API that pushes and pulls as Docker does, and compares what it pulls."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urljoin

import requests

from tests.gc.images import MANIFEST_TYPES, Image, digest_of

TIMEOUT = 30.0  # seconds, for the connection and for every read


class RefusalError(Exception):
    """The registry answered with a status that was not expected."""

    def __init__(self, response: requests.Response) -> None:
        self.status = response.status_code
        self.codes = _codes(response)
        asked = f"{response.request.method} {response.request.path_url}"
        super().__init__(f"{asked}: {self.status} {response.text[:300].strip()}")


class UnansweredError(Exception):
    """The connection failed: whether the registry did what it was asked is unknown."""


class CorruptError(AssertionError):
    """What was pulled is not what was pushed."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A blob upload in flight: where the next request goes, and how many bytes the registry holds."""

    location: str
    received: int = 0


class RegistryClient:
    """One connection to one registry; not for use from several threads at once."""

    def __init__(self, address: str, timeout: float = TIMEOUT) -> None:
        self.base = f"http://{address}"
        self.timeout = timeout
        self.session = requests.Session()
        self.session.trust_env = False  # a proxy from the environment has no way to a loopback registry

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.session.close()

    def request(
        self,
        method: str,
        path: str,
        *expected: int,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
    ) -> requests.Response:
        """Raises RefusalError for a status not in `expected`, UnansweredError for a failed connection."""
        try:
            response = self.session.request(
                method,
                urljoin(self.base, path),
                data=data,
                headers=headers,
                params=params,
                timeout=self.timeout,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise UnansweredError(f"{method} {path}: {error}") from error
        if response.status_code not in expected:
            raise RefusalError(response)
        return response

    def ping(self) -> None:
        self.request("GET", "/v2/", 200)

    # Blobs

    def has_blob(self, repository: str, digest: str) -> bool:
        return self.request("HEAD", f"/v2/{repository}/blobs/{digest}", 200, 404).status_code == 200

    def get_blob(self, repository: str, digest: str) -> bytes:
        return self.request("GET", f"/v2/{repository}/blobs/{digest}", 200).content

    def delete_blob(self, repository: str, digest: str) -> None:
        self.request("DELETE", f"/v2/{repository}/blobs/{digest}", 202)

    def start_upload(self, repository: str) -> Upload:
        return Upload(self.request("POST", f"/v2/{repository}/blobs/uploads/", 202).headers["Location"])

    def append(self, upload: Upload, content: bytes) -> Upload:
        """One chunk more."""
        end = upload.received + len(content)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"{upload.received}-{end - 1}",
        }
        response = self.request("PATCH", upload.location, 202, data=content, headers=headers)
        return Upload(response.headers["Location"], end)

    def finish_upload(self, upload: Upload, digest: str, content: bytes = b"") -> None:
        """Commit the upload as `digest`, with the last bytes if there are any left."""
        headers = {"Content-Type": "application/octet-stream"}
        params = {"digest": digest}
        self.request("PUT", upload.location, 201, data=content, headers=headers, params=params)

    def push_blob(
        self, repository: str, content: bytes, *, chunks: int = 0, mount_from: str | None = None
    ) -> str:
        """Upload in one PUT, or in `chunks` PATCHes; a mount falls back to the upload. Returns the digest."""
        digest = digest_of(content)
        upload = (
            self.mount_blob(repository, digest, mount_from) if mount_from else self.start_upload(repository)
        )
        if upload is None:
            return digest
        if chunks:
            step = max(1, -(-len(content) // chunks))
            for start in range(0, len(content), step):
                upload = self.append(upload, content[start : start + step])
            content = b""
        self.finish_upload(upload, digest, content)
        return digest

    def mount_blob(self, repository: str, digest: str, source: str) -> Upload | None:
        """None when the blob was mounted from the other repository, else the upload that was begun."""
        params = {"mount": digest, "from": source}
        response = self.request("POST", f"/v2/{repository}/blobs/uploads/", 201, 202, params=params)
        return None if response.status_code == 201 else Upload(response.headers["Location"])

    # Manifests

    def has_manifest(self, repository: str, reference: str) -> bool:
        return self._manifest("HEAD", repository, reference, 200, 404).status_code == 200

    def get_manifest(self, repository: str, reference: str) -> bytes:
        return self._manifest("GET", repository, reference, 200).content

    def put_manifest(self, repository: str, reference: str, manifest: Image) -> None:
        path = f"/v2/{repository}/manifests/{reference}"
        self.request("PUT", path, 201, data=manifest.content, headers={"Content-Type": manifest.media_type})

    def delete_manifest(self, repository: str, reference: str) -> None:
        """By digest, with every tag that points at it; by tag on version 3 only."""
        self.request("DELETE", f"/v2/{repository}/manifests/{reference}", 202)

    def _manifest(self, method: str, repository: str, reference: str, *expected: int) -> requests.Response:
        headers = {"Accept": ", ".join(MANIFEST_TYPES)}
        return self.request(method, f"/v2/{repository}/manifests/{reference}", *expected, headers=headers)

    def tags(self, repository: str) -> list[str]:
        """Sorted; empty for a repository that the registry does not know."""
        response = self.request("GET", f"/v2/{repository}/tags/list", 200, 404)
        document = cast(dict[str, Any], response.json())
        return sorted(cast(list[str], document.get("tags") or []))

    def catalog(self) -> list[str]:
        document = cast(dict[str, Any], self.request("GET", "/v2/_catalog?n=1000", 200).json())
        return cast(list[str], document["repositories"] or [])

    # Whole images

    def push(
        self,
        repository: str,
        pushed: Image,
        *tags: str,
        mount_from: str | None = None,
        chunks: int = 0,
        before_manifest: Callable[[Image], None] | None = None,
    ) -> None:
        """As Docker: HEAD each layer, upload what is missing, PUT the manifest, children before their index.

        `before_manifest` is called between a manifest's last blob and its PUT.
        """
        for manifest in pushed.family():
            for blob in manifest.blobs:
                if not self.has_blob(repository, digest_of(blob)):
                    self.push_blob(repository, blob, chunks=chunks, mount_from=mount_from)
            if before_manifest:
                before_manifest(manifest)
            references = tags if manifest is pushed and tags else (manifest.digest,)
            for reference in references:
                self.put_manifest(repository, reference, manifest)

    def check(self, repository: str, reference: str, expected: Image) -> None:
        """Pull everything and compare. Raises CorruptError, RefusalError or UnansweredError."""
        _same(f"{repository}:{reference}", self.get_manifest(repository, reference), expected.content)
        for child in expected.children:
            self.check(repository, child.digest, child)
        for blob in expected.blobs:
            digest = digest_of(blob)
            _same(f"{repository}@{digest}", self.get_blob(repository, digest), blob)


def _same(name: str, pulled: bytes, pushed: bytes) -> None:
    if pulled != pushed:
        raise CorruptError(f"{name}: pulled {len(pulled)} bytes that differ from the {len(pushed)} pushed")


def _codes(response: requests.Response) -> tuple[str, ...]:
    """The error codes of the answer's body, such as BLOB_UNKNOWN."""
    try:
        document = cast(dict[str, Any], response.json())
        return tuple(str(error["code"]) for error in document["errors"])
    except (json.JSONDecodeError, requests.JSONDecodeError, KeyError, TypeError):
        return ()
