"""SQL that changes rows, a transaction at a time."""
