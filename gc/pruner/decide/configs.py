"""Images that the cluster knows by the digest of their config alone."""

from __future__ import annotations

from pruner.tree import layout
from pruner.tree.digests import key_of, text_of
from pruner.tree.library import Library
from pruner.tree.manifests import Manifest
from pruner.tree.whole import Tree


def with_their_manifests(digests: frozenset[str], tree: Tree, library: Library) -> frozenset[str]:
    """`digests`, and every manifest here that names one of them, as its config or otherwise.

    Some runtimes know an image by the digest of its config alone. Raises ReadError.
    """
    listed = {key for each in tree.repositories.values() for key in each.revisions.keys_listed()}
    named = {key_of(digest) for digest in digests if layout.is_digest(digest)}
    configs = {text_of(key) for key in named - listed if tree.blobs.is_listed(key)}
    if not configs:
        return digests
    library.load(listed)
    found: set[str] = set()
    for key in listed:
        manifest = library.get(text_of(key))
        if isinstance(manifest, Manifest) and not configs.isdisjoint(manifest.blobs):
            found.add(text_of(key))
    return digests | found
