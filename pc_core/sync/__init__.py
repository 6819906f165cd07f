"""One run, from its lease to its report."""
