"""HTTP: access, parameters, answers, and the static page."""
