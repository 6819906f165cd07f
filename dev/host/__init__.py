"""A local Azure Functions host for machines without `func`.

It runs the app on Microsoft's own worker library, which is the code that runs it in Azure, and
does the host's part itself: routes, keys, headers, timers. It listens on 127.0.0.1 only. It does
not end a function after functionTimeout, keeps no timer's past across a restart, and knows no
triggers but HTTP and timers.
"""
