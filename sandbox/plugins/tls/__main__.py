"""The process that the engine starts for the tls provider."""

from sandbox.plugins.server import serve
from sandbox.plugins.tls.plugin import TlsPlugin

if __name__ == "__main__":
    serve(TlsPlugin())
