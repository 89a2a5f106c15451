"""`make up` and `make down`: the registry on the cluster of the kubeconfig, or on a throw-away one."""
