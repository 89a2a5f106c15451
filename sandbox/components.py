"""The node's components: their command lines and configuration files, as pure functions of the place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import yaml

from sandbox.images import PAUSE_REFERENCE
from sandbox.network import FIRST_SERVICE_ADDRESS, POD_CIDR, SERVICE_CIDR, Addresses
from sandbox.place import NODE, Place

ETCD = "http://127.0.0.1:2379"
ETCD_PEER = "http://127.0.0.1:2380"
API_PORT = 6443
PROXY_HEALTH_PORT = 10256
# kubelet would set these on the machine; the node sees files with the wanted values in their place.
KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
SERVER_HOSTS = (
    FIRST_SERVICE_ADDRESS,
    "127.0.0.1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
)


STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {
        "name": "standard",
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    },
    "provisioner": "kubernetes.io/host-path",
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "Immediate",
}


@dataclass(frozen=True, slots=True)
class Component:
    """One process of the node; `after_api` holds it back until the API answers."""

    name: str
    command: tuple[str, ...]
    after_api: bool = False


def components(place: Place, addresses: Addresses) -> tuple[Component, ...]:
    """Every process of the node, in the order of their start."""
    return (
        Component("containerd", ("containerd", f"--config={place.etc}/containerd.toml")),
        Component("etcd", _etcd(place)),
        Component("kube-apiserver", _apiserver(place, addresses)),
        Component("kube-controller-manager", _controller_manager(place), after_api=True),
        Component("kube-scheduler", _scheduler(place), after_api=True),
        Component("kubelet", _kubelet(place, addresses), after_api=True),
        Component("kube-proxy", _part(place, "kube-proxy", config=place.etc / "proxy.yaml"), after_api=True),
    )


def _part(place: Place, part: str, /, **flags: object) -> tuple[str, ...]:
    given = (f"--{key.replace('_', '-')}={value}" for key, value in flags.items())
    return (str(place.bin / part), *given)


def _etcd(place: Place) -> tuple[str, ...]:
    return _part(
        place,
        "etcd",
        name=NODE,
        data_dir=place.state / "etcd",
        unsafe_no_fsync="true",
        listen_client_urls=ETCD,
        advertise_client_urls=ETCD,
        listen_peer_urls=ETCD_PEER,
        initial_advertise_peer_urls=ETCD_PEER,
        initial_cluster=f"{NODE}={ETCD_PEER}",
        log_level="warn",
    )


def _apiserver(place: Place, addresses: Addresses) -> tuple[str, ...]:
    pki = place.pki
    return _part(
        place,
        "kube-apiserver",
        etcd_servers=ETCD,
        bind_address="0.0.0.0",
        secure_port=API_PORT,
        advertise_address=addresses.node,
        tls_cert_file=pki / "apiserver.crt",
        tls_private_key_file=pki / "apiserver.key",
        client_ca_file=pki / "cluster.crt",
        kubelet_client_certificate=pki / "apiserver-kubelet-client.crt",
        kubelet_client_key=pki / "apiserver-kubelet-client.key",
        kubelet_certificate_authority=pki / "cluster.crt",
        kubelet_preferred_address_types="InternalIP",
        service_account_key_file=pki / "service-accounts.crt",
        service_account_signing_key_file=pki / "service-accounts.key",
        service_account_issuer="https://kubernetes.default.svc",
        service_cluster_ip_range=SERVICE_CIDR,
        # No API is aggregated here; without these the controllers log an error every few seconds.
        requestheader_client_ca_file=pki / "front-proxy.crt",
        requestheader_allowed_names="front-proxy",
        requestheader_username_headers="X-Remote-User",
        requestheader_group_headers="X-Remote-Group",
        requestheader_extra_headers_prefix="X-Remote-Extra-",
        authorization_mode="Node,RBAC",
        enable_admission_plugins="NodeRestriction",
        allow_privileged="true",
        profiling="false",
    )


def _controller_manager(place: Place) -> tuple[str, ...]:
    config = place.etc / "controller-manager.kubeconfig"
    return _part(
        place,
        "kube-controller-manager",
        kubeconfig=config,
        authentication_kubeconfig=config,
        authorization_kubeconfig=config,
        service_account_private_key_file=place.pki / "service-accounts.key",
        root_ca_file=place.pki / "cluster.crt",
        use_service_account_credentials="true",
        # Volumes for claims of the StorageClass below.
        enable_hostpath_provisioner="true",
        leader_elect="false",
        profiling="false",
    )


def _scheduler(place: Place) -> tuple[str, ...]:
    config = place.etc / "scheduler.kubeconfig"
    return _part(
        place,
        "kube-scheduler",
        kubeconfig=config,
        authentication_kubeconfig=config,
        authorization_kubeconfig=config,
        leader_elect="false",
        profiling="false",
    )


def _kubelet(place: Place, addresses: Addresses) -> tuple[str, ...]:
    return _part(
        place,
        "kubelet",
        config=place.etc / "kubelet.yaml",
        kubeconfig=place.etc / "kubelet.kubeconfig",
        root_dir=place.state / "kubelet",
        cert_dir=place.state / "kubelet" / "pki",
        hostname_override=NODE,
        node_ip=addresses.node,
    )


def config_files(place: Place, addresses: Addresses, *, snapshotter: str) -> dict[str, str]:
    """The files of the components, by their path below `place.etc`."""
    return {
        "containerd.toml": _containerd(place, snapshotter),
        "cni/10-bridge.conflist": json.dumps(_cni(), indent=1),
        "kubelet.yaml": yaml.safe_dump(_kubelet_config(place, addresses)),
        "proxy.yaml": yaml.safe_dump(_proxy_config(place, addresses)),
        "resolv.conf": "",
        **{f"kernel/{key}": f"{value}\n" for key, value in KERNEL_SETTINGS.items()},
    }


def _containerd(place: Place, snapshotter: str) -> str:
    return f"""\
version = 2
root = "{place.state}/containerd"
state = "/run/containerd"
oom_score = 0
[grpc]
  address = "{place.containerd_socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_REFERENCE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{place.registry_trust}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{place.etc}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def _cni() -> dict[str, Any]:
    return {
        "cniVersion": "0.4.0",
        "name": "sandbox",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "ipMasq": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni",
                    "ranges": [[{"subnet": POD_CIDR}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _kubelet_config(place: Place, addresses: Addresses) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{place.cgroup}",
        "containerRuntimeEndpoint": f"unix://{place.containerd_socket}",
        "address": addresses.node,
        "tlsCertFile": f"{place.pki}/kubelet-server.crt",
        "tlsPrivateKeyFile": f"{place.pki}/kubelet-server.key",
        "authentication": {
            "x509": {"clientCAFile": f"{place.pki}/cluster.crt"},
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
        },
        "authorization": {"mode": "Webhook"},
        "resolvConf": f"{place.etc}/resolv.conf",
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "maxOpenFiles": 20000,
        # An image that was made here cannot be pulled again, so it is never collected.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "200Mi",
            "nodefs.available": "1Gi",
            "imagefs.available": "1Gi",
            "nodefs.inodesFree": "1%",
        },
        "podLogsDir": f"{place.log}/pods",
        "volumePluginDir": f"{place.state}/volume-plugins",
        # A registry that is restarted in place again and again is back within seconds each time.
        "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
        "nodeStatusUpdateFrequency": "5s",
        "shutdownGracePeriod": "0s",
    }


def _proxy_config(place: Place, addresses: Addresses) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": f"{place.etc}/proxy.kubeconfig"},
        "hostnameOverride": NODE,
        "clusterCIDR": POD_CIDR,
        "healthzBindAddress": f"{addresses.node}:{PROXY_HEALTH_PORT}",
        "oomScoreAdj": 0,
        "iptables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
        # These would be set for the whole machine.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
