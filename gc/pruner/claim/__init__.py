"""Whose tree it is: a claim in the tree, a record outside it, and whether a registry may start on both."""
