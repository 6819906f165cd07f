"""HTTP: access, parameters, answers, and the static page.

The way of a request: `door` checks it and catches errors, `access` says what the caller may do,
`query` reads the parameters, one module of `routes` does the work on `served` (the app as the
routes see it), `respond` makes the answer. `exchange` has the types of all that. `openapi`
describes the routes from the same types.
"""
