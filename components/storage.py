"""Where the images are kept, as the cluster and the pod see it."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from . import bucket, pod
from .bucket import ACCESS_KEY, SECRET_KEY, Bucket
from .keeping import HostPath, Kept, NewClaim

TAKE_UP = {"pulumi.com/patchForce": "true"}
"""The annotations of what is applied to something that may be there, whoever set its fields."""

# The user that other charts of the registry run it as, so that their volumes can be taken over as they are.
_USER = 1000


def declare(
    name: str,
    storage: Kept,
    namespace: pulumi.Input[str],
    marks: Mapping[str, pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
) -> None:
    """Declares the claim if the stack is to make it. It is never deleted but with its namespace."""
    if not isinstance(storage, NewClaim):
        return
    k8s.core.v1.PersistentVolumeClaimPatch(
        name,
        metadata=k8s.meta.v1.ObjectMetaPatchArgs(
            name=storage.claim,
            namespace=namespace,
            labels=dict(marks),
            # A class may bind its claims only when the pod is there, which waits for the claim.
            annotations={**TAKE_UP, "pulumi.com/skipAwait": "true"},
        ),
        spec=k8s.core.v1.PersistentVolumeClaimSpecPatchArgs(
            access_modes=list(storage.access_modes),
            storage_class_name=storage.storage_class,
            resources=k8s.core.v1.VolumeResourceRequirementsPatchArgs(requests={"storage": storage.size}),
        ),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(retain_on_delete=True)),
    )


def stays(storage: Kept) -> bool:
    """Whether the namespace holds images that are to outlive the stack."""
    return not isinstance(storage, HostPath | Bucket) and (
        not isinstance(storage, NewClaim) or storage.retain
    )


def reached(
    name: str, storage: Kept, metadata: k8s.meta.v1.ObjectMetaArgs, opts: pulumi.ResourceOptions
) -> pod.Shared:
    """How a pod gets at it: the volume `pod.DATA`, or what a bucket's server is asked with, declared.

    The credentials are variables that the clients of registry and pruner know by themselves, so that they
    need not be written into a configuration.
    """
    if isinstance(storage, Bucket):
        return _credentials(name, storage, metadata, opts).and_(_authority(name, storage, metadata, opts))
    if isinstance(storage, HostPath):
        volume = k8s.core.v1.VolumeArgs(
            name=pod.DATA,
            host_path=k8s.core.v1.HostPathVolumeSourceArgs(path=storage.path, type="DirectoryOrCreate"),
        )
    else:
        volume = k8s.core.v1.VolumeArgs(
            name=pod.DATA,
            persistent_volume_claim=k8s.core.v1.PersistentVolumeClaimVolumeSourceArgs(
                claim_name=storage.claim
            ),
        )
    return pod.Shared([volume], [pod.mount(pod.DATA, pod.DATA_FOLDER, read_only=False)], [])


def _credentials(
    name: str, storage: Bucket, metadata: k8s.meta.v1.ObjectMetaArgs, opts: pulumi.ResourceOptions
) -> pod.Shared:
    secret = storage.secret
    if storage.keys is not None:
        # Named by the provider: another key is another name, which rolls the pods.
        secret = k8s.core.v1.Secret(
            f"{name}-s3",
            metadata=metadata,
            string_data={
                ACCESS_KEY: storage.keys.access,
                SECRET_KEY: pulumi.Output.secret(storage.keys.secret),
            },
            immutable=True,
            opts=opts,
        ).metadata.name
    variables = [
        pod.secret_variable("AWS_ACCESS_KEY_ID", secret, ACCESS_KEY),
        pod.secret_variable("AWS_SECRET_ACCESS_KEY", secret, SECRET_KEY),
    ]
    return pod.Shared([], [], variables if secret is not None else [])


def _authority(
    name: str, storage: Bucket, metadata: k8s.meta.v1.ObjectMetaArgs, opts: pulumi.ResourceOptions
) -> pod.Shared:
    if storage.ca_certificate is None:
        return pod.Shared([], [], [])
    # Beside the file of the image's own authorities, which Go reads in any case. Not AWS_CA_BUNDLE: it stands
    # in place of those, and 2.8.2 panics with it.
    variables = pod.variables({"SSL_CERT_DIR": f"/etc/ssl/certs:{bucket.CA_FOLDER}"})
    declared = pod.authority(name, bucket.CA, bucket.CA_FOLDER, storage.ca_certificate, metadata, opts)
    return declared.and_(pod.Shared([], [], variables))


def security(storage: Kept) -> k8s.core.v1.PodSecurityContextArgs:
    """One user for all containers, and no system call out of the ordinary.

    It is the same for both containers because the pruner signals the registry, which needs the same user once
    every capability is dropped. On a hostPath it is root because kubelet makes the folder root's and does not
    change its owner (an `fsGroup` has no effect there); a claim's volume is given to the group.
    """
    profile = k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault")
    if isinstance(storage, HostPath):
        return k8s.core.v1.PodSecurityContextArgs(run_as_user=0, run_as_group=0, seccomp_profile=profile)
    return k8s.core.v1.PodSecurityContextArgs(
        run_as_user=_USER,
        run_as_group=_USER,
        run_as_non_root=True,
        fs_group=_USER,
        # A large tree is not walked through at every start.
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=profile,
    )


def security_level(storage: Kept) -> str:
    """The strictest Pod Security level that admits the pod: none but the weakest admits a hostPath."""
    return "privileged" if isinstance(storage, HostPath) else "restricted"


def called(storage: Kept) -> pulumi.Output[str]:
    """What people call it inside the namespace."""
    if isinstance(storage, HostPath):
        where = pulumi.Output.concat("hostPath ", storage.path)
        return where if storage.node is None else pulumi.Output.concat(where, " on ", storage.node)
    if isinstance(storage, Bucket):
        return bucket.called(storage)
    return pulumi.Output.concat("persistentVolumeClaim ", storage.claim)


def node(storage: Kept) -> pulumi.Input[str] | None:
    """The node on which a pod has to be that uses it; None for any."""
    return storage.node if isinstance(storage, HostPath) else None
