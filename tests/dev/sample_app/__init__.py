"""The function app of the host's tests."""
