"""Makes the sandbox's container runtime trust a registry, so that pods can pull from it."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.place import Place


def trust_registry(place: Place, addresses: Iterable[str], ca_certificate: str) -> None:
    """Trust the registry at each `host:port` by its CA (PEM); the runtime reads this at its next pull."""
    for address in addresses:
        folder = place.registry_trust / address
        folder.mkdir(parents=True, exist_ok=True)
        authority = folder / "ca.crt"
        authority.write_text(ca_certificate)
        # An absolute path inside a host's table is the one form that every containerd release reads alike.
        (folder / "hosts.toml").write_text(
            f'server = "https://{address}"\n\n[host."https://{address}"]\n'
            f'  capabilities = ["pull", "resolve"]\n  ca = "{authority}"\n'
        )
