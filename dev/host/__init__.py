"""A local Azure Functions host for machines without `func`.

It runs the app on Microsoft's own worker library, which is the code that runs it in Azure, and
does the host's part itself. It knows what this app uses: anonymous HTTP triggers whose routes have
literals, `{name}` and `{*path}`, timers, and the admin route that fires one. It listens on
127.0.0.1 only, does not end a function after functionTimeout, and forgets when a timer last fired
once it ends.
"""
