"""Revisions in order of their numbers, without gaps; one that has shipped is never edited."""
