"""What the node needs of the machine's kernel."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from sandbox.errors import SandboxError

MODULES = ("overlay", "br_netfilter", "nf_conntrack", "veth", "bridge")
BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


def load_kernel_modules() -> None:
    """Have the kernel ready for pods and Services; what is built in needs no loading.

    Raises SandboxError when bridged packets cannot be filtered, without which no Service answers a pod.
    """
    if BRIDGE_FILTER.exists():
        return
    if shutil.which("modprobe"):
        # A kernel names only some of these as modules; the check below decides.
        subprocess.run(["modprobe", "--all", *MODULES], capture_output=True, check=False)
    if not BRIDGE_FILTER.exists():
        raise SandboxError(
            f"the kernel has no {BRIDGE_FILTER}: load its module (`modprobe br_netfilter`), on the host"
            " if this is a container"
        )
