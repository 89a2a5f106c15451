"""Measurements of the pruner, side by side with what else there is."""
