"""Safeguards removed one at a time, to see which test notices: `make mutations`."""
