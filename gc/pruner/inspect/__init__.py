"""What people ask: why, how much, whether all is there, and what a run did. Reads only."""
