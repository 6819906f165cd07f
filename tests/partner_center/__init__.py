"""The client of Partner Center's API."""
