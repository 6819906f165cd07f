"""Builds the app from the settings: `app` says what it can do, `parts` what it is made of."""
