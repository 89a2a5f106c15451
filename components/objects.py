"""The objects that args hold, one for each key whose value has keys of its own.

As in `args`, no annotation is text: Pulumi's analyzer makes the package's schema of these classes.
"""

from dataclasses import dataclass
from typing import Any

import pulumi


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Where the images are kept: a folder of a node, a volume that the cluster provides, or a bucket."""

    kind: str | None = "hostPath"
    """The kind of storage, hostPath, persistentVolumeClaim or s3"""
    path: pulumi.Input[str] | None = None
    """The absolute path of the folder, made if need be; if left out, one that is named after the namespace"""
    node: pulumi.Input[str] | None = None
    """The name of the node that holds it, needed where there are several"""
    adopt: str | None = None
    """The claim of the images to take over, as the registry's pod says when it does not start because of it"""
    size: pulumi.Input[str] | None = None
    """How much room a claim asks for, such as 50Gi; a larger size grows it"""
    storage_class: pulumi.Input[str] | None = None
    """The class of a claim, if left out the cluster's default"""
    access_modes: list[str] | None = None
    """The access modes of a claim, ReadWriteOnce if left out"""
    existing_claim: pulumi.Input[str] | None = None
    """The name of a claim that is there in the namespace, in place of one that is made"""
    retain: bool | None = None
    """Whether the claim, and its namespace, stay when the stack is destroyed; they do if left out"""
    bucket: pulumi.Input[str] | None = None
    """The name of a bucket that is there"""
    region: pulumi.Input[str] | None = None
    """The region of the bucket; may be left out with an endpoint"""
    endpoint: pulumi.Input[str] | None = None
    """The URL of an S3 server other than Amazon's"""
    force_path_style: bool | None = None
    """Whether the bucket stands in the path and not in the host's name; it does with an endpoint if left out"""
    root_directory: str | None = None
    """The prefix of all keys in the bucket"""
    encryption: str | None = None
    """The encryption that is asked of the server: none, AES256 or aws:kms"""
    kms_key: pulumi.Input[str] | None = None
    """The id of the key of aws:kms"""
    access_key: pulumi.Input[str] | None = None
    """The id of the key to ask the server with"""
    secret_key: pulumi.Input[str] | None = None
    """The secret part of it; a secret"""
    existing_secret: pulumi.Input[str] | None = None
    """A Secret of the namespace with accessKey and secretKey, in place of those; without any, the pod's role"""
    service_account_annotations: dict[str, str] | None = None
    """Annotations of the pods' service account, by which a cloud gives it a role"""
    ca_certificate: pulumi.Input[str] | None = None
    """The authority of the endpoint's certificate, PEM, where no system knows it"""
    redirect: bool | None = None
    """Whether clients fetch layers from the bucket itself; they do without an endpoint if left out"""


@dataclass(frozen=True, kw_only=True)
class Redis:
    """Where cache redis is: a server of one's own, or, without addresses, a small one that the stack runs."""

    addresses: pulumi.Input[list[pulumi.Input[str]]] | None = None
    """host:port of the server; several are a cluster, or with sentinelMaster its sentinels"""
    database: pulumi.Input[int] | None = None
    """The number of the database, 0 if left out"""
    username: pulumi.Input[str] | None = None
    """The user to log in as, if not the default one"""
    password: pulumi.Input[str] | None = None
    """Its password"""
    sentinel_master: pulumi.Input[str] | None = None
    """The name under which the sentinels know the master"""
    sentinel_username: pulumi.Input[str] | None = None
    """The user to log in to the sentinels as"""
    sentinel_password: pulumi.Input[str] | None = None
    """Its password"""
    ca_certificate: pulumi.Input[str] | None = None
    """The authority that signed the server's certificate, PEM; with it TLS is spoken"""
    image: pulumi.Input[str] | None = None
    """The image of the server that the stack runs, of Redis or Valkey"""


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """How clients outside the cluster reach the registry; all but NodePort need externalHosts."""

    kind: str | None = "NodePort"
    """NodePort, LoadBalancer, ClusterIP, or Ingress on a host name of its own with TLS passed through"""
    port: pulumi.Input[int] | None = None
    """The port that clients use: 443 of a LoadBalancer and an Ingress, 5000 of a ClusterIP if left out"""
    annotations: dict[str, str] | None = None
    """Annotations of the Ingress, or of the Service of a LoadBalancer"""
    ingress_class: str | None = None
    """The class of the Ingress, if left out the cluster's default"""


@dataclass(frozen=True, kw_only=True)
class Toleration:
    """A taint of nodes that the pod puts up with."""

    key: str | None = None
    """The taint's key; every taint if left out"""
    operator: str | None = None
    """Equal or Exists; Equal if left out"""
    value: str | None = None
    """The taint's value, of Equal"""
    effect: str | None = None
    """NoSchedule, PreferNoSchedule or NoExecute; all if left out"""
    toleration_seconds: int | None = None
    """How long it stays on a node that gets a taint of NoExecute; for ever if left out"""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a container asks for and may take: quantities by cpu, memory, or another resource."""

    requests: dict[str, str] | None = None
    """In place of what the stack asks for"""
    limits: dict[str, str] | None = None
    """In place of the stack's limits"""


@dataclass(frozen=True, kw_only=True)
class Container:
    """What is different about a container of the pod."""

    resources: Resources | None = None
    """What it asks for and may take"""
    environment: dict[str, str] | None = None
    """More variables, none that is a setting of the registry or the pruner"""


@dataclass(frozen=True, kw_only=True)
class Pod:
    """Where the registry's pod runs, and what is added to it."""

    node_selector: dict[str, str] | None = None
    """Labels that its node has"""
    tolerations: list[Toleration] | None = None
    """Taints that it puts up with"""
    affinity: dict[str, Any] | None = None
    """An affinity as Kubernetes has it: nodeAffinity, podAffinity, podAntiAffinity"""
    priority_class_name: str | None = None
    """The name of a PriorityClass"""
    runtime_class_name: str | None = None
    """The name of a RuntimeClass"""
    annotations: dict[str, str] | None = None
    """Annotations of the pod"""
    labels: dict[str, str] | None = None
    """More labels of the pod"""
    image_pull_secrets: list[pulumi.Input[str]] | None = None
    """Names of Secrets in the namespace with which the pod's own images are pulled"""
    registry: Container | None = None
    """The registry's container"""
    gc: Container | None = None
    """The pruner's container"""


@dataclass(frozen=True, kw_only=True)
class NetworkPolicy:
    """Who may reach which port of the pod, where the cluster's network enforces NetworkPolicies."""

    enabled: bool | None = True
    """Whether there is a NetworkPolicy at all"""
    clients: list[dict[str, Any]] | None = None
    """Who may reach the registry, as peers of a NetworkPolicy; everyone if left out"""
    metrics: list[dict[str, Any]] | None = None
    """Who may read the metrics, as peers of a NetworkPolicy; every pod of the cluster if left out"""


@dataclass(frozen=True, kw_only=True)
class Htpasswd:
    """A file of names and bcrypt hashes in a Secret of the namespace."""

    secret_name: pulumi.Input[str] | None = None
    """The Secret's name; its key htpasswd is the file"""


@dataclass(frozen=True, kw_only=True)
class Token:
    """The server whose tokens let people in, and what they are checked with."""

    realm: pulumi.Input[str] | None = None
    """The address where clients get their tokens, https://..."""
    service: pulumi.Input[str] | None = None
    """What the server calls this registry"""
    issuer: pulumi.Input[str] | None = None
    """What the server calls itself in its tokens"""
    root_cert_bundle: pulumi.Input[str] | None = None
    """The certificates that its tokens are signed with, PEM"""
    jwks: pulumi.Input[str] | None = None
    """The public keys that its tokens are signed with, JSON; of registry 3.x alone"""


@dataclass(frozen=True, kw_only=True)
class PullSecrets:
    """Secrets to pull with; whoever may read one may push and delete too."""

    namespaces: list[str] | None = None
    """The namespaces, which are there, that get one"""
    name: pulumi.Input[str] | None = None
    """The name of each, if left out NAMESPACE-pull after the registry's"""
    user: str | None = None
    """Whose login it has, needed where there are several users"""


@dataclass(frozen=True, kw_only=True)
class Tls:
    """The certificate that is served and whom clients trust for it; an authority of its own if nothing is given."""

    secret_name: pulumi.Input[str] | None = None
    """A Secret of the namespace with tls.crt and tls.key, as cert-manager makes it; a renewed one is taken up"""
    certificate: pulumi.Input[str] | None = None
    """A certificate to serve, PEM, followed by those that lead to its authority"""
    key: pulumi.Input[str] | None = None
    """The private key of the certificate, PEM; a secret"""
    ca: pulumi.Input[str] | None = None
    """Authorities that clients are to trust, PEM; empty for those that systems trust anyway"""
    ca_key: pulumi.Input[str] | None = None
    """The private key of an authority in ca that is to sign the certificate, PEM; a secret"""
    authorities: list[int] | None = None
    """The stack's own authorities by number: the first signs, all are trusted; the first, 1, alone if left out"""


@dataclass(frozen=True, kw_only=True)
class NodeTrust:
    """Whether every node is made to trust the registry, by a DaemonSet in a namespace of its own."""

    enabled: bool | None = False
    """Whether it is"""
    folders: list[str] | None = None
    """Where the nodes' runtimes look, absolute paths; if left out, where containerd, Docker and CRI-O do"""


@dataclass(frozen=True, kw_only=True)
class RetentionPolicy:
    """Which tags of some repositories stay; of several policies the first that matches a tag decides."""

    repositories: list[str] | None = None
    """Shell globs over the repository's name, * matches / too; all if left out"""
    tags: list[str] | None = None
    """Shell globs over the tag; all if left out"""
    keep_last: int | None = None
    """So many of the newest matching tags of a repository stay"""
    keep_within: str | None = None
    """Tags pushed within this duration stay"""
    keep_daily: int | None = None
    """Of each of so many days with a push, the last pushed tag stays"""
    keep_weekly: int | None = None
    """The same of weeks"""
    keep_monthly: int | None = None
    """The same of months"""
    keep_yearly: int | None = None
    """The same of years"""
    keep_last_per_minor: int | None = None
    """Of each minor version so many of the highest semantic versions stay"""
    untagged: str | None = None
    """keep, or `after` and a duration, in place of gcUntaggedAfter"""
