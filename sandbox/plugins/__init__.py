"""Stand-ins for the official Pulumi provider plugins, for the sandbox alone.

The engine finds `bin/pulumi-resource-kubernetes` and `bin/pulumi-resource-tls` on PATH where the official
ones cannot be downloaded. They speak the provider protocol (gRPC `pulumirpc.ResourceProvider`), serve the
official SDKs in what this project's program relies on, refuse every cluster but the sandbox's, and say so on
every run.
"""
