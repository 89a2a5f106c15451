"""A throw-away, real single-node Kubernetes on this machine, from ordinary package registries alone."""
