"""Builds the real things from the settings."""
