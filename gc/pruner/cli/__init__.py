"""The command line: words to a command, one file a command, the console, and the loop of the gc container."""
