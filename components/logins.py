"""The logins of the registry: the file or the keys that it checks them by, and the Secrets to pull with."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import bcrypt
import pulumi
import pulumi_kubernetes as k8s
import pulumi_tls as tls

from . import auth, pod
from .auth import FILE, GivenFile, GivenUsers, MadeUser, Open, Pulling, Tokens
from .cluster import SERVICE

MADE_USER = "admin"

_SECRET = f"{SERVICE}-logins"
_VOLUME = "auth"
_FOLDER = "/etc/registry-auth"
_REALM = "registry"
_BUNDLE = "root-certificates.pem"
_JWKS = "jwks.json"

# The registry checks the hash at each request. Version 3 spends the same on a name that nobody has, so that
# the time of an answer does not tell whether there is such a user.
_COST = 5
_SALT_BYTES = 16
# Base64 as bcrypt writes it.
_USUAL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BCRYPTS = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

Marks = Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True, slots=True)
class Logins:
    """What the registry's pod takes over, and what people log in with.

    `section` is `auth` of config.yml. `user` and `password` are those that were made, None where none were;
    `passwords` are all that are known here, by name. The pod `needs` what it knows by a fixed name.
    """

    section: Mapping[str, Any]
    volumes: Sequence[k8s.core.v1.VolumeArgs]
    mounts: Sequence[k8s.core.v1.VolumeMountArgs]
    user: pulumi.Output[str] | None = None
    password: pulumi.Output[str] | None = None
    passwords: pulumi.Output[Mapping[str, str]] | None = None
    needs: Sequence[pulumi.Resource] = ()


def declare(
    name: str,
    way_in: auth.Auth,
    key: pulumi.Output[str],
    metadata: k8s.meta.v1.ObjectMetaArgs,
    child: pulumi.ResourceOptions,
) -> Logins:
    """Declares what the registry checks logins by. `key` is a secret that salts are derived from."""
    if isinstance(way_in, Open):
        return Logins({}, (), ())
    if isinstance(way_in, Tokens):
        return _of_tokens(name, way_in, metadata, child)
    if isinstance(way_in, GivenFile):
        return _of_file(way_in.secret)
    made = None
    if isinstance(way_in, GivenUsers):
        passwords = pulumi.Output.secret(cast("Any", way_in.passwords))
    else:
        made = _made_password(name, way_in, child)
        passwords = made.apply(lambda password: {MADE_USER: password})
    # Under one name, so that other passwords are another content of the file that the pod has mounted, which
    # the registry reads anew, and not another pod.
    secret = k8s.core.v1.Secret(
        f"{name}-logins",
        metadata=k8s.meta.v1.ObjectMetaArgs(
            name=_SECRET, namespace=metadata.namespace, labels=metadata.labels
        ),
        string_data={FILE: pulumi.Output.all(passwords, key).apply(lambda both: htpasswd(both[0], both[1]))},
        opts=child,
    )
    # By no output of it: a provider that replaces the Secret would have the Deployment replaced with it.
    checked = _of_file(_SECRET)
    return Logins(
        checked.section,
        checked.volumes,
        checked.mounts,
        user=None if made is None else pulumi.Output.from_input(MADE_USER),
        password=made,
        passwords=passwords,
        needs=[secret],
    )


def pull_secrets(
    name: str,
    pulling: Pulling,
    passwords: pulumi.Output[Mapping[str, str]],
    addresses: pulumi.Input[Sequence[str]],
    namespace: pulumi.Output[str],
    marks: Marks,
    child: pulumi.ResourceOptions,
) -> None:
    """Declares a Secret to pull with from the `addresses` in each of the namespaces."""
    content = pulumi.Output.secret(
        pulumi.Output.all(passwords, addresses).apply(
            lambda both: _docker_config(auth.login_of(both[0], pulling.user), both[1])
        )
    )
    # By the namespace's name, so that it is there: it may be among those.
    called = pulumi.Output.all(pulling.name, namespace).apply(lambda both: both[0] or f"{both[1]}-pull")
    for each in pulling.namespaces:
        k8s.core.v1.Secret(
            f"{name}-pull-{each}",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=called, namespace=each, labels=dict(marks)),
            type="kubernetes.io/dockerconfigjson",
            string_data={".dockerconfigjson": content},
            opts=child,
        )


def htpasswd(passwords: Mapping[str, str], key: str) -> str:
    """The file for these users, the same whenever they and the `key` of the salts are."""
    return "".join(f"{user}:{_hash(user, passwords[user], key)}\n" for user in sorted(passwords))


def _hash(user: str, password: str, key: str) -> str:
    # A salt by chance would be another file, and so a change, at every run of the program.
    secret = hmac.new(key.encode(), f"salt\0{user}\0{password}".encode(), hashlib.sha256).digest()
    salt = base64.b64encode(secret[:_SALT_BYTES]).rstrip(b"=").translate(bytes.maketrans(_USUAL, _BCRYPTS))
    return bcrypt.hashpw(password.encode(), b"$2b$%02d$%s" % (_COST, salt)).decode()


def _made_password(name: str, user: MadeUser, child: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """128 bits by chance, from a key so that the stack needs no further provider."""
    key = tls.PrivateKey(f"{name}-password-{user.generation}", algorithm="ED25519", opts=child)
    return pulumi.Output.secret(key.private_key_pem).apply(
        lambda pem: hashlib.sha256(f"password of the registry\0{pem}".encode()).hexdigest()[:32]
    )


def _of_file(secret: pulumi.Input[str]) -> Logins:
    """Logins by the file that is the key `htpasswd` of a Secret."""
    return Logins(
        {"htpasswd": {"realm": _REALM, "path": f"{_FOLDER}/{FILE}"}},
        # A folder and no single file: a mounted file would stay as it was when the Secret changes.
        [pod.secret_volume(_VOLUME, secret, 0o400, (FILE,))],
        [pod.mount(_VOLUME, _FOLDER, read_only=True)],
    )


def _of_tokens(
    name: str, server: Tokens, metadata: k8s.meta.v1.ObjectMetaArgs, child: pulumi.ResourceOptions
) -> Logins:
    found = {_BUNDLE: server.root_cert_bundle, _JWKS: server.jwks}
    files = {file: content for file, content in found.items() if content is not None}
    # Read once, when the registry starts: named by the provider, so that others roll the pod.
    keys = k8s.core.v1.Secret(
        f"{name}-token-keys", metadata=metadata, string_data=files, immutable=True, opts=child
    )
    paths = {"rootcertbundle": _BUNDLE, "jwks": _JWKS}
    section = {
        "realm": server.realm,
        "service": server.service,
        "issuer": server.issuer,
        **{option: f"{_FOLDER}/{file}" for option, file in paths.items() if file in files},
    }
    return Logins(
        {"token": section},
        [pod.secret_volume(_VOLUME, keys.metadata.name, 0o400, tuple(files))],
        [pod.mount(_VOLUME, _FOLDER, read_only=True)],
    )


def _docker_config(login: tuple[str, str], addresses: Sequence[str]) -> str:
    user, password = login
    both = base64.b64encode(f"{user}:{password}".encode()).decode()
    entry = {"username": user, "password": password, "auth": both}
    return json.dumps({"auths": dict.fromkeys(addresses, entry)})
