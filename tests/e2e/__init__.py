"""End to end: the tests share one cluster, which goes with the last of them."""
