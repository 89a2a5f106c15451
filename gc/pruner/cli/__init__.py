"""The command line: one command a file, the console, and the loop of the gc container."""
