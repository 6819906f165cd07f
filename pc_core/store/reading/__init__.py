"""SQL that answers questions."""
