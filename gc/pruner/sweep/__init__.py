"""What is done: one run from its lock to its report, journalled, and the trash it leaves."""
