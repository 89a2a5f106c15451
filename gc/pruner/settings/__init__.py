"""What can be set: durations, retention policies, and the table of settings with their defaults."""
