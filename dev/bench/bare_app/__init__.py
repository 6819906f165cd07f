"""The smallest app with one HTTP function, which cold starts are compared with."""
