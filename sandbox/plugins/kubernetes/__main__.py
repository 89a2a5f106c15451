"""The process that the engine starts for the kubernetes provider."""

from sandbox.plugins.kubernetes.plugin import KubernetesPlugin
from sandbox.plugins.server import serve

if __name__ == "__main__":
    serve(KubernetesPlugin())
