"""Who may come in: the ways to demand a login, and what is accepted of each.

No sentence here quotes a password, nor what stands where one is meant to stand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import pulumi

from . import accepted
from .connection import ClusterError
from .inputs import comes, known, later, made
from .objects import Htpasswd, PullSecrets, Token

Kind = Literal["htpasswd", "token", "none"]
Users = Mapping[str, pulumi.Input[str]]

# Of an htpasswd file a name ends at the colon, and a line that begins with # is none.
_NAME = re.compile(r"[A-Za-z0-9._@+-]{1,128}")
FILE = "htpasswd"
"""The key of a Secret that is the file of the users."""

_PASSWORD_BYTES = 72  # what bcrypt looks at
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class MadeUser:
    """One user whose password is made; another `generation` has another password."""

    generation: int


@dataclass(frozen=True, slots=True)
class GivenUsers:
    """Users by name, with their passwords; all of it may come from another resource."""

    passwords: pulumi.Input[Users] = field(repr=False)


@dataclass(frozen=True, slots=True)
class GivenFile:
    """A Secret of the namespace that somebody else keeps, by name; its key `htpasswd` is the file."""

    secret: pulumi.Input[str]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a server at `realm`, known by a certificate bundle (PEM) or by keys (JWKS, JSON)."""

    realm: pulumi.Input[str]
    service: pulumi.Input[str]
    issuer: pulumi.Input[str]
    root_cert_bundle: pulumi.Input[str] | None
    jwks: pulumi.Input[str] | None


@dataclass(frozen=True, slots=True)
class Open:
    """No login: whoever reaches the registry may pull, push and delete."""


Auth = MadeUser | GivenUsers | GivenFile | Tokens | Open


@dataclass(frozen=True, slots=True)
class Given:
    """What the keys of the ways in have, None for nothing."""

    users: pulumi.Input[Users] | None = field(repr=False)
    secret: pulumi.Input[str] | None
    token: Tokens | None
    generation: int


@dataclass(frozen=True, slots=True)
class Pulling:
    """The namespaces that get a Secret to pull with, its name, and whose login it has.

    `name` is None for the usual one, `user` where there is only one.
    """

    namespaces: tuple[str, ...]
    name: pulumi.Input[str] | None
    user: str | None


def kind(auth: Auth) -> Kind:
    """What the key `auth` says."""
    if isinstance(auth, Open):
        return "none"
    return "token" if isinstance(auth, Tokens) else "htpasswd"


def chosen(value: object) -> Kind:
    """What the key `auth` says. Raises ValueError."""
    return accepted.choice(value, "htpasswd", "token", "none")


def read(value: object, given: Given) -> Auth:
    """The way in that `value`, the key `auth`, chooses of what is given. Raises ValueError."""
    wanted = chosen(value)
    stray = {"users": given.users, "htpasswd": given.secret} if wanted != "htpasswd" else {}
    stray |= {"token": given.token} if wanted != "token" else {}
    for key, entry in stray.items():
        if entry is not None:
            raise ValueError(f"{key} is set, and not of auth {wanted}: leave it out, or choose another auth")
    if wanted == "none":
        return Open()
    if wanted == "token":
        if given.token is None:
            raise ValueError("token is missing: give realm, service, issuer, and rootCertBundle or jwks")
        return given.token
    if given.users is not None and given.secret is not None:
        raise ValueError("users and htpasswd are both set: leave one of them out")
    if given.secret is not None:
        return GivenFile(given.secret)
    return MadeUser(given.generation) if given.users is None else GivenUsers(given.users)


def check(
    file: GivenFile, namespace: str, secret: Mapping[str, Any] | None, *, namespace_is_there: bool
) -> None:
    """Whether the Secret of the file can be mounted; None is one that is not there. Raises ClusterError.

    In a namespace that the program is yet to make nobody could have made it, which is but said.
    """
    name = known(file.secret)
    if name is None:
        return
    if secret is None and namespace_is_there:
        raise ClusterError(
            f"htpasswd.secretName is {name!r}, which the namespace {namespace} does not have: make it "
            f"first, with a file of bcrypt hashes in its key {FILE}"
        )
    if secret is None:
        pulumi.log.warn(
            f"the Secret {name!r} of htpasswd.secretName is not there: the registry starts once it is in the "
            f"namespace {namespace}, with a file of bcrypt hashes in its key {FILE}"
        )
    elif not cast("dict[str, str]", secret.get("data") or {}).get(FILE):
        raise ClusterError(
            f"the Secret {name!r} of htpasswd.secretName has nothing in its key {FILE}: give it a file of "
            "bcrypt hashes there, as `htpasswd -nbB NAME PASSWORD` writes them"
        )


def pulling(value: Any, auth: Auth) -> Pulling | None:
    """The namespaces that get a Secret to pull with, None for none. Raises ValueError."""
    if value is None:
        return None
    given = made(PullSecrets, value)
    if given == PullSecrets():
        return None
    if isinstance(auth, GivenFile | Tokens):
        raise ValueError("the passwords are not known here, but by who keeps them: make the Secrets yourself")
    if isinstance(auth, Open):
        raise ValueError("auth is none, so nobody needs a Secret to pull: leave it out")
    if isinstance(auth, MadeUser) and given.user is not None:
        raise ValueError("user is one of users, which are not given: leave it out")
    if isinstance(auth, GivenUsers) and not comes(auth.passwords):
        _of(cast("Users", auth.passwords), given.user)
    return Pulling(
        namespaces=_namespaces(given.namespaces),
        name=None if given.name is None else later(given.name, accepted.dns_name),
        user=given.user,
    )


def login_of(users: Mapping[str, str], user: str | None) -> tuple[str, str]:
    """Name and password of `user`, None for the only one there is. Raises ValueError."""
    name = _of(users, user)
    return name, users[name]


def _of(users: Mapping[str, object], user: str | None) -> str:
    names = sorted(users)
    if user in users or (user is None and len(names) == 1):
        return user or names[0]
    wrong = "is missing" if user is None else f"is {user!r}, which users does not have"
    raise ValueError(f"user {wrong}: give the one whose login it is to be, of {', '.join(names)}")


def users(value: object) -> pulumi.Input[Users] | None:
    """Names and passwords; what another resource gives is checked when it is known. Raises ValueError."""
    return None if value is None or value == {} else later(value, _users)


def _users(value: object) -> Users:
    if not isinstance(value, Mapping) or not value:
        raise ValueError("it is not an object of names and passwords: give at least one user")
    given = cast("Mapping[object, object]", value)
    for number, name in enumerate(given, 1):
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(
                f"name {number} is not one of a user: give letters, digits and . _ @ + -, at most 128"
            )
    return {str(name): later(entry, _checked(str(name))) for name, entry in given.items()}


def _checked(name: str) -> Any:
    """A parser of that user's password."""

    def password(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError(f"the password of {name} is not text: put it in quotes")
        if not value or _UNPRINTABLE.search(value):
            raise ValueError(f"the password of {name} is empty or has a control character: give another")
        if len(value.encode()) > _PASSWORD_BYTES:
            raise ValueError(
                f"the password of {name} is longer than the {_PASSWORD_BYTES} bytes that bcrypt takes: "
                "give a shorter one"
            )
        return value

    return password


def secret(value: Any) -> pulumi.Input[str] | None:
    """The name of the Secret with the file, None for none. Raises ValueError."""
    name = None if value is None else made(Htpasswd, value).secret_name
    return None if name is None else later(name, accepted.dns_name)


def tokens(value: Any) -> Tokens | None:
    """What is known of the token server. Raises ValueError."""
    if value is None:
        return None
    given = made(Token, value)
    if given == Token():
        return None
    texts: dict[str, pulumi.Input[str]] = {}
    for name in ("realm", "service", "issuer"):
        value = getattr(given, name)
        if value is None or value == "":
            raise ValueError(f"{name} is missing: give what the token server has for it")
        texts[name] = value
    if given.root_cert_bundle is None and given.jwks is None:
        raise ValueError("it has neither rootCertBundle nor jwks: give what its tokens are checked with")
    return Tokens(
        realm=later(texts["realm"], _url),
        service=texts["service"],
        issuer=texts["issuer"],
        root_cert_bundle=None if given.root_cert_bundle is None else later(given.root_cert_bundle, _bundle),
        jwks=None if given.jwks is None else later(given.jwks, _jwks),
    )


def _url(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"https?://\S+", value):
        return value
    raise ValueError(f"realm is {value!r}: give the address of the token server, https://…")


def _bundle(value: object) -> str:
    if isinstance(value, str) and "-----BEGIN CERTIFICATE-----" in value and "PRIVATE KEY" not in value:
        return value
    raise ValueError("rootCertBundle is not a bundle of certificates: give them as PEM, and no key")


def _jwks(value: object) -> str:
    text = json.dumps(value) if isinstance(value, Mapping) else value
    try:
        keys = json.loads(cast("Any", text))["keys"]
    except (ValueError, TypeError, KeyError):
        raise ValueError('jwks is not a set of keys: give JSON such as {"keys": [...]}') from None
    if not isinstance(keys, list) or any("d" in key or "k" in key for key in cast("list[Any]", keys)):
        raise ValueError("jwks has a private key, or no list of keys: give the public ones alone")
    return str(text)


def needs_version_3(auth: Auth) -> str | None:
    """What the version 2 of the registry does not know of it, None for nothing."""
    return "jwks" if isinstance(auth, Tokens) and auth.jwks is not None else None


def generation(value: object) -> int:
    """Which of its passwords the made user has. Raises ValueError."""
    text = accepted.text(value)
    if re.fullmatch(r"[1-9][0-9]{0,8}", text):
        return int(text)
    raise ValueError(
        f"{value!r} is not a generation: give a whole number above 0, another for another password"
    )


def _namespaces(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("namespaces is missing: give a list of those that are to pull")
    return tuple(
        dict.fromkeys(accepted.namespace(entry, create=False) for entry in cast("list[object]", value))
    )
