"""A local Azure Functions host for machines without `func`.

It runs the app on Microsoft's own worker library, which is the code that runs it in Azure, and
does the host's part itself: routes, timers, admin routes. It knows what this app uses: anonymous
HTTP triggers whose routes have literals, `{name}` and `{*path}`, and timers. It listens on
127.0.0.1 only, does not end a function after functionTimeout and forgets a timer's past when it
ends.
"""
