"""Trust on every node: the program that installs it, and the objects that bring it there."""
